//! SHA-256 of files.

use std::fs::File;
use std::io::Read;
use std::path::Path;

use anyhow::{Context, Result, bail};
use sha2::{Digest, Sha256};

/// The SHA-256 of a file, in lower-case hexadecimal.
///
/// # Errors
/// When the file cannot be read.
pub(super) fn sha256(path: &Path) -> Result<String> {
    let mut hash = Sha256::new();
    let mut file = File::open(path).with_context(|| format!("cannot open {}", path.display()))?;
    let mut block = vec![0; 1 << 20];
    loop {
        match file.read(&mut block).with_context(|| format!("cannot read {}", path.display()))? {
            0 => break,
            count => hash.update(&block[..count]),
        }
    }
    Ok(hash.finalize().iter().map(|byte| format!("{byte:02x}")).collect())
}

/// Checks that a file is the one that was pinned.
///
/// # Errors
/// When it is not, with both sums, and when it cannot be read.
pub(super) fn verify(path: &Path, pinned: &str) -> Result<()> {
    let found = sha256(path)?;
    if found != pinned {
        bail!(
            "{} is not the file that was pinned: its sha256 is {found}, it should be {pinned}; a package index or a \
             proxy on the way serves another build",
            path.file_name().unwrap_or(path.as_os_str()).display()
        );
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_sums_of_the_standard() {
        let folder = tempfile::tempdir().unwrap();
        let check = |content: &[u8], expected: &str| {
            let file = folder.path().join("file");
            std::fs::write(&file, content).unwrap();
            assert_eq!(sha256(&file).unwrap(), expected);
            verify(&file, expected).unwrap();
        };
        check(b"", "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
        check(b"abc", "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
    }

    #[test]
    fn a_wrong_sum_is_named_beside_the_right_one() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("torch.whl");
        std::fs::write(&file, b"abc").unwrap();
        let message = verify(&file, "00ff").unwrap_err().to_string();
        for part in ["torch.whl", "00ff", "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"] {
            assert!(message.contains(part), "{part} in {message}");
        }
    }
}
