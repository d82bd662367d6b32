//! Parquet files, as plain as the format allows: one row group, one page a column, no compression.
//!
//! polars and the `parquet` crate write better ones. That of polars would cost every clean build 49 s of processor time,
//! measured beside the 202 s of the parts of polars that are used, for tables of some thousand rows.
//! Layout: `PAR1`, the pages, the file's metadata (Thrift), its length, `PAR1`. Every column may have absent values.

use crate::encode::thrift::{Struct, varint};
use crate::sheet::{Data, Value};

const MAGIC: &[u8] = b"PAR1";
const PLAIN: i32 = 0;
const RLE: i32 = 3;
const UTF8: i32 = 0;
const OPTIONAL: i32 = 1;
const UNCOMPRESSED: i32 = 0;
const DATA_PAGE: i32 = 0;

/// What a column holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Int64,
    Double,
    Text,
}

impl Kind {
    /// The narrowest that holds all values; numbers where there are none.
    fn of<'a>(values: impl Iterator<Item = &'a Value>) -> Kind {
        let mut kind = None;
        for value in values {
            kind = match (value, kind) {
                (Value::Text(_), _) => return Kind::Text,
                (Value::Number(_), _) => Some(Kind::Double),
                (Value::Whole(count), None) if i64::try_from(*count).is_ok() => Some(Kind::Int64),
                (Value::Whole(count), Some(Kind::Int64)) if i64::try_from(*count).is_ok() => kind,
                (Value::Whole(_), _) => Some(Kind::Double),
                (Value::Absent, kind) => kind,
            };
        }
        kind.unwrap_or(Kind::Double)
    }

    fn code(self) -> i32 {
        match self {
            Kind::Int64 => 2,
            Kind::Double => 5,
            Kind::Text => 6,
        }
    }

    fn write(self, value: &Value, bytes: &mut Vec<u8>) {
        match (self, value) {
            (_, Value::Absent) => {}
            (Kind::Int64, Value::Whole(count)) => bytes.extend_from_slice(&count.to_le_bytes()),
            (Kind::Double, Value::Number(number)) => bytes.extend_from_slice(&number.to_le_bytes()),
            (Kind::Double, Value::Whole(count)) => bytes.extend_from_slice(&(*count as f64).to_le_bytes()),
            (_, Value::Text(text)) => string(text, bytes),
            // A column with some text is text.
            (_, Value::Whole(count)) => string(&count.to_string(), bytes),
            (_, Value::Number(number)) => string(&number.to_string(), bytes),
        }
    }
}

fn string(text: &str, bytes: &mut Vec<u8>) {
    bytes.extend_from_slice(&(text.len() as u32).to_le_bytes());
    bytes.extend_from_slice(text.as_bytes());
}

/// Which rows have a value: runs of equal bits, each its length and the bit, after their total length.
fn definition_levels(values: &[&Value]) -> Vec<u8> {
    let mut runs = Vec::new();
    for same in values.chunk_by(|a, b| (**a == Value::Absent) == (**b == Value::Absent)) {
        varint((same.len() as u64) << 1, &mut runs);
        runs.push(u8::from(*same[0] != Value::Absent));
    }
    [(runs.len() as u32).to_le_bytes().as_slice(), &runs].concat()
}

/// The table as a file.
pub(crate) fn parquet(data: &Data) -> Vec<u8> {
    let mut file = MAGIC.to_vec();
    let rows = data.rows.len() as i64;
    let mut schema = vec![Struct::default().text(4, "schema").i32(5, data.columns.len() as i32)];
    let mut chunks = Vec::new();
    let mut total = 0;
    for (index, name) in data.columns.iter().enumerate() {
        let values: Vec<&Value> = data.rows.iter().map(|row| &row[index]).collect();
        let kind = Kind::of(values.iter().copied());
        let element = Struct::default().i32(1, kind.code()).i32(3, OPTIONAL).text(4, name);
        schema.push(if kind == Kind::Text { element.i32(6, UTF8) } else { element });

        let mut page = definition_levels(&values);
        values.iter().for_each(|value| kind.write(value, &mut page));
        let data_page = Struct::default().i32(1, rows as i32).i32(2, PLAIN).i32(3, RLE).i32(4, RLE);
        let size = page.len() as i32;
        let head = Struct::default().i32(1, DATA_PAGE).i32(2, size).i32(3, size).structure(5, data_page).finish();
        let start = file.len() as i64;
        let length = (head.len() + page.len()) as i64;
        file.extend(head);
        file.extend(page);
        total += length;
        let column = Struct::default()
            .i32(1, kind.code())
            .i32s(2, &[PLAIN, RLE])
            .texts(3, &[name])
            .i32(4, UNCOMPRESSED)
            .i64(5, rows)
            .i64(6, length)
            .i64(7, length)
            .i64(9, start);
        chunks.push(Struct::default().i64(2, start).structure(3, column));
    }
    let group = Struct::default().structures(1, chunks).i64(2, total).i64(3, rows);
    let footer = Struct::default()
        .i32(1, 1)
        .structures(2, schema)
        .i64(3, rows)
        .structures(4, vec![group])
        .text(6, concat!("harness version ", env!("CARGO_PKG_VERSION")))
        .finish();
    file.extend_from_slice(&footer);
    file.extend_from_slice(&(footer.len() as u32).to_le_bytes());
    file.extend_from_slice(MAGIC);
    file
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// Reads what the format's specification says, knowing nothing of the writer but the names of the columns.
    mod reader {
        use std::collections::BTreeMap;

        #[derive(Debug, Clone, PartialEq)]
        pub(super) enum Field {
            Number(i64),
            Bytes(Vec<u8>),
            List(Vec<Field>),
            Struct(BTreeMap<i16, Field>),
        }

        pub(super) struct Reader<'a>(pub(super) &'a [u8]);

        impl Reader<'_> {
            pub(super) fn byte(&mut self) -> u8 {
                let (first, rest) = self.0.split_first().unwrap();
                self.0 = rest;
                *first
            }

            pub(super) fn varint(&mut self) -> u64 {
                let (mut number, mut shift) = (0, 0);
                loop {
                    let byte = self.byte();
                    number |= u64::from(byte & 0x7f) << shift;
                    shift += 7;
                    if byte < 0x80 {
                        return number;
                    }
                }
            }

            pub(super) fn take(&mut self, len: usize) -> Vec<u8> {
                let (taken, rest) = self.0.split_at(len);
                self.0 = rest;
                taken.to_vec()
            }

            fn value(&mut self, kind: u8) -> Field {
                match kind {
                    5 | 6 => {
                        let number = self.varint();
                        Field::Number((number >> 1).cast_signed() ^ -((number & 1).cast_signed()))
                    }
                    8 => {
                        let len = self.varint() as usize;
                        Field::Bytes(self.take(len))
                    }
                    9 => {
                        let head = self.byte();
                        let len = if head >> 4 == 15 { self.varint() as usize } else { usize::from(head >> 4) };
                        Field::List((0..len).map(|_| self.value(head & 15)).collect())
                    }
                    12 => self.structure(),
                    other => panic!("type {other}"),
                }
            }

            pub(super) fn structure(&mut self) -> Field {
                let (mut fields, mut id) = (BTreeMap::new(), 0);
                loop {
                    let head = self.byte();
                    if head == 0 {
                        return Field::Struct(fields);
                    }
                    id += i16::from(head >> 4);
                    let value = self.value(head & 15);
                    fields.insert(id, value);
                }
            }
        }

        impl Field {
            pub(super) fn at(&self, id: i16) -> &Field {
                match self {
                    Field::Struct(fields) => &fields[&id],
                    other => panic!("{other:?}"),
                }
            }

            pub(super) fn list(&self) -> &[Field] {
                match self {
                    Field::List(items) => items,
                    other => panic!("{other:?}"),
                }
            }

            pub(super) fn number(&self) -> i64 {
                match self {
                    Field::Number(number) => *number,
                    other => panic!("{other:?}"),
                }
            }
        }
    }

    /// Every column as its values in text, absent ones as `None`.
    fn read(file: &[u8]) -> Vec<Vec<Option<String>>> {
        assert!(file.starts_with(MAGIC) && file.ends_with(MAGIC));
        let length = u32::from_le_bytes(file[file.len() - 8..file.len() - 4].try_into().unwrap()) as usize;
        let footer = reader::Reader(&file[file.len() - 8 - length..file.len() - 8]).structure();
        let rows = footer.at(3).number();
        let group = &footer.at(4).list()[0];
        let columns = group.at(1).list().iter().map(|chunk| {
            let meta = chunk.at(3);
            let (kind, start) = (meta.at(1).number(), meta.at(9).number() as usize);
            let mut page = reader::Reader(&file[start..start + meta.at(7).number() as usize]);
            let head = page.structure();
            assert_eq!(head.at(3).number() as usize, page.0.len());
            assert_eq!(head.at(5).at(1).number(), rows);
            let levels = u32::from_le_bytes(page.take(4).try_into().unwrap()) as usize;
            let levels = page.take(levels);
            let mut runs = reader::Reader(&levels);
            let mut values = Vec::new();
            while !runs.0.is_empty() {
                let run = runs.varint() >> 1;
                let present = runs.byte() == 1;
                for _ in 0..run {
                    values.push(present.then(|| match kind {
                        2 => i64::from_le_bytes(page.take(8).try_into().unwrap()).to_string(),
                        5 => f64::from_le_bytes(page.take(8).try_into().unwrap()).to_string(),
                        _ => {
                            let len = u32::from_le_bytes(page.take(4).try_into().unwrap()) as usize;
                            String::from_utf8(page.take(len)).unwrap()
                        }
                    }));
                }
            }
            assert!(page.0.is_empty());
            assert_eq!(values.len() as i64, rows);
            values
        });
        columns.collect()
    }

    proptest! {
        #[test]
        fn every_value_is_read_back(
            rows in prop::collection::vec((prop::option::of(".{0,9}"), prop::option::of(0u64..1 << 62), prop::option::of(-1e9f64..1e9)), 0..40),
        ) {
            let value = |row: &(Option<String>, Option<u64>, Option<f64>)| vec![
                row.0.clone().map_or(Value::Absent, Value::Text),
                row.1.map_or(Value::Absent, Value::Whole),
                row.2.map_or(Value::Absent, Value::Number),
            ];
            let data = Data { columns: vec!["text", "whole", "number"], rows: rows.iter().map(value).collect() };
            let columns = read(&parquet(&data));
            prop_assert_eq!(&columns[0], &rows.iter().map(|row| row.0.clone()).collect::<Vec<_>>());
            prop_assert_eq!(&columns[1], &rows.iter().map(|row| row.1.map(|v| v.to_string())).collect::<Vec<_>>());
            prop_assert_eq!(&columns[2], &rows.iter().map(|row| row.2.map(|v| v.to_string())).collect::<Vec<_>>());
        }
    }

    #[test]
    fn mixed_columns_are_as_wide_as_needed() {
        let column = |values: Vec<Value>| {
            let data = Data { columns: vec!["x"], rows: values.into_iter().map(|value| vec![value]).collect() };
            read(&parquet(&data)).remove(0)
        };
        let some = |text: &str| Some(text.to_owned());
        assert_eq!(column(vec![Value::Whole(1), Value::Number(0.5)]), [some("1"), some("0.5")]);
        assert_eq!(column(vec![Value::Whole(1), Value::from("a")]), [some("1"), some("a")]);
        assert_eq!(column(vec![Value::Absent, Value::Absent]), [None, None]);
        assert_eq!(column(vec![Value::Whole(u64::MAX)]), [some("18446744073709552000")]);
    }
}
