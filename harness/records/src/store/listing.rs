//! Thousands of trials listed quickly: of each record only what a list shows is read.

use std::path::PathBuf;

use serde::Deserialize;

use crate::record::{FORMAT, Metrics, Status, TrialError};
use crate::store::error::StoreError;
use crate::store::files::read_json;
use crate::store::lease::{Holder, Owner};
use crate::store::root::Store;
use crate::store::trial_dir::TrialDir;

/// How far a listed trial is.
#[derive(Debug, Clone, PartialEq)]
pub enum Standing {
    /// Nothing has been kept of it yet.
    New,
    /// It has a checkpoint after so many epochs, and nobody works on it.
    Partial(u32),
    /// Somebody works on it; who, where that is known.
    Running(Option<Owner>),
    /// It ended well.
    Ok,
    /// The loss became NaN or infinite.
    Diverged,
    /// It failed.
    Failed,
    /// Its files cannot be used, for this reason.
    Broken(String),
}

impl Standing {
    /// The names, as [`Standing::name`] gives them.
    pub const NAMES: [&str; 7] = ["new", "partial", "running", "ok", "diverged", "failed", "broken"];

    /// The name in tables.
    #[must_use]
    pub fn name(&self) -> &'static str {
        match self {
            Standing::New => "new",
            Standing::Partial(_) => "partial",
            Standing::Running(_) => "running",
            Standing::Ok => "ok",
            Standing::Diverged => "diverged",
            Standing::Failed => "failed",
            Standing::Broken(_) => "broken",
        }
    }
}

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
    pub standing: Standing,
    /// What its record says, where it has one.
    pub brief: Option<Brief>,
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
    /// `cpu` or `cuda:0`.
    pub device: String,
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
    let (standing, brief) = match stand(dir) {
        Ok(found) => found,
        Err(error) => (Standing::Broken(error.to_string()), None),
    };
    Listed { sweep, id: dir.id.clone(), path: dir.path().to_owned(), standing, brief }
}

fn stand(dir: &TrialDir) -> Result<(Standing, Option<Brief>), StoreError> {
    let brief: Option<Brief> = read_json(&dir.record_path())?;
    if let Some(brief) = &brief {
        if brief.id != dir.id {
            let reason = format!("it is the record of trial {}", brief.id);
            return Err(StoreError::Damaged { path: dir.record_path(), reason });
        }
        if brief.format > FORMAT {
            return Err(StoreError::Newer { path: dir.record_path(), found: brief.format });
        }
        if brief.status == Status::Ok {
            return Ok((Standing::Ok, Some(brief.clone())));
        }
    }
    // A failed trial that is being tried again has a lease.
    if let Holder::Lives(owner) | Holder::Silent { owner, .. } = dir.holder()? {
        return Ok((Standing::Running(owner), brief));
    }
    Ok(match &brief {
        Some(Brief { status: Status::Diverged, .. }) => (Standing::Diverged, brief),
        Some(_) => (Standing::Failed, brief),
        None => (dir.resume_state()?.map_or(Standing::New, |state| Standing::Partial(state.epoch)), None),
    })
}
