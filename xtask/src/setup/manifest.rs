//! What a set-up left in its folder, and whether that is still there.
//!
//! `manifest` is a text file, one fact a line, written after everything else:
//! ```text
//! libtorch 2.11.0
//! platform linux-x86_64
//! variant cpu
//! from torch-2.11.0-....whl sha256:0f68... pinned
//! file lib/libc10.so 1498969
//! headers 9410
//! ```
//! `build-version` beside it holds the version alone: torch-sys compares it with the one it was made for.

use std::fs;
use std::path::Path;

use anyhow::{Context, Result, bail};

use super::download::Source;
use super::platform::{Platform, VERSION, Variant};

/// The file torch-sys reads, in a libtorch folder.
pub(super) const VERSION_FILE: &str = "build-version";
const MANIFEST_FILE: &str = "manifest";

/// What was installed and from what.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Manifest {
    pub(super) version: String,
    pub(super) platform: String,
    pub(super) variant: Variant,
    pub(super) sources: Vec<Source>,
    /// Path below the folder and size in bytes of each library.
    pub(super) libraries: Vec<(String, u64)>,
    pub(super) headers: usize,
}

/// What is in the folder.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum State {
    /// Nothing.
    Absent,
    /// All that the manifest says. The manifest may be of another version.
    Whole(Manifest),
    /// A set-up of ours that lost something.
    Damaged(String),
    /// A libtorch without our manifest, and its version if it says so.
    Foreign(Option<String>),
    /// Something else.
    Unknown,
}

/// Looks at a folder: a handful of files, so that it costs nothing before every task.
///
/// # Errors
/// When something is there that cannot be read.
pub(super) fn state(home: &Path) -> Result<State> {
    let read = || format!("cannot read {}", home.display());
    if !home.exists() {
        return Ok(State::Absent);
    }
    let file = home.join(MANIFEST_FILE);
    if !file.exists() {
        if fs::read_dir(home).with_context(read)?.next().is_none() {
            return Ok(State::Absent);
        }
        let is_libtorch = home.join("include").is_dir() && home.join("lib").is_dir();
        let version = fs::read_to_string(home.join(VERSION_FILE)).ok().map(|version| version.trim().to_owned());
        return Ok(if is_libtorch { State::Foreign(version) } else { State::Unknown });
    }
    let text = fs::read_to_string(&file).with_context(read)?;
    Ok(match Manifest::parse(&text) {
        Ok(manifest) => match manifest.missing(home) {
            Some(what) => State::Damaged(what),
            None => State::Whole(manifest),
        },
        Err(error) => State::Damaged(format!("{MANIFEST_FILE}: {error}")),
    })
}

impl Manifest {
    /// Of files that were just unpacked: `files` are paths below the folder and sizes, headers among them.
    pub(super) fn new(
        platform: &Platform,
        variant: Variant,
        sources: Vec<Source>,
        mut files: Vec<(String, u64)>,
    ) -> Manifest {
        let all = files.len();
        files.retain(|(path, _)| path.starts_with("lib/"));
        files.sort();
        Manifest {
            version: VERSION.to_owned(),
            platform: platform.name.to_owned(),
            variant,
            sources,
            headers: all - files.len(),
            libraries: files,
        }
    }

    /// The size of the libraries in bytes.
    pub(super) fn bytes(&self) -> u64 {
        self.libraries.iter().map(|(_, size)| size).sum()
    }

    /// Writes both files into `home`, the manifest last.
    ///
    /// # Errors
    /// When they cannot be written.
    pub(super) fn write(&self, home: &Path) -> Result<()> {
        for (name, text) in [(VERSION_FILE, format!("{}\n", self.version)), (MANIFEST_FILE, self.text())] {
            let path = home.join(name);
            fs::write(&path, text).with_context(|| format!("cannot write {}", path.display()))?;
        }
        Ok(())
    }

    fn text(&self) -> String {
        let mut text = format!("libtorch {}\nplatform {}\nvariant {}\n", self.version, self.platform, self.variant);
        for Source { file, sha256, is_pinned } in &self.sources {
            let pinned = if *is_pinned { "pinned" } else { "unpinned" };
            text.push_str(&format!("from {file} sha256:{sha256} {pinned}\n"));
        }
        for (path, size) in &self.libraries {
            text.push_str(&format!("file {path} {size}\n"));
        }
        text.push_str(&format!("headers {}\n", self.headers));
        text
    }

    fn parse(text: &str) -> Result<Manifest> {
        let (mut version, mut platform, mut variant, mut headers) = (None, None, None, None);
        let (mut sources, mut libraries) = (Vec::new(), Vec::new());
        for line in text.lines() {
            match line.split(' ').collect::<Vec<_>>()[..] {
                ["libtorch", value] => version = Some(value.to_owned()),
                ["platform", value] => platform = Some(value.to_owned()),
                ["variant", value] => variant = Some(value.parse()?),
                ["headers", value] => headers = Some(value.parse()?),
                ["file", path, size] => libraries.push((path.to_owned(), size.parse()?)),
                ["from", file, sum, pinned @ ("pinned" | "unpinned")] => {
                    let sha256 = sum.strip_prefix("sha256:").context("a checksum is not a sha256")?.to_owned();
                    sources.push(Source { file: file.to_owned(), sha256, is_pinned: pinned == "pinned" });
                }
                _ => bail!("the line `{line}` is not understood"),
            }
        }
        Ok(Manifest {
            version: version.context("no line `libtorch`")?,
            platform: platform.context("no line `platform`")?,
            variant: variant.context("no line `variant`")?,
            // The last line: without it the file was cut short.
            headers: headers.context("no line `headers`")?,
            sources,
            libraries,
        })
    }

    /// The first thing that is no longer as it was installed.
    fn missing(&self, home: &Path) -> Option<String> {
        let version = fs::read_to_string(home.join(VERSION_FILE)).unwrap_or_default();
        if version.trim() != self.version {
            return Some(format!("{VERSION_FILE} says `{}`, the manifest {}", version.trim(), self.version));
        }
        if !home.join("include").is_dir() {
            return Some("the headers are gone".to_owned());
        }
        self.libraries.iter().find_map(|(path, size)| match fs::metadata(home.join(path)) {
            Ok(found) if found.len() == *size => None,
            Ok(found) => Some(format!("{path} has {} bytes, it was installed with {size}", found.len())),
            Err(_) => Some(format!("{path} is gone")),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tempfile::TempDir;

    fn manifest() -> Manifest {
        let source = |file: &str, is_pinned| Source { file: file.to_owned(), sha256: "0f".repeat(32), is_pinned };
        Manifest {
            version: VERSION.to_owned(),
            platform: "linux-x86_64".to_owned(),
            variant: Variant::Cpu,
            sources: vec![source("torch.whl", true), source("libtorch.zip", false)],
            libraries: vec![("lib/libc10.so".to_owned(), 3), ("lib/libtorch.so".to_owned(), 0)],
            headers: 2,
        }
    }

    fn installed() -> TempDir {
        let home = tempfile::tempdir().unwrap();
        fs::create_dir(home.path().join("include")).unwrap();
        fs::create_dir(home.path().join("lib")).unwrap();
        fs::write(home.path().join("lib/libc10.so"), "c10").unwrap();
        fs::write(home.path().join("lib/libtorch.so"), "").unwrap();
        manifest().write(home.path()).unwrap();
        home
    }

    #[test]
    fn reads_what_it_wrote() {
        assert_eq!(Manifest::parse(&manifest().text()).unwrap(), manifest());
        assert_eq!(state(installed().path()).unwrap(), State::Whole(manifest()));
    }

    #[test]
    fn no_part_of_a_manifest_is_a_manifest() {
        let text = manifest().text();
        for end in 0..text.len() - 1 {
            // A number cut short is still a number, hence the exception for the last line's.
            if let Ok(read) = Manifest::parse(&text[..end]) {
                assert_eq!(Manifest { headers: manifest().headers, ..read }, manifest(), "{}", &text[..end]);
            }
        }
    }

    #[test]
    fn whatever_is_lost_is_named() {
        type Damage = fn(&Path);
        let damage: [(&str, Damage); 5] = [
            ("lib/libc10.so is gone", |home| fs::remove_file(home.join("lib/libc10.so")).unwrap()),
            ("lib/libc10.so has 1 bytes", |home| fs::write(home.join("lib/libc10.so"), "c").unwrap()),
            ("headers are gone", |home| fs::remove_dir(home.join("include")).unwrap()),
            ("build-version says ``", |home| fs::remove_file(home.join(VERSION_FILE)).unwrap()),
            ("`nonsense` is not understood", |home| fs::write(home.join(MANIFEST_FILE), "nonsense").unwrap()),
        ];
        for (expected, damage) in damage {
            let home = installed();
            damage(home.path());
            let State::Damaged(why) = state(home.path()).unwrap() else { panic!("{expected} went unseen") };
            assert!(why.contains(expected), "{why}");
        }
    }

    #[test]
    fn folders_of_others() {
        let home = installed();
        fs::remove_file(home.path().join(MANIFEST_FILE)).unwrap();
        assert_eq!(state(home.path()).unwrap(), State::Foreign(Some(VERSION.to_owned())));
        fs::remove_file(home.path().join(VERSION_FILE)).unwrap();
        assert_eq!(state(home.path()).unwrap(), State::Foreign(None));
        fs::remove_dir(home.path().join("include")).unwrap();
        assert_eq!(state(home.path()).unwrap(), State::Unknown);

        let empty = tempfile::tempdir().unwrap();
        assert_eq!(state(empty.path()).unwrap(), State::Absent);
        assert_eq!(state(&empty.path().join("absent")).unwrap(), State::Absent);
    }
}
