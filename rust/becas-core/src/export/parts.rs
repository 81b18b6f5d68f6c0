//! The second pass: the pieces of an export, made as they are asked for.

use std::mem;

use super::{
    line::Line,
    manifest::{Tally, manifest},
    matched::stamp,
    parquet::ParquetWriter,
    plan::Plan,
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
const READ_EXAMPLES: usize = 64;
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
        let end = self.plan.lines.len().min(self.next_line + READ_EXAMPLES);
        let lines = &self.plan.lines[self.next_line..end];
        let Some(writer) = self.writer.as_mut().filter(|_| !lines.is_empty()) else {
            if let Some(Writer::Parquet(file)) = self.writer.take() {
                self.ready.append(&mut file.finish()?);
            }
            return Ok(());
        };
        let ids: Vec<ExampleId> = lines.iter().map(|line| line.row.id()).collect();
        let mut expected = lines.iter();
        source.read_many(&ids, &mut |id, example| {
            let Some(planned) = expected.next() else { return Ok(()) };
            let unchanged = example.filter(|example| stamp(example) == planned.row.stamp);
            self.gone.push(unchanged.is_none());
            let Some(example) = unchanged else { return Ok(()) };
            let system = (self.plan.system)(id.category);
            let line = Line { id, example: &example, system, split: planned.split };
            match writer {
                Writer::Json => line.write_json(&mut self.ready),
                Writer::Parquet(file) => file.add(&line),
            }
        })?;
        if let Writer::Parquet(file) = writer {
            self.ready.append(&mut file.take_bytes()?);
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
