//! Hostile inputs for every reader of files.
//!
//! A target is a reader of bytes. It is given every file of its corpus (`corpus/<target>/`, which holds files that are
//! good, damaged, or meant to do harm), and then changed ones: bits and bytes flipped, numbers made huge, parts cut,
//! repeated, mixed with other files, words of the format put in. It must answer each, well or with an error; a panic is
//! a bug. The changes follow from a seed alone, so a failure comes again.
//!
//! How many inputs: `HARNESS_FUZZ_INPUTS`, a few hundred where it is not set, so that every test run tries some.
//! `HARNESS_FUZZ_SEED` starts elsewhere. With `HARNESS_FUZZ_OUT` the figures go to a folder, `<target>.json`, and the
//! input that took longest, `<target>.slowest`.
//! `cargo xtask fuzz` sets all three.

#![cfg_attr(test, allow(clippy::unwrap_used, clippy::expect_used, clippy::panic))]

mod mutate;
pub mod npy;

use std::any::Any;
use std::fs;
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use mutate::Mutator;

/// Inputs a target is given where nobody asks for more.
const FEW: u64 = 300;

/// What came of a target.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Figures {
    /// Inputs given.
    pub inputs: u64,
    /// Of them, those that were read without an error: a measure of how deep the changes reach.
    pub accepted: u64,
    /// The longest that one took.
    pub slowest: Duration,
}

/// Why a target did not stand.
#[derive(Debug)]
pub enum Failure {
    /// It panicked.
    Panic {
        /// Where the input was written to.
        input: PathBuf,
        /// What the panic said.
        message: String,
    },
    /// The corpus cannot be read, or figures not be written.
    Io(PathBuf, io::Error),
    /// A number in the environment is none.
    Number(&'static str, String),
    /// There is nothing to begin with.
    NoCorpus(PathBuf),
}

impl std::fmt::Display for Failure {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Failure::Panic { input, message } => write!(f, "panicked at {}: {message}", input.display()),
            Failure::Io(path, error) => write!(f, "{}: {error}", path.display()),
            Failure::Number(name, value) => write!(f, "{name} is `{value}`, expected a whole number"),
            Failure::NoCorpus(path) => write!(f, "{} holds no file to begin with", path.display()),
        }
    }
}

impl std::error::Error for Failure {}

/// Gives `target` its corpus and changed files of it, and `more` files to begin with. `read` answers whether an input
/// was read without an error.
///
/// # Errors
/// The first input that it panics at, which is kept in the folder of temporary files.
pub fn check(target: &str, more: &[Vec<u8>], read: impl Fn(&[u8]) -> bool) -> Result<Figures, Failure> {
    let mut corpus = files(&Path::new(env!("CARGO_MANIFEST_DIR")).join("corpus").join(target))?;
    corpus.extend_from_slice(more);
    if corpus.is_empty() {
        return Err(Failure::NoCorpus(Path::new("corpus").join(target)));
    }
    let inputs = number("HARNESS_FUZZ_INPUTS", FEW)?;
    let mut mutator = Mutator::new(number("HARNESS_FUZZ_SEED", 0)?, target);
    let mut figures = Figures { inputs: 0, accepted: 0, slowest: Duration::ZERO };
    let began = Instant::now();
    let (mut input, mut slowest) = (Vec::new(), Vec::new());
    while figures.inputs < inputs.max(corpus.len() as u64) {
        match corpus.get(usize::try_from(figures.inputs).unwrap_or(usize::MAX)) {
            Some(whole) => input.clone_from(whole),
            None => mutator.change(&corpus, &mut input),
        }
        let at = Instant::now();
        let accepted = catch_unwind(AssertUnwindSafe(|| read(&input)))
            .map_err(|panic| failed(target, figures.inputs, &input, panic.as_ref()))?;
        let took = at.elapsed();
        if took > figures.slowest {
            figures.slowest = took;
            slowest.clone_from(&input);
        }
        figures.accepted += u64::from(accepted);
        figures.inputs += 1;
    }
    write_down(target, &figures, &slowest, began.elapsed())?;
    Ok(figures)
}

/// Every file of a folder, in the order of their names; none where there is no folder.
fn files(folder: &Path) -> Result<Vec<Vec<u8>>, Failure> {
    let failed = |error| Failure::Io(folder.to_owned(), error);
    let entries = match fs::read_dir(folder) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(failed(error)),
    };
    let mut paths =
        entries.map(|entry| entry.map(|entry| entry.path())).collect::<io::Result<Vec<_>>>().map_err(failed)?;
    paths.sort();
    paths.into_iter().map(|path| fs::read(&path).map_err(|error| Failure::Io(path, error))).collect()
}

fn number(name: &'static str, default: u64) -> Result<u64, Failure> {
    let Ok(value) = std::env::var(name) else { return Ok(default) };
    value.parse().map_err(|_| Failure::Number(name, value))
}

fn failed(target: &str, number: u64, input: &[u8], panic: &(dyn Any + Send)) -> Failure {
    let words = panic.downcast_ref::<&str>().map(|text| (*text).to_owned());
    let message = words.or_else(|| panic.downcast_ref::<String>().cloned()).unwrap_or_default();
    let path = std::env::temp_dir().join(format!("fuzz-{target}-{number}"));
    match fs::write(&path, input) {
        Ok(()) => Failure::Panic { input: path, message },
        Err(error) => Failure::Io(path, error),
    }
}

fn write_down(target: &str, figures: &Figures, input: &[u8], took: Duration) -> Result<(), Failure> {
    let Some(folder) = std::env::var_os("HARNESS_FUZZ_OUT").map(PathBuf::from) else { return Ok(()) };
    let Figures { inputs, accepted, slowest } = figures;
    let (seconds, slowest) = (took.as_secs_f64(), slowest.as_secs_f64());
    let line = format!(
        "{{\"target\": \"{target}\", \"inputs\": {inputs}, \"accepted\": {accepted}, \"panics\": 0, \
         \"seconds\": {seconds:.1}, \"slowest_seconds\": {slowest:.4}}}\n"
    );
    let path = folder.join(format!("{target}.json"));
    fs::create_dir_all(&folder)
        .and_then(|()| fs::write(&path, line))
        .and_then(|()| fs::write(folder.join(format!("{target}.slowest")), input))
        .map_err(|error| Failure::Io(path, error))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_panic_is_found_and_its_input_kept() {
        let seeds = [b"0123456789".to_vec()];
        let failure = check("trap", &seeds, |bytes| {
            assert!(bytes.len() <= 10, "too long");
            true
        });
        let Err(Failure::Panic { input, message }) = failure else { panic!("{failure:?}") };
        assert_eq!(message, "too long");
        assert!(fs::read(&input).unwrap().len() > 10);
        fs::remove_file(input).unwrap();
        let figures = check("calm", &seeds, |bytes| bytes.first() == Some(&b'0')).unwrap();
        assert!(figures.accepted > 0 && figures.accepted < figures.inputs, "{figures:?}");
        assert!(matches!(check("empty", &[], |_| true), Err(Failure::NoCorpus(_))));
    }
}
