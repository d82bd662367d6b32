//! CUDA found at run time.
//!
//! The binary is linked against the CPU half of libtorch. The CUDA half, `libtorch_cuda.so`, registers itself
//! when it is loaded before the first CUDA call, so one binary serves machines with and without a GPU.

use std::ffi::CString;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::{env, fmt};

use crate::{ffi, loaded_from, version};

const LIBRARY: &str = "libtorch_cuda.so";

/// What the search for CUDA came to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Cuda {
    /// Devices can be used.
    Ready {
        /// Where the library was loaded from; `None` when it was linked.
        library: Option<PathBuf>,
        /// Number of devices.
        devices: usize,
    },
    /// They cannot, for this reason.
    Absent {
        /// A sentence with what was looked for and where.
        reason: String,
    },
}

impl fmt::Display for Cuda {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Cuda::Ready { library: Some(path), devices } => {
                write!(f, "{devices} device(s), library {}", path.display())
            }
            Cuda::Ready { library: None, devices } => write!(f, "{devices} device(s), library linked"),
            Cuda::Absent { reason } => write!(f, "not available: {reason}"),
        }
    }
}

/// Loads the CUDA half of libtorch from `HARNESS_LIBTORCH`, `LD_LIBRARY_PATH`, the folder of the CPU half or the active
/// Python's torch, in this order, and says what came of it. Must be called before anything else touches CUDA; calling it again is
/// harmless.
#[must_use]
pub fn load() -> Cuda {
    let ready = |library| Cuda::Ready { library, devices: usize::try_from(tch::Cuda::device_count()).unwrap_or(0) };
    if tch::Cuda::is_available() {
        return ready(None);
    }
    if !Path::new("/proc/driver/nvidia").exists() && !Path::new("/dev/nvidia0").exists() {
        return Cuda::Absent { reason: "this machine has no NVIDIA driver".to_owned() };
    }
    let folders = folders();
    let Some(library) = folders.iter().map(|folder| folder.join(LIBRARY)).find(|path| path.is_file()) else {
        let searched: Vec<String> = folders.iter().map(|folder| folder.display().to_string()).collect();
        let searched = if searched.is_empty() { "no folder".to_owned() } else { searched.join(", ") };
        let reason = format!(
            "{LIBRARY} not found (searched {searched}); set HARNESS_LIBTORCH to the lib folder of libtorch {} with \
             CUDA, or activate a Python that has torch {}",
            version(),
            version()
        );
        return Cuda::Absent { reason };
    };
    if let Some(found) = version_beside(&library)
        && found != version()
    {
        let reason = format!("{} belongs to torch {found}, expected {}", library.display(), version());
        return Cuda::Absent { reason };
    }
    let Ok(path) = CString::new(library.as_os_str().as_encoded_bytes()) else {
        return Cuda::Absent { reason: format!("{} is no path", library.display()) };
    };
    // SAFETY: the path is NUL-terminated and lives through the call. Loading runs the library's initialisers,
    // which is its purpose; it is libtorch's own file, of the version this binary was linked against.
    if let Err(error) = ffi::done(unsafe { ffi::ht_load_library(path.as_ptr()) }) {
        return Cuda::Absent { reason: format!("{} did not load: {error}", library.display()) };
    }
    if tch::Cuda::is_available() {
        ready(Some(library))
    } else {
        Cuda::Absent { reason: format!("{} loaded, but no device answered", library.display()) }
    }
}

/// Folders to search, in order.
fn folders() -> Vec<PathBuf> {
    let mut folders = Vec::new();
    if let Some(folder) = env::var_os("HARNESS_LIBTORCH").map(PathBuf::from) {
        folders.push(folder.join("lib"));
        folders.push(folder);
    }
    if let Some(paths) = env::var_os("LD_LIBRARY_PATH") {
        folders.extend(env::split_paths(&paths).filter(|path| !path.as_os_str().is_empty()));
    }
    folders.extend(loaded_from().and_then(|library| library.parent().map(Path::to_owned)));
    folders.extend(python_torch());
    folders
}

/// The lib folder of the active Python's torch, found without importing it (which takes seconds).
fn python_torch() -> Option<PathBuf> {
    let script =
        "import importlib.util as u; s = u.find_spec('torch'); print(s.submodule_search_locations[0] if s else '')";
    let output = Command::new("python3").args(["-c", script]).output().ok()?;
    let folder = String::from_utf8(output.stdout).ok()?.trim().to_owned();
    (output.status.success() && !folder.is_empty()).then(|| Path::new(&folder).join("lib"))
}

/// Version of the torch that a library belongs to, from `version.py` (wheel) or `build-version` (archive) in the
/// folder above, without the part after `+`.
fn version_beside(library: &Path) -> Option<String> {
    let folder = library.parent()?.parent()?;
    let plain = |text: &str| text.trim().split('+').next().map(str::to_owned);
    if let Ok(text) = std::fs::read_to_string(folder.join("build-version")) {
        return plain(&text);
    }
    let text = std::fs::read_to_string(folder.join("version.py")).ok()?;
    let line = text.lines().find(|line| line.starts_with("__version__"))?;
    plain(line.split('\'').nth(1)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn absence_is_a_reason_not_a_failure() {
        match load() {
            Cuda::Ready { devices, .. } => assert!(devices > 0),
            Cuda::Absent { reason } => assert!(!reason.is_empty()),
        }
    }

    #[test]
    fn versions_are_read_from_wheels_and_archives() {
        let folder = env::temp_dir().join(format!("harness-cuda-{}", std::process::id()));
        let library = folder.join("lib").join(LIBRARY);
        std::fs::create_dir_all(folder.join("lib")).unwrap();
        assert_eq!(version_beside(&library), None);
        std::fs::write(folder.join("version.py"), "from typing import X\n__version__ = '2.11.0+cu130'\n").unwrap();
        assert_eq!(version_beside(&library).as_deref(), Some("2.11.0"));
        std::fs::write(folder.join("build-version"), "2.12.0+cpu\n").unwrap();
        assert_eq!(version_beside(&library).as_deref(), Some("2.12.0"));
        std::fs::remove_dir_all(folder).unwrap();
    }
}
