//! The dataset as Apache Parquet: the columns of the JSON lines, compressed with zstd.

use std::{mem, sync::Arc};

use ::parquet::{
    basic::{Compression, ZstdLevel},
    data_type::{BoolType, ByteArray, ByteArrayType, DataType, DoubleType, Int64Type},
    errors::ParquetError,
    file::{
        properties::WriterProperties,
        writer::{SerializedFileWriter, SerializedRowGroupWriter},
    },
    schema::parser::parse_message_type,
};

use super::{
    line::{Line, split_name},
    numbers::io,
};
use crate::error::Result;

/// `time` is a timestamp and `quality` a double; all else is as in the JSON lines.
const SCHEMA: &str = "message example {
  required binary input (UTF8);
  required binary output (UTF8);
  required binary system (UTF8);
  required group metadata {
    required binary example_id (UTF8);
    required binary category (UTF8);
    required binary event_name (UTF8);
    required binary label (UTF8);
    required binary tier (UTF8);
    required binary outcome (UTF8);
    required binary split (UTF8);
    required int64 time (TIMESTAMP(MILLIS,true));
    optional binary user (UTF8);
    optional binary guild (UTF8);
    required boolean human_validated;
    required boolean rag_enhanced;
    required boolean corrected_twin;
  }
  required double quality;
}";
/// A row group is written at so many rows or bytes of text, whichever comes first: what is held in memory.
const GROUP_ROWS: usize = 16_384;
const GROUP_BYTES: usize = 8 << 20;

/// A Parquet file in the making.
pub(super) struct ParquetWriter {
    file: SerializedFileWriter<Vec<u8>>,
    columns: Columns,
}

/// Rows that wait for their group, column by column.
#[derive(Default)]
struct Columns {
    texts: [Vec<ByteArray>; 10],
    time: Vec<i64>,
    people: [Vec<Option<ByteArray>>; 2],
    flags: [Vec<bool>; 3],
    quality: Vec<f64>,
    bytes: usize,
}

impl ParquetWriter {
    /// An empty file.
    pub(super) fn new() -> Result<Self> {
        let schema = parse_message_type(SCHEMA).map_err(io)?;
        let properties = WriterProperties::builder()
            .set_compression(Compression::ZSTD(ZstdLevel::default()))
            // The library's own version would change the bytes with every update of it.
            .set_created_by("becas-ft".to_owned())
            .build();
        let file = SerializedFileWriter::new(Vec::new(), Arc::new(schema), Arc::new(properties))
            .map_err(io)?;
        Ok(Self { file, columns: Columns::default() })
    }

    /// Adds a row.
    pub(super) fn add(&mut self, line: &Line<'_>) -> Result<()> {
        self.columns.add(line);
        if self.columns.time.len() >= GROUP_ROWS || self.columns.bytes >= GROUP_BYTES {
            self.flush()?;
        }
        Ok(())
    }

    /// The bytes that are finished.
    pub(super) fn take_bytes(&mut self) -> Result<Vec<u8>> {
        self.file.flush().map_err(io)?;
        Ok(mem::take(self.file.inner_mut()))
    }

    /// Writes what waits, and the footer.
    pub(super) fn finish(mut self) -> Result<Vec<u8>> {
        if !self.columns.time.is_empty() {
            self.flush()?;
        }
        self.file.into_inner().map_err(io)
    }

    fn flush(&mut self) -> Result<()> {
        let columns = mem::take(&mut self.columns);
        self.write_group(columns).map_err(io)
    }

    fn write_group(&mut self, columns: Columns) -> std::result::Result<(), ParquetError> {
        let mut group = self.file.next_row_group()?;
        let [user, guild] = columns.people;
        for text in columns.texts {
            write::<ByteArrayType>(&mut group, &text, None)?;
        }
        write::<Int64Type>(&mut group, &columns.time, None)?;
        for people in [user, guild] {
            let levels: Vec<i16> =
                people.iter().map(|person| i16::from(person.is_some())).collect();
            let present: Vec<ByteArray> = people.into_iter().flatten().collect();
            write::<ByteArrayType>(&mut group, &present, Some(&levels))?;
        }
        for flags in columns.flags {
            write::<BoolType>(&mut group, &flags, None)?;
        }
        write::<DoubleType>(&mut group, &columns.quality, None)?;
        group.close()?;
        Ok(())
    }
}

/// Writes the next column of a group; `levels` where its values are optional.
fn write<T: DataType>(
    group: &mut SerializedRowGroupWriter<'_, Vec<u8>>,
    values: &[T::T],
    levels: Option<&[i16]>,
) -> std::result::Result<(), ParquetError> {
    let mut column = group
        .next_column()?
        .ok_or_else(|| ParquetError::General("more columns than the schema has".to_owned()))?;
    column.typed::<T>().write_batch(values, levels, None)?;
    column.close()
}

impl Columns {
    fn add(&mut self, line: &Line<'_>) {
        let example = &line.record.header;
        let id = line.id.to_string();
        let texts = [
            line.record.input(),
            line.record.output(),
            line.system,
            &id,
            example.category.name(),
            example.kind.name(),
            line.record.label(),
            example.tier.name(),
            example.outcome.name(),
            split_name(line.split),
        ];
        for (column, text) in self.texts.iter_mut().zip(texts) {
            self.bytes += text.len();
            column.push(ByteArray::from(text.as_bytes().to_vec()));
        }
        self.time.push(example.time_ms);
        for (column, person) in self.people.iter_mut().zip([example.user, example.guild]) {
            column.push(person.map(|person| ByteArray::from(person.to_string().into_bytes())));
        }
        let flags = [example.human_validated, example.rag_enhanced, example.corrected_twin];
        for (column, flag) in self.flags.iter_mut().zip(flags) {
            column.push(flag);
        }
        self.quality.push(example.score.as_f64());
    }
}
