//! Made-up data in the place of files: what lets every sweep run anywhere, for a test of the sweep, never for results.

use harness_records::config::DatasetChoice;
use harness_records::options::{OptionValue, Options};

use crate::{Dataset, Shape, Synthetic, SyntheticText, find};

/// A data set that needs no files, with its options.
#[derive(Debug, Clone, PartialEq)]
pub struct StandIn {
    /// Name of the data set, `synthetic` or `synthetic-text`.
    pub name: &'static str,
    /// Checked options.
    pub options: Options,
}

/// Images of every split of a stand-in: as many as a step or two take.
const IMAGES: i64 = 64;
/// Tokens of the training part of a stand-in; the other parts have a tenth each.
const TOKENS: i64 = 20_000;

impl StandIn {
    /// Synthetic images of this size and number of classes, a few of them.
    pub(crate) fn images(shape: Shape) -> StandIn {
        let size = |n: usize| i64::try_from(n).unwrap_or(i64::MAX);
        let values = [
            ("channels", size(shape.channels)),
            ("height", size(shape.height)),
            ("width", size(shape.width)),
            ("classes", size(shape.classes)),
            ("train", IMAGES),
            ("test", IMAGES),
        ];
        StandIn::of(&Synthetic, &values)
    }

    /// A short synthetic text with a vocabulary of this many words.
    pub(crate) fn text(vocabulary: usize) -> StandIn {
        let vocabulary = i64::try_from(vocabulary).unwrap_or(i64::MAX);
        let values =
            [("vocabulary", vocabulary), ("train", TOKENS), ("validation", TOKENS / 10), ("test", TOKENS / 10)];
        StandIn::of(&SyntheticText, &values)
    }

    fn of(dataset: &dyn Dataset, values: &[(&str, i64)]) -> StandIn {
        let defaults = Options::defaults(dataset.about().options);
        let given = values.iter().map(|&(name, value)| (name.to_owned(), OptionValue::Int(value)));
        let all = defaults.iter().map(|(name, value)| (name.to_owned(), value.clone())).chain(given);
        StandIn { name: dataset.about().name, options: all.collect() }
    }
}

/// What stands in for the chosen data set where it has no folder: a made-up one of the same channels, size and classes
/// (or vocabulary), with few samples. `None` when the choice already needs no files, or there is no such data set.
#[must_use]
pub fn stand_in(choice: &DatasetChoice) -> Option<DatasetChoice> {
    let StandIn { name, options } = find(&choice.name)?.stand_in(&choice.options)?;
    Some(DatasetChoice { name: name.to_owned(), root: None, options })
}
