//! Checksums as the sources of data sets publish them.

use std::fs::File;
use std::io::{self, Read};
use std::path::Path;

use md5::Md5;
use sha2::{Digest, Sha256};

/// A checksum, in small hexadecimal letters.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Checksum {
    /// 32 digits: says that a file arrived whole, not that nobody changed it on purpose.
    Md5(&'static str),
    /// 64 digits.
    Sha256(&'static str),
}

impl Checksum {
    /// `MD5` or `SHA-256`.
    #[must_use]
    pub fn kind(self) -> &'static str {
        match self {
            Checksum::Md5(_) => "MD5",
            Checksum::Sha256(_) => "SHA-256",
        }
    }

    /// The digits.
    #[must_use]
    pub fn text(self) -> &'static str {
        match self {
            Checksum::Md5(text) | Checksum::Sha256(text) => text,
        }
    }

    /// Whether the file has this checksum; the one it has where not.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub fn matches(self, path: &Path) -> io::Result<Result<(), String>> {
        let found = match self {
            Checksum::Md5(_) => digest::<Md5>(path)?,
            Checksum::Sha256(_) => digest::<Sha256>(path)?,
        };
        Ok(if found == self.text() { Ok(()) } else { Err(found) })
    }
}

fn digest<D: Digest>(path: &Path) -> io::Result<String> {
    let mut file = File::open(path)?;
    let mut digest = D::new();
    let mut buffer = vec![0; 1 << 16];
    loop {
        match file.read(&mut buffer)? {
            0 => return Ok(digest.finalize().iter().map(|byte| format!("{byte:02x}")).collect()),
            count => digest.update(&buffer[..count]),
        }
    }
}
