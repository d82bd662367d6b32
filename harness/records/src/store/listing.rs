//! Thousands of trials listed quickly: of each record only what a list shows is read.

use std::path::PathBuf;

use serde::Deserialize;

use crate::record::{Metrics, RecordView, RecordedDevice, Status, TrialError};
use crate::store::error::StoreError;
use crate::store::root::Store;
use crate::store::state::TrialState;
use crate::store::trial_dir::TrialDir;

/// A trial in a list.
#[derive(Debug, Clone, PartialEq)]
pub struct Listed {
    /// Name of the sweep.
    pub sweep: String,
    /// Trial id.
    pub id: String,
    /// Its folder.
    pub path: PathBuf,
    /// How far it is.
    pub state: TrialState<Brief>,
}

/// What a list shows of a record.
#[derive(Debug, Clone, PartialEq, Deserialize)]
pub struct Brief {
    /// See [`FORMAT`].
    pub format: u32,
    /// Trial id.
    pub id: String,
    /// How it ended.
    pub status: Status,
    /// Why it did not end well.
    pub error: Option<TrialError>,
    /// Final metrics.
    pub metrics: Option<Metrics>,
    /// Which attempt wrote the record.
    pub attempt: u32,
    /// Seed.
    pub seed: u64,
    /// Times.
    pub time: BriefTime,
    /// What it ran on.
    pub environment: BriefEnvironment,
    /// What was asked.
    pub config: BriefConfig,
}

/// Of the times.
#[derive(Debug, Clone, PartialEq, Deserialize)]
pub struct BriefTime {
    /// End, seconds since 1970 UTC.
    pub finished: u64,
    /// Seconds of work.
    #[serde(with = "crate::record::number")]
    pub seconds: f64,
}

/// Of what it ran on.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct BriefEnvironment {
    /// The device that computed.
    pub device: RecordedDevice,
    /// Host name.
    pub host: String,
}

/// Of what was asked.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct BriefConfig {
    /// Data set.
    pub dataset: Named,
    /// Model.
    pub model: Named,
    /// Methods.
    pub quant: BriefQuant,
}

/// Something with a name.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Named {
    /// Its name.
    pub name: String,
}

/// The methods of a trial.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct BriefQuant {
    /// Of weights.
    pub weights: BriefMethod,
    /// Of activations.
    pub activations: BriefMethod,
}

/// A method with its bits.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct BriefMethod {
    /// Its name.
    pub method: String,
    /// Bits; `None` in full precision.
    #[serde(default)]
    pub bits: Option<u8>,
}

impl RecordView for Brief {
    fn id(&self) -> &str {
        &self.id
    }

    fn status(&self) -> Status {
        self.status
    }
}

impl Brief {
    /// In a few words: `digits lenet dorefa w2 a32 seed=0`.
    #[must_use]
    pub fn label(&self) -> String {
        let BriefQuant { weights, activations } = &self.config.quant;
        let bits = |method: &BriefMethod| method.bits.unwrap_or(32);
        let (w, a) = (bits(weights), bits(activations));
        let BriefConfig { dataset, model, .. } = &self.config;
        format!("{} {} {} w{w} a{a} seed={}", dataset.name, model.name, weights.method, self.seed)
    }
}

impl Store {
    /// Every trial of one sweep, or of all, sorted by sweep and id. Reads only.
    ///
    /// # Errors
    /// A folder cannot be read.
    pub fn list(&self, sweep: Option<&str>) -> Result<Vec<Listed>, StoreError> {
        let dirs = self.trials(sweep)?.into_iter();
        Ok(dirs.map(|(sweep, dir)| listed(sweep, &dir)).collect())
    }
}

fn listed(sweep: String, dir: &TrialDir) -> Listed {
    Listed { sweep, id: dir.id.clone(), path: dir.path().to_owned(), state: dir.state_with() }
}
