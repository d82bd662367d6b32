//! What a sweep file refers to outside itself: variables of the environment and files.

use std::cell::RefCell;
use std::collections::HashMap;
use std::fs::File;

/// Looks a variable of the environment up.
pub(crate) type Lookup<'a> = &'a dyn Fn(&str) -> Option<String>;

/// What a sweep file refers to outside itself.
pub(crate) struct Outside<'a> {
    pub(crate) env: Lookup<'a>,
    /// Whether an `init` file that cannot be read is left out instead of refused.
    pub(crate) lenient: bool,
    /// Hashes of the files that were read, so that each is read once.
    hashes: RefCell<HashMap<String, Result<String, String>>>,
}

impl<'a> Outside<'a> {
    pub(crate) fn new(env: Lookup<'a>, lenient: bool) -> Outside<'a> {
        Outside { env, lenient, hashes: RefCell::default() }
    }

    /// First 16 hex digits of the hash of a file, or why it cannot be read.
    pub(crate) fn hash(&self, path: &str) -> Result<String, String> {
        let hash = || {
            let mut hasher = blake3::Hasher::new();
            let read = File::open(path).and_then(|file| hasher.update_reader(file).map(drop));
            read.map_err(|error| error.to_string())?;
            Ok(hasher.finalize().to_hex()[..16].to_owned())
        };
        self.hashes.borrow_mut().entry(path.to_owned()).or_insert_with(hash).clone()
    }
}
