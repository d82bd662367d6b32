//! What a trial's record says, made from what is known of its training.

use harness_models::network::SiteStatistics;
use harness_records::record::{
    CorrectSamples, Environment, FORMAT, LayerRecord, Metrics, RunRecord, SiteRecord, Status, TimeRecord, TrialError,
    ValuesRecord,
};
use harness_records::trial::Trial;

use crate::job::{TrialProgress, now};

/// Codes of more bits than this are not counted after every epoch: their counts would be most of the record.
const COUNTED_BITS: u8 = 4;

/// What only a training that ended well has.
pub(crate) struct TrialResult {
    /// Metrics on the test split after the last epoch.
    pub(crate) metrics: Option<Metrics>,
    pub(crate) layers: Vec<LayerRecord>,
    /// Which test images the last evaluation classified correctly; none for a text.
    pub(crate) correct_samples: Option<CorrectSamples>,
}

/// How a trial ended.
pub(crate) enum Ending {
    Well(TrialResult),
    Badly(Status, TrialError),
}

/// The record of a trial that ended in its attempt number `attempt`, after `seconds` of work.
pub(crate) fn run_record(
    trial: &Trial,
    progress: TrialProgress,
    ending: Ending,
    attempt: u32,
    seconds: f64,
    environment: Environment,
) -> RunRecord {
    let (status, error, result) = match ending {
        Ending::Well(result) => (Status::Ok, None, Some(result)),
        Ending::Badly(status, error) => (status, Some(error), None),
    };
    let (metrics, layers, correct_samples) =
        result.map_or((None, Vec::new(), None), |result| (result.metrics, result.layers, result.correct_samples));
    RunRecord {
        format: FORMAT,
        id: trial.id.clone(),
        sweep: trial.sweep.clone(),
        status,
        error,
        config: trial.config.clone(),
        seed: trial.config.train.seed,
        metrics,
        layers,
        model: progress.model,
        time: TimeRecord { started: progress.started, finished: now(), seconds, resumed: progress.resumed },
        environment,
        epochs: progress.epochs,
        attempt,
        losses: progress.losses,
        split: progress.split,
        correct_samples,
    }
}

/// The full statistics of a quantized site, as the record keeps them of the last evaluation.
pub(crate) fn layer_record(site: SiteStatistics) -> LayerRecord {
    let (statistics, values) = (site.statistics.clone(), site.statistics.values);
    LayerRecord {
        layer: site.layer,
        role: site.role,
        method: site.method.to_owned(),
        bits: site.bits,
        shape: site.shape,
        relative_mse: statistics.relative_mse,
        effective_bits: statistics.effective_bits,
        code_counts: statistics.code_counts,
        fraction: statistics.fraction,
        values: Some(ValuesRecord {
            cosine: values.cosine,
            low: values.low,
            high: values.high,
            before: values.before,
            after: values.after,
            levels: values.levels,
        }),
    }
}

/// The few statistics of a quantized site that the record keeps of every epoch.
pub(crate) fn site_record(site: &SiteStatistics) -> SiteRecord {
    SiteRecord {
        layer: site.layer.clone(),
        role: site.role,
        relative_mse: site.statistics.relative_mse,
        effective_bits: site.statistics.effective_bits,
        fraction: site.statistics.fraction,
        code_counts: if site.bits <= COUNTED_BITS { site.statistics.code_counts.clone() } else { Vec::new() },
    }
}
