//! A libtorch that the user chose by the variables torch-sys reads.

use std::ffi::OsString;
use std::fmt;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};

use super::manifest::VERSION_FILE;
use super::platform::{TCH, VERSION};

/// Where torch-sys will take libtorch from instead of `.libtorch`.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Elsewhere {
    source: Source,
    any_version: bool,
}

#[derive(Debug, PartialEq, Eq)]
enum Source {
    /// `LIBTORCH`; the libraries' parent differs where `LIBTORCH_LIB` is set.
    Folder { home: PathBuf, lib: PathBuf },
    /// `LIBTORCH_USE_PYTORCH`: the installation this interpreter imports.
    Python(&'static str),
}

/// The user's own choice, if there is one. Cargo's configuration sets `LIBTORCH` to `home` wherever the user does
/// not, so that value is no choice.
pub(super) fn chosen(home: &Path, variable: impl Fn(&str) -> Option<OsString>) -> Option<Elsewhere> {
    let any_version = variable("LIBTORCH_BYPASS_VERSION_CHECK").is_some();
    if variable("LIBTORCH_USE_PYTORCH").is_some() {
        // The interpreter torch-sys asks.
        let python = if variable("VIRTUAL_ENV").is_some() { "python" } else { "python3" };
        return Some(Elsewhere { source: Source::Python(python), any_version });
    }
    let named = PathBuf::from(variable("LIBTORCH")?);
    if is_same(&named, home) {
        return None;
    }
    let lib = variable("LIBTORCH_LIB").map_or_else(|| named.clone(), PathBuf::from);
    Some(Elsewhere { source: Source::Folder { home: named, lib }, any_version })
}

fn is_same(a: &Path, b: &Path) -> bool {
    a == b || matches!((a.canonicalize(), b.canonicalize()), (Ok(a), Ok(b)) if a == b)
}

impl Elsewhere {
    /// The version found there, in words.
    ///
    /// # Errors
    /// When nothing is there, or another version than tch needs (unless `LIBTORCH_BYPASS_VERSION_CHECK` is set, which
    /// torch-sys obeys too).
    pub(super) fn check(&self) -> Result<String> {
        let version = match &self.source {
            Source::Folder { home, lib } => {
                let libraries = lib.join("lib");
                if !libraries.is_dir() {
                    bail!("{self} holds no libtorch: there is no folder {}", libraries.display());
                }
                std::fs::read_to_string(home.join(VERSION_FILE)).ok()
            }
            Source::Python(python) => Some(python_version(python).with_context(|| format!("cannot use {self}"))?),
        };
        let Some(version) = version else { return Ok("of unknown version".to_owned()) };
        let version = version.trim();
        // As in 2.11.0+cpu.
        if version.split('+').next() != Some(VERSION) && !self.any_version {
            bail!(
                "{self} is version {version}, and tch {TCH} needs {VERSION}; unset the variable to have that set up, \
                 or set LIBTORCH_BYPASS_VERSION_CHECK to build against it all the same"
            );
        }
        Ok(version.to_owned())
    }
}

impl fmt::Display for Elsewhere {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.source {
            Source::Folder { home, .. } => write!(f, "LIBTORCH={}", home.display()),
            Source::Python(python) => write!(f, "the PyTorch of `{python}` (LIBTORCH_USE_PYTORCH is set)"),
        }
    }
}

/// Asks the package's metadata, which takes no import of PyTorch.
fn python_version(python: &str) -> Result<String> {
    let script = "from importlib.metadata import version; print(version('torch'))";
    let output =
        Command::new(python).args(["-c", script]).output().with_context(|| format!("cannot start {python}"))?;
    if !output.status.success() {
        bail!("`{python}` has no package torch");
    }
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    fn choice(home: &Path, variables: &[(&str, &Path)]) -> Option<Elsewhere> {
        chosen(home, |name| variables.iter().find(|(known, _)| *known == name).map(|(_, value)| value.into()))
    }

    #[test]
    fn the_value_of_cargos_configuration_is_no_choice() {
        let folder = tempfile::tempdir().unwrap();
        let home = folder.path().join(".libtorch");
        assert_eq!(choice(&home, &[]), None);
        assert_eq!(choice(&home, &[("LIBTORCH", &home)]), None);
        fs::create_dir(&home).unwrap();
        assert_eq!(choice(&home, &[("LIBTORCH", &folder.path().join(".").join(".libtorch"))]), None);
    }

    #[test]
    fn a_folder_is_checked_for_libraries_and_version() {
        let folder = tempfile::tempdir().unwrap();
        let (home, own) = (folder.path().join(".libtorch"), folder.path().join("own"));
        let check = |more: &[(&str, &Path)]| {
            let variables = [&[("LIBTORCH", own.as_path())], more].concat();
            choice(&home, &variables).unwrap().check().map_err(|error| error.to_string())
        };
        assert!(check(&[]).unwrap_err().contains("holds no libtorch"));
        fs::create_dir_all(own.join("lib")).unwrap();
        assert_eq!(check(&[]).unwrap(), "of unknown version");
        fs::write(own.join(VERSION_FILE), "2.11.0+cpu\n").unwrap();
        assert_eq!(check(&[]).unwrap(), "2.11.0+cpu");
        fs::write(own.join(VERSION_FILE), "2.9.1+cu130\n").unwrap();
        let message = check(&[]).unwrap_err();
        assert!(message.contains("2.9.1+cu130") && message.contains(VERSION), "{message}");
        assert_eq!(check(&[("LIBTORCH_BYPASS_VERSION_CHECK", Path::new("1"))]).unwrap(), "2.9.1+cu130");
        let absent = folder.path().join("absent");
        assert!(check(&[("LIBTORCH_LIB", &absent)]).unwrap_err().contains("absent"));
    }

    #[test]
    fn pytorch_goes_before_a_folder() {
        let one = Path::new("1");
        let home = Path::new(".libtorch");
        let python = choice(home, &[("LIBTORCH_USE_PYTORCH", one), ("LIBTORCH", home)]).unwrap();
        assert_eq!(python.source, Source::Python("python3"));
        let python = choice(home, &[("LIBTORCH_USE_PYTORCH", one), ("VIRTUAL_ENV", one)]).unwrap();
        assert_eq!(python.source, Source::Python("python"));
    }
}
