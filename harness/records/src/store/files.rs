//! Reading and writing the JSON files of a trial.

use std::fs;
use std::io;
use std::path::Path;

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::record::{FORMAT, RunRecord, Status};
use crate::store::error::{StoreError, io_error};

/// True when the folder holds the record of a trial that ended well.
pub(crate) fn is_finished(folder: &Path) -> bool {
    matches!(read_json::<RunRecord>(&folder.join("record.json")), Ok(Some(record)) if record.status == Status::Ok)
}

pub(crate) fn to_json<T: Serialize>(value: &T, path: &Path) -> Result<Vec<u8>, StoreError> {
    let mut bytes = serde_json::to_vec_pretty(value)
        .map_err(|error| StoreError::Damaged { path: path.to_owned(), reason: error.to_string() })?;
    bytes.push(b'\n');
    Ok(bytes)
}

/// Reads a file with a `format`; `None` when it does not exist. Unknown fields are ignored.
pub(crate) fn read_json<T: DeserializeOwned>(path: &Path) -> Result<Option<T>, StoreError> {
    read_bytes(path)?.map(|bytes| parse(&bytes, path)).transpose()
}

pub(crate) fn read_bytes(path: &Path) -> Result<Option<Vec<u8>>, StoreError> {
    match fs::read(path) {
        Ok(bytes) => Ok(Some(bytes)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(io_error("read", path)(error)),
    }
}

/// The content of a file with a `format`.
pub(crate) fn parse<T: DeserializeOwned>(bytes: &[u8], path: &Path) -> Result<T, StoreError> {
    #[derive(Deserialize)]
    struct Head {
        format: u32,
    }
    let damaged = |error: serde_json::Error| StoreError::Damaged { path: path.to_owned(), reason: error.to_string() };
    // The format first: a newer file may look damaged to an older reader.
    let head: Head = serde_json::from_slice(bytes).map_err(damaged)?;
    if head.format > FORMAT {
        return Err(StoreError::Newer { path: path.to_owned(), found: head.format });
    }
    serde_json::from_slice(bytes).map_err(damaged)
}
