//! Made-up text of any vocabulary, for tests and for measuring speed without any files.

use std::path::Path;

use harness_records::config::{KeyDefault, KeyDoc, KeyKind};
use harness_records::options::{About, Options};
use rand_chacha::rand_core::Rng;

use crate::{Contents, Dataset, DatasetError, EOS, Samples, Split, StandIn, TextShape, Tokens, UNKNOWN, random};

/// Seeded text that can be learned: a Markov chain in which four words may follow each word, with the probabilities
/// 1/2, 1/4, 1/8, 1/8, and a line ends after every twelfth word on average. A model that knows the chain has a
/// perplexity of about 4.
///
/// Each split is a pure function of (vocabulary, seed, split) up to its length.
pub struct SyntheticText;

static ABOUT: About = About {
    name: "synthetic-text",
    summary: "seeded made-up text, a Markov chain over any number of words",
    source: "",
    options: &[VOCABULARY, TRAIN, VALIDATION, TEST, SEED],
};

const VOCABULARY: KeyDoc = number("vocabulary", 4, 1 << 20, 1_000, "number of different words");
const TRAIN: KeyDoc = number("train", 2, 1 << 30, 100_000, "words to train on");
const VALIDATION: KeyDoc = number("validation", 2, 1 << 30, 10_000, "words to make choices on");
const TEST: KeyDoc = number("test", 2, 1 << 30, 10_000, "words to test on");
const SEED: KeyDoc = number("seed", 0, i64::MAX, 0, "another seed gives another chain and other text");

const fn number(name: &'static str, min: i64, max: i64, default: i64, doc: &'static str) -> KeyDoc {
    KeyDoc { name, kind: KeyKind::Int { min, max }, default: KeyDefault::Int(default), doc }
}

/// Ids of the two words that every text has.
const EOS_ID: u32 = 0;
const FIRST_WORD: u32 = 2;

/// The chain: which words may follow which.
struct Chain {
    words: u32,
    seed: u64,
}

impl Chain {
    /// The word that follows `word` for two uniform draws.
    fn next(&self, word: u32, draw: u32, end: u32) -> u32 {
        if word != EOS_ID && end < u32::MAX / 12 {
            return EOS_ID;
        }
        // No, one, two leading zeros or more of them have the probabilities 1/2, 1/4, 1/8, 1/8.
        let place = draw.leading_zeros().min(3);
        let mut rng = random::stream(b"synthtxt", self.seed, u64::from(word), u64::from(place));
        FIRST_WORD + random::below(|| rng.next_u32(), self.words - FIRST_WORD)
    }
}

impl Dataset for SyntheticText {
    fn about(&self) -> &'static About {
        &ABOUT
    }

    fn probe(&self, _: Option<&Path>, options: &Options) -> Result<Contents, DatasetError> {
        Ok(Contents::Text(TextShape {
            vocabulary: options.size_or_default(&VOCABULARY),
            train: options.size_or_default(&TRAIN),
            validation: options.size_or_default(&VALIDATION),
            test: options.size_or_default(&TEST),
        }))
    }

    fn load(&self, _: Option<&Path>, options: &Options, split: Split) -> Result<Samples, DatasetError> {
        let words = u32::try_from(options.int_or_default(&VOCABULARY).unsigned_abs()).unwrap_or(u32::MAX);
        let chain = Chain { words, seed: options.int_or_default(&SEED).unsigned_abs() };
        let (part, length) = match split {
            Split::Train => (0, options.size_or_default(&TRAIN)),
            Split::Validation => (1, options.size_or_default(&VALIDATION)),
            Split::Test => (2, options.size_or_default(&TEST)),
        };
        let mut rng = random::stream(b"synthwrd", chain.seed, part, 0);
        let mut word = EOS_ID;
        let ids = (0..length).map(|_| {
            word = chain.next(word, rng.next_u32(), rng.next_u32());
            word.cast_signed()
        });
        let ids = ids.collect();
        let vocabulary = [EOS.to_owned(), UNKNOWN.to_owned()].into_iter();
        let vocabulary = vocabulary.chain((FIRST_WORD..words).map(|word| format!("w{word}"))).collect();
        Ok(Samples::Text(Tokens { ids, vocabulary }))
    }

    fn stand_in(&self, _: &Options) -> Option<StandIn> {
        None
    }
}
