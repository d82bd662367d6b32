//! Trials that build on another trial, on a file, or on nothing outside.

use harness_records::config::Init;
use harness_records::spec::SweepSpec;

use crate::support::{Folder, catalog, good, labels};

/// Float trials, and quantized ones that build on the float trial of their seed.
const STUDENTS: &str = "\
base: {train: {epochs: 3}}
axes:
  cell:
    - {quant.weights: {method: float}}
    - quant.weights: {method: uniform, bits: 2}
      train.init: {trial: {quant.weights.method: float, train.seed: same}}
    - quant.weights: {method: uniform, bits: 2}
      train.distill: {teacher: {quant: {weights: {method: float}}, train.seed: same}, temperature: 5}
  train.seed: [0, 1]
";

fn needs(spec: &SweepSpec) -> Vec<Vec<usize>> {
    let place = |id: &str| spec.trials().iter().position(|trial| trial.id == id).unwrap();
    spec.trials().iter().map(|trial| trial.config.train.needs().map(place).collect()).collect()
}

#[test]
fn trials_build_on_the_one_trial_that_fits() {
    let spec = good(STUDENTS, &[]);
    assert_eq!(needs(&spec), [vec![], vec![], vec![0], vec![1], vec![0], vec![1]]);
    assert_eq!(
        labels(&spec),
        [
            "float seed=0",
            "float seed=1",
            "uniform w2 a32 initialised seed=0",
            "uniform w2 a32 initialised seed=1",
            "uniform w2 a32 distilled temperature=5.0 seed=0",
            "uniform w2 a32 distilled temperature=5.0 seed=1",
        ]
    );
    let distill = spec.trials()[4].config.train.distill.as_ref().unwrap();
    assert_eq!((distill.alpha, distill.temperature), (1.0, 5.0));
    // What a trial builds on is part of what it is.
    let later = good(STUDENTS, &["train.label_smoothing=0.1"]);
    for (old, new) in spec.trials().iter().zip(later.trials()) {
        assert_ne!(old.id, new.id);
    }
    let longer = good(
        &STUDENTS.replace("{quant.weights: {method: float}}", "{quant.weights: {method: float}, train.epochs: 9}"),
        &[],
    );
    assert_eq!(spec.trials()[2].config.train.epochs, longer.trials()[2].config.train.epochs);
    assert_ne!(spec.trials()[2].id, longer.trials()[2].id);
}

#[test]
fn a_trial_brings_what_it_builds_on() {
    let spec = good(STUDENTS, &[]);
    let kept = spec.with_needs(|trial| trial.config.train.distill.is_some() && trial.config.train.seed == 1);
    let kept: Vec<&str> = kept.iter().map(|trial| trial.label.as_str()).collect();
    assert_eq!(kept, ["float seed=1", "uniform w2 a32 distilled temperature=5.0 seed=1"]);
    assert_eq!(spec.with_needs(|_| true), spec.trials());
}

#[test]
fn null_takes_a_dependency_back_and_a_new_one_replaces_it() {
    let base = "base: {train: {distill: {teacher: {train.epochs: 9}}, init: {trial: {train.epochs: 9}}}}\n";
    let spec = good(
        &format!("{base}axes: {{train.seed: [0, 1]}}\ninclude: [{{train: {{epochs: 9, distill: null, init: null}}}}]"),
        &[],
    );
    assert_eq!(needs(&spec), [vec![2, 2], vec![2, 2], vec![]]);
    let folder = Folder::new()
        .file("below.yaml", format!("{base}include: [{{train: {{epochs: 9, distill: null, init: null}}}}]"))
        .file("sweep.yaml", "{extends: below.yaml, base: {train: {init: {file: weights.bin}, distill: null}}}")
        .file("weights.bin", "abc");
    let path = folder.path("weights.bin").display().to_string();
    let spec = folder.read("sweep.yaml", &[&format!("train.init.file={path}")]).unwrap();
    let train = &spec.trials()[0].config.train;
    assert_eq!(train.distill, None);
    let Some(Init::File { blake3, .. }) = &train.init else { panic!("{train:?}") };
    assert_eq!(blake3, &blake3::hash(b"abc").to_hex()[..16]);
}

#[test]
fn a_file_of_first_weights_is_known_by_its_content() {
    let id = |name: &str, content: &str| {
        let folder = Folder::new().file(name, content).file("sweep.yaml", "name: a");
        let path = folder.path(name).display().to_string();
        folder.read("sweep.yaml", &[&format!("train.init={{file: {path}}}")]).unwrap().trials()[0].id.clone()
    };
    assert_eq!(id("a", "weights"), id("b", "weights"));
    assert_ne!(id("a", "weights"), id("a", "others"));
}

#[test]
fn how_often_it_is_checkpointed_is_no_part_of_a_trial() {
    assert_eq!(good("{}", &["train.checkpoint_every=10"]).trials()[0].id, good("{}", &[]).trials()[0].id);
}

#[test]
fn a_smoke_reading_needs_nothing_outside() {
    let folder = Folder::new().file(
        "sweep.yaml",
        "{name: big, base: {dataset: {name: mnist, root: \"${ABSENT}/x\"}, train: {init: {file: absent}, epochs: 90}}}",
    );
    let sets = ["train.seed=3".to_owned()];
    let spec = SweepSpec::read_smoke(&folder.path("sweep.yaml"), &sets, &catalog(), &|_| None, &|config| {
        config.train.epochs = 1;
    });
    let spec = spec.unwrap();
    let trial = &spec.trials()[0];
    assert_eq!((spec.name.as_str(), trial.sweep.as_str()), ("big-smoke", "big-smoke"));
    assert_eq!((trial.config.train.epochs, trial.config.train.seed, &trial.config.train.init), (1, 3, &None));
    assert!(!trial.config.dataset.root.as_ref().unwrap().exists());
    let same = good("base: {dataset: {name: mnist}, train: {epochs: 1, seed: 3}}", &[]);
    assert_eq!(trial.id, same.trials()[0].id, "the change comes before the id");
}
