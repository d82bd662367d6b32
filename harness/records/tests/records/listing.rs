//! The parts of a record that a list shows are the parts of the whole record.

use harness_records::config::MethodChoice;
use harness_records::listing::{Brief, BriefConfig, BriefEnvironment, BriefMethod, BriefQuant, BriefTime, Named};
use harness_records::record::{FailureClass, RunRecord, Status, TrialError};
use proptest::prelude::*;

use crate::ids::config;
use crate::stores::record;

/// Every field of a brief record, compared with the field of the whole one. The patterns name all fields, so a new one
/// has to be compared here too.
fn compare(brief: Brief, whole: &RunRecord) {
    let Brief { format, id, status, error, metrics, attempt, seed, time, environment, config } = brief;
    assert_eq!(format, whole.format);
    assert_eq!(id, whole.id);
    assert_eq!(status, whole.status);
    assert_eq!(error, whole.error);
    assert_eq!(metrics, whole.metrics);
    assert_eq!(attempt, whole.attempt);
    assert_eq!(seed, whole.seed);
    let BriefTime { finished, seconds } = time;
    assert_eq!(finished, whole.time.finished);
    assert_eq!(seconds.to_bits(), whole.time.seconds.to_bits());
    let BriefEnvironment { device, host } = environment;
    assert_eq!(device, whole.environment.device);
    assert_eq!(host, whole.environment.host);
    let BriefConfig { dataset: Named { name: dataset }, model: Named { name: model }, quant } = config;
    assert_eq!(dataset, whole.config.dataset.name);
    assert_eq!(model, whole.config.model.name);
    let BriefQuant { weights, activations } = quant;
    let method = |brief: BriefMethod, whole: &MethodChoice| {
        let BriefMethod { method, bits } = brief;
        assert_eq!(method, whole.method);
        assert_eq!(bits, whole.bits);
    };
    method(weights, &whole.config.quant.weights);
    method(activations, &whole.config.quant.activations);
}

fn brief(whole: &RunRecord) -> Brief {
    serde_json::from_str(&serde_json::to_string(whole).unwrap()).unwrap()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn a_brief_record_says_what_the_whole_one_says(
        config in config(),
        status in prop::sample::select(vec![Status::Ok, Status::Diverged, Status::Failed]),
        seed: u64,
        attempt in 1..1000_u32,
        seconds in 0.0..1e9,
    ) {
        let mut whole = RunRecord { config, seed, attempt, ..record(status) };
        whole.time.seconds = seconds;
        compare(brief(&whole), &whole);
    }
}

#[test]
fn a_brief_record_holds_whatever_went_wrong() {
    for class in [FailureClass::Nan, FailureClass::Oom] {
        let error = Some(TrialError { class, message: "why".to_owned() });
        let whole = RunRecord { error, metrics: None, ..record(Status::Failed) };
        compare(brief(&whole), &whole);
    }
}
