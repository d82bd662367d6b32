//! What came of running a finished trial again, `verified.json`.
//!
//! It stands beside the record, which is never changed, and names it by its hash.

use serde::{Deserialize, Serialize};

use crate::record::{Environment, FORMAT};
use crate::store::error::StoreError;
use crate::store::files::{read_bytes, read_json, to_json};
use crate::store::host::now;
use crate::store::trial_dir::TrialDir;

const NAME: &str = "verified.json";

/// A trial that was run again.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Verification {
    /// See [`FORMAT`].
    pub format: u32,
    /// Seconds since 1970 UTC.
    pub at: u64,
    /// BLAKE3 of the record that it was compared with.
    pub record: String,
    /// What the second run ran on.
    pub environment: Environment,
    /// Where the two part; `None`: every number is the same to the bit.
    pub difference: Option<String>,
}

impl TrialDir {
    /// The verification of the record that the trial has now; `None` where there is none.
    ///
    /// # Errors
    /// Files that cannot be read, or a newer format.
    pub fn verification(&self) -> Result<Option<Verification>, StoreError> {
        let found: Option<Verification> = read_json(&self.path().join(NAME))?;
        let hash = self.record_hash()?;
        Ok(found.filter(|found| Some(&found.record) == hash.as_ref()))
    }

    /// Writes `verified.json`.
    ///
    /// # Errors
    /// Any failure of the file system.
    pub fn write_verification(
        &self,
        environment: &Environment,
        difference: Option<String>,
    ) -> Result<Verification, StoreError> {
        let record = self.record_hash()?.unwrap_or_default();
        let written = Verification { format: FORMAT, at: now(), record, environment: environment.clone(), difference };
        self.write(NAME, &to_json(&written, &self.path().join(NAME))?)?;
        Ok(written)
    }

    fn record_hash(&self) -> Result<Option<String>, StoreError> {
        let bytes = read_bytes(&self.record_path())?;
        Ok(bytes.map(|bytes| blake3::hash(&bytes).to_hex().to_string()))
    }
}
