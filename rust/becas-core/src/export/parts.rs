//! The second pass: the pieces of an export, made as they are asked for.

use std::mem;

use rayon::prelude::*;

use super::{
    line::Line,
    manifest::{Tally, manifest},
    parquet::ParquetWriter,
    plan::{Plan, Planned},
    source::Source,
};
use crate::{
    error::Result,
    proto::{ExampleIds, ExportResponse, Format, export_response::Part},
    store::ExampleId,
};

/// Bytes of data in a piece, but for the last.
const CHUNK_BYTES: usize = 256 << 10;
/// Examples read from the source at once.
const READ_EXAMPLES: usize = 256;
/// Examples read side by side.
const READ_AT_ONCE: usize = 4 * READ_EXAMPLES;
/// Ids in a piece.
const CHUNK_IDS: usize = 4096;

/// The pieces of an export in order: all data, all ids, the manifest.
///
/// An example that went since the plan was made (forgotten, evicted, superseded, replaced) is not written, and
/// nothing takes its place; the manifest counts what was written, and under `gone` what was not.
pub struct Parts {
    plan: Plan,
    writer: Option<Writer>,
    /// Lines that were read.
    next_line: usize,
    /// By line, once it was read: whether it was gone.
    gone: Vec<bool>,
    ready: Vec<u8>,
    next_id: usize,
    tally: Tally,
    ended: bool,
}

enum Writer {
    Json,
    Parquet(Box<ParquetWriter>),
}

impl Parts {
    pub(super) fn new(plan: Plan) -> Result<Self> {
        let writer = match plan.selection.format {
            Format::Unspecified | Format::Jsonl => Writer::Json,
            Format::Parquet => Writer::Parquet(Box::new(ParquetWriter::new()?)),
        };
        Ok(Self {
            gone: Vec::with_capacity(plan.lines.len()),
            plan,
            writer: Some(writer),
            next_line: 0,
            ready: Vec::new(),
            next_id: 0,
            tally: Tally::default(),
            ended: false,
        })
    }

    /// The next piece; `None` after the manifest. After an error the export cannot go on.
    pub fn next_part(&mut self, source: &dyn Source) -> Result<Option<ExportResponse>> {
        if self.ended {
            // Whoever asked may keep hold of this for a while.
            self.plan.lines = Vec::new();
            self.gone = Vec::new();
            return Ok(None);
        }
        let part = if let Some(data) = self.next_data(source)? {
            Part::Data(data)
        } else if let Some(ids) = self.next_ids() {
            Part::ExampleIds(ids)
        } else {
            self.ended = true;
            Part::Manifest(manifest(&self.plan, &self.gone, &self.tally))
        };
        Ok(Some(ExportResponse { part: Some(part) }))
    }

    fn next_data(&mut self, source: &dyn Source) -> Result<Option<Vec<u8>>> {
        while self.ready.len() < CHUNK_BYTES && self.writer.is_some() {
            self.read_lines(source)?;
        }
        let rest = self.ready.split_off(self.ready.len().min(CHUNK_BYTES));
        let data = mem::replace(&mut self.ready, rest);
        if data.is_empty() {
            return Ok(None);
        }
        self.tally.data.update(&data);
        self.tally.data_bytes += data.len() as u64;
        Ok(Some(data))
    }

    /// Writes the next few lines, or the end of the file.
    fn read_lines(&mut self, source: &dyn Source) -> Result<()> {
        let end = self.plan.lines.len().min(self.next_line + READ_AT_ONCE);
        let lines = &self.plan.lines[self.next_line..end];
        let Some(writer) = self.writer.as_mut().filter(|_| !lines.is_empty()) else {
            if let Some(Writer::Parquet(file)) = self.writer.take() {
                self.ready.append(&mut file.finish()?);
            }
            return Ok(());
        };
        match writer {
            Writer::Json => {
                let shares: Vec<(Vec<u8>, Vec<bool>)> = lines
                    .par_chunks(READ_EXAMPLES)
                    .map(|lines| {
                        let mut json = Vec::with_capacity(CHUNK_BYTES);
                        let gone =
                            self.plan.read(source, lines, |line| line.write_json(&mut json))?;
                        Ok((json, gone))
                    })
                    .collect::<Result<_>>()?;
                for (json, gone) in shares {
                    self.ready.extend_from_slice(&json);
                    self.gone.extend(gone);
                }
            }
            Writer::Parquet(file) => {
                self.gone.extend(self.plan.read(source, lines, |line| file.add(line))?);
                self.ready.append(&mut file.take_bytes()?);
            }
        }
        self.next_line = end;
        Ok(())
    }

    fn next_ids(&mut self) -> Option<ExampleIds> {
        let start = self.next_id;
        let lines = self.plan.lines.iter().zip(&self.gone).skip(start);
        let mut example_ids = Vec::new();
        for (line, gone) in lines {
            if example_ids.len() == CHUNK_IDS {
                break;
            }
            self.next_id += 1;
            if !gone {
                let id = line.row.id().to_string();
                self.tally.ids.update(id.as_bytes()).update(b"\n");
                example_ids.push(id);
            }
        }
        (!example_ids.is_empty()).then_some(ExampleIds { example_ids })
    }
}

impl Plan {
    /// Shows the lines of what is still as it was when it was chosen; by line, whether it was gone.
    fn read(
        &self,
        source: &dyn Source,
        lines: &[Planned],
        mut see: impl FnMut(&Line<'_>) -> Result<()>,
    ) -> Result<Vec<bool>> {
        let ids: Vec<ExampleId> = lines.iter().map(|line| line.row.id()).collect();
        let mut expected = lines.iter();
        let mut gone = Vec::with_capacity(lines.len());
        source.read_many(&ids, &mut |id, record| {
            let Some(planned) = expected.next() else { return Ok(()) };
            let unchanged = record.filter(|record| record.checksum == planned.row.checksum);
            gone.push(unchanged.is_none());
            let Some(record) = unchanged else { return Ok(()) };
            see(&Line { id, record, system: (self.system)(id.category), split: planned.split })
        })?;
        Ok(gone)
    }
}

impl Parts {
    /// The examples that were written, once all of them were read.
    pub(crate) fn written(&self) -> Vec<ExampleId> {
        let lines = self.plan.lines.iter().zip(&self.gone);
        lines.filter(|(_, gone)| !**gone).map(|(line, _)| line.row.id()).collect()
    }
}

/// [`Parts`] with the source that they are read from.
pub struct PartsOf<'a> {
    parts: Parts,
    source: &'a dyn Source,
}

impl Iterator for PartsOf<'_> {
    type Item = Result<ExportResponse>;

    fn next(&mut self) -> Option<Self::Item> {
        let part = self.parts.next_part(self.source);
        self.parts.ended |= part.is_err();
        part.transpose()
    }
}

impl Parts {
    /// The pieces as an iterator, which ends after an error.
    pub fn of(self, source: &dyn Source) -> PartsOf<'_> {
        PartsOf { parts: self, source }
    }
}
