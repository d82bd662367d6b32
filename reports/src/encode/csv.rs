//! Comma-separated values (RFC 4180), full precision.

use crate::error::ReportError;
use crate::sheet::{Data, Value};

/// A header line and one line a row. Numbers are the shortest decimals that read back to the same bits.
pub(crate) fn csv(data: &Data) -> Result<Vec<u8>, ReportError> {
    let failed = |error: csv::Error| ReportError::Build { what: "comma-separated values", reason: error.to_string() };
    let mut writer = csv::Writer::from_writer(Vec::new());
    writer.write_record(&data.columns).map_err(failed)?;
    for row in &data.rows {
        writer.write_record(row.iter().map(text)).map_err(failed)?;
    }
    writer.into_inner().map_err(|error| failed(error.into_error().into()))
}

fn text(value: &Value) -> String {
    match value {
        Value::Absent => String::new(),
        Value::Text(text) => text.clone(),
        Value::Whole(count) => count.to_string(),
        Value::Number(number) => number.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn whatever_is_written_is_read_back(texts in prop::collection::vec(".*|[,\"\r\n|' ]{0,6}", 1..6), number: f64) {
            let columns = vec!["name", "number"];
            let rows = texts.iter().map(|t| vec![Value::Text(t.clone()), Value::Number(number)]).collect();
            let written = csv(&Data { columns, rows }).unwrap();
            let mut reader = csv::Reader::from_reader(written.as_slice());
            let read: Vec<csv::StringRecord> = reader.records().collect::<Result<_, _>>().unwrap();
            prop_assert_eq!(read.len(), texts.len());
            for (record, text) in read.iter().zip(&texts) {
                prop_assert_eq!(&record[0], text);
                let back: f64 = record[1].parse().unwrap();
                prop_assert!(back == number || (back.is_nan() && number.is_nan()));
            }
        }
    }

    #[test]
    fn absent_values_are_empty() {
        let rows = vec![vec![Value::Absent, Value::Whole(3)], vec![Value::from(Some(0.1)), Value::from(None)]];
        let written = csv(&Data { columns: vec!["a", "b"], rows }).unwrap();
        assert_eq!(String::from_utf8(written).unwrap(), "a,b\n,3\n0.1,\n");
    }
}
