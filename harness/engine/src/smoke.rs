//! A sweep tried out: every trial made so small that it ends in seconds, on made-up data where there are no files.
//! The results mean nothing; only that every trial runs to its end shows that the sweep is set up correctly.

use harness_datasets::{Contents, stand_in};
use harness_records::config::TrialConfig;

use crate::contents;

/// Sides of images from which a training takes only a handful of them.
const LARGE: usize = 64;

/// Makes a trial small: one epoch of a few samples, one thread. Keys in `given` (`train.epochs`) stay as they are.
///
/// Where the data set has no files, and no `dataset.root` was given, made-up data of the same form take its place; what
/// was replaced, and why, is returned.
pub fn shrink(config: &mut TrialConfig, given: &[&str]) -> Option<String> {
    let is_given = |key: &str| given.iter().any(|given| *given == key || key.starts_with(&format!("{given}.")));
    let mut contents = contents::contents(config);
    let mut replaced = None;
    if let Err(error) = &contents
        && !is_given("dataset.root")
        && let Some(made_up) = stand_in(&config.dataset)
    {
        replaced = Some(format!(
            "MADE-UP DATA: `{}` is not here ({error}), `{}` of the same shape stands in for it",
            config.dataset.name, made_up.name
        ));
        config.dataset = made_up;
        contents = contents::contents(config);
    }
    let small = Small::of(contents.ok());
    let train = &mut config.train;
    let free = |key: &str| !is_given(&format!("train.{key}"));
    // Without a training there is nothing to cut short.
    if free("epochs") && train.epochs > 0 {
        train.epochs = 1;
    }
    if free("threads") {
        train.threads = 1;
    }
    if free("batch") {
        train.batch = train.batch.min(small.batch);
    }
    if free("bptt") {
        train.bptt = train.bptt.min(small.bptt);
    }
    if free("limit") {
        train.limit = Some(small.train);
    }
    if let (Some(calibrate), true) = (&mut train.calibrate, free("calibrate.images")) {
        calibrate.images = calibrate.images.min(small.train);
    }
    if free("limit_test") {
        train.limit_test = Some(small.test);
    }
    if free("checkpoint_every") {
        train.checkpoint_every = None;
    }
    replaced
}

/// Sizes of a training that ends in seconds.
struct Small {
    batch: u32,
    bptt: u32,
    train: u64,
    test: u64,
}

impl Small {
    fn of(contents: Option<Contents>) -> Small {
        let bptt = 5;
        match contents {
            // Three steps, and a few words for each stream that is evaluated.
            Some(Contents::Text(_)) => Small { batch: 4, bptt, train: 4 * (3 * 5 + 1), test: 60 },
            Some(Contents::Images(shape)) if shape.height.max(shape.width) >= LARGE => {
                Small { batch: 2, bptt, train: 4, test: 4 }
            }
            _ => Small { batch: 16, bptt, train: 48, test: 32 },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use harness_records::config::{DatasetChoice, MethodChoice, ModelChoice, QuantConfig, TrainConfig};
    use harness_records::options::Options;

    fn config(dataset: &str) -> TrialConfig {
        let options = Options::defaults(harness_datasets::find(dataset).unwrap().about().options);
        TrialConfig {
            dataset: DatasetChoice { name: dataset.to_owned(), root: Some("/no/such/folder".into()), options },
            model: ModelChoice { name: "lenet".to_owned(), options: Options::default() },
            train: TrainConfig { epochs: 90, batch: 256, ..TrainConfig::default() },
            quant: QuantConfig::of(MethodChoice::float(), MethodChoice::float(), MethodChoice::float(), Vec::new()),
        }
    }

    #[test]
    fn what_is_not_here_is_made_up_and_said() {
        let mut mnist = config("mnist");
        let said = shrink(&mut mnist, &[]).unwrap();
        assert!(said.starts_with("MADE-UP DATA: `mnist` is not here (") && said.contains("/no/such/folder"), "{said}");
        assert_eq!((mnist.dataset.name.as_str(), &mnist.dataset.root), ("synthetic", &None));
        assert_eq!((mnist.train.epochs, mnist.train.batch), (1, 16));
        let mut given = config("mnist");
        assert_eq!(shrink(&mut given, &["dataset.root", "train.epochs"]), None);
        assert_eq!((given.dataset.name.as_str(), given.train.epochs), ("mnist", 90));
        let mut digits = config("digits");
        assert_eq!(shrink(&mut digits, &[]), None);
        let mut text = config("ptb");
        assert!(shrink(&mut text, &[]).is_some());
        assert_eq!(text.dataset.name, "synthetic-text");
        assert!(text.train.limit.unwrap() > u64::from(text.train.batch * (text.train.bptt + 1)));
    }
}
