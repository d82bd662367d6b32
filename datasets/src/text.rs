//! Text in three files, word by word: the Penn Treebank as language models use it, and any other folder of that form.
//!
//! Words are what stands between white space; the end of every line is the word [`EOS`]. The vocabulary is that of the
//! training file, most frequent first (ties in alphabetical order), with [`UNKNOWN`] always in it: words that only
//! occur in the other files are read as that.

mod streams;
mod vocabulary;

use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use harness_records::config::{KeyDefault, KeyDoc, KeyKind};
use harness_records::options::{About, Options};

use crate::{Contents, Dataset, DatasetError, Problem, Samples, Split, StandIn};

pub use streams::Streams;
use vocabulary::Vocabulary;

/// The word at the end of every line.
pub const EOS: &str = "<eos>";

/// The word that stands for words outside the vocabulary.
pub const UNKNOWN: &str = "<unk>";

/// What a trial sees of a text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TextShape {
    /// Number of different words; ids are below it.
    pub vocabulary: usize,
    /// Words to train on, with one [`EOS`] a line.
    pub train: usize,
    /// Words to make choices on.
    pub validation: usize,
    /// Words to test on.
    pub test: usize,
}

/// One split of a text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tokens {
    /// Ids of the words in their order, each below the length of the vocabulary.
    pub ids: Vec<i32>,
    /// The words by id; the same for all splits.
    pub vocabulary: Vec<String>,
}

/// A folder with one file of text a split.
pub struct TextFolder {
    about: &'static About,
    /// What each file is called, `{}` standing for `train`, `valid` or `test`.
    pattern: &'static str,
    /// Size of the vocabulary, where it is known without the files.
    words: usize,
}

const LIMIT: KeyDoc = KeyDoc {
    name: "vocabulary",
    kind: KeyKind::Int { min: 2, max: i32::MAX as i64 },
    default: KeyDefault::Absent,
    doc: "keep only this many words, the most frequent of the training file; others are read as <unk>",
};

/// The Penn Treebank with Mikolov's preprocessing: 929,589 + 73,760 + 82,430 words of 10,000 with one `<eos>` a line.
pub(crate) static PTB: TextFolder = TextFolder {
    about: &About {
        name: "ptb",
        summary: "Penn Treebank, 1.1 million words of 10,000, from `ptb.train.txt`, `ptb.valid.txt`, `ptb.test.txt` in \
                  `root`",
        source: "M. P. Marcus, B. Santorini, M. A. Marcinkiewicz, Building a Large Annotated Corpus of English: The Penn \
                 Treebank, 1993; preprocessed by T. Mikolov et al., Recurrent neural network based language model, 2010",
        options: &[LIMIT],
    },
    pattern: "ptb.{}.txt",
    words: 10_000,
};

/// Any other text.
pub(crate) static FOLDER: TextFolder = TextFolder {
    about: &About {
        name: "text",
        summary: "any text, word by word, from `train.txt`, `valid.txt` and `test.txt` in `root`",
        source: "",
        options: &[LIMIT],
    },
    pattern: "{}.txt",
    words: 1_000,
};

impl TextFolder {
    fn file(&self, split: Split) -> String {
        let name = match split {
            Split::Train => "train",
            Split::Validation => "valid",
            Split::Test => "test",
        };
        self.pattern.replace("{}", name)
    }

    fn files(&self) -> String {
        [Split::Train, Split::Validation, Split::Test].map(|split| format!("`{}`", self.file(split))).join(", ")
    }

    fn error(&self, path: Option<PathBuf>, problem: Problem) -> DatasetError {
        DatasetError { dataset: self.about.name, path, problem: Box::new(problem) }
    }

    /// The folder, if it is one.
    fn root<'a>(&self, root: Option<&'a Path>) -> Result<&'a Path, DatasetError> {
        crate::folder::check(root, || self.files()).map_err(|(path, problem)| self.error(path, problem))
    }

    /// The text of one split: UTF-8 with at least one word.
    fn read(&self, root: &Path, split: Split) -> Result<String, DatasetError> {
        let path = root.join(self.file(split));
        let wrong = |problem| self.error(Some(path.clone()), problem);
        let bytes = fs::read(&path).map_err(|e| {
            wrong(match e.kind() {
                ErrorKind::NotFound => Problem::Absent {
                    what: match split {
                        Split::Train => "training text",
                        Split::Validation => "validation text",
                        Split::Test => "test text",
                    },
                    looked_for: format!("`{}`", self.file(split)),
                },
                ErrorKind::IsADirectory => Problem::NotFile { found: "folder", what: "text" },
                _ => Problem::Read(e),
            })
        })?;
        let text = String::from_utf8(bytes).map_err(|e| {
            let good = &e.as_bytes()[..e.utf8_error().valid_up_to()];
            wrong(Problem::NotText { line: 1 + good.iter().filter(|&&byte| byte == b'\n').count() })
        })?;
        if text.split_ascii_whitespace().next().is_none() {
            return Err(wrong(Problem::NoWords));
        }
        Ok(text)
    }

    /// The words that have ids.
    fn vocabulary(&self, root: &Path, options: &Options) -> Result<Vocabulary, DatasetError> {
        let limit = options.optional_int(LIMIT.name).and_then(|limit| usize::try_from(limit).ok());
        Ok(Vocabulary::of(&self.read(root, Split::Train)?, limit))
    }
}

/// The words of a text, each line ended by [`EOS`].
fn words(text: &str) -> impl Iterator<Item = &str> {
    text.lines().flat_map(|line| line.split_whitespace().chain([EOS]))
}

impl Dataset for TextFolder {
    fn about(&self) -> &'static About {
        self.about
    }

    fn probe(&self, root: Option<&Path>, options: &Options) -> Result<Contents, DatasetError> {
        let root = self.root(root)?;
        let count = |split| Ok::<_, DatasetError>(words(&self.read(root, split)?).count());
        Ok(Contents::Text(TextShape {
            vocabulary: self.vocabulary(root, options)?.len(),
            train: count(Split::Train)?,
            validation: count(Split::Validation)?,
            test: count(Split::Test)?,
        }))
    }

    fn load(&self, root: Option<&Path>, options: &Options, split: Split) -> Result<Samples, DatasetError> {
        let root = self.root(root)?;
        let vocabulary = self.vocabulary(root, options)?;
        let text = self.read(root, split)?;
        let ids = words(&text).map(|word| vocabulary.id(word)).collect();
        Ok(Samples::Text(Tokens { ids, vocabulary: vocabulary.into_words() }))
    }

    fn stand_in(&self, options: &Options) -> Option<StandIn> {
        let words = options.optional_int(LIMIT.name).and_then(|limit| usize::try_from(limit).ok());
        Some(StandIn::text(words.map_or(self.words, |words| words.min(self.words))))
    }
}
