//! Readers that take only a part of a record.

use serde::de::DeserializeOwned;

use crate::record::run_record::{RunRecord, Status};

/// What any reader of a record needs to tell the state of a trial.
pub trait RecordView: DeserializeOwned {
    /// Trial id.
    fn id(&self) -> &str;
    /// How the trial ended.
    fn status(&self) -> Status;
}

impl RecordView for RunRecord {
    fn id(&self) -> &str {
        &self.id
    }

    fn status(&self) -> Status {
        self.status
    }
}
