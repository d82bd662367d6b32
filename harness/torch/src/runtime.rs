//! What libtorch is and how it shall behave.

use std::fs;
use std::path::{Path, PathBuf};

use tch::{TchError, Tensor};

use crate::ffi;

/// Version of libtorch, `2.11.0`.
#[must_use]
pub fn version() -> String {
    // SAFETY: takes no pointer and returns a constant.
    ffi::constant(unsafe { ffi::ht_version() })
}

/// The file that libtorch's CPU half was loaded from, by the kernel's list of mappings; `None` where there is none.
#[must_use]
pub fn loaded_from() -> Option<PathBuf> {
    let maps = fs::read_to_string("/proc/self/maps").ok()?;
    let mut paths = maps.lines().filter_map(|line| line.split_whitespace().nth(5)).map(Path::new);
    let is_libtorch = |path: &&Path| {
        path.file_name().and_then(|name| name.to_str()).is_some_and(|name| name.starts_with("libtorch_cpu"))
    };
    paths.find(is_libtorch).map(Path::to_owned)
}

/// Instruction set that libtorch's CPU kernels use here: `AVX2`, `AVX512`, `DEFAULT`.
#[must_use]
pub fn cpu_capability() -> String {
    // SAFETY: takes no pointer and returns a constant.
    ffi::constant(unsafe { ffi::ht_cpu_capability() })
}

/// Deterministic algorithms only (and no autotuning of convolutions), or the fastest. An operation without a
/// deterministic form then fails with a message that names it.
///
/// # Errors
/// When libtorch refuses.
pub fn set_deterministic(on: bool) -> Result<(), TchError> {
    // SAFETY: takes no pointer.
    ffi::done(unsafe { ffi::ht_set_deterministic(on) })
}

/// Keeps freed memory for the next tensor instead of giving it back to the system (glibc; elsewhere nothing changes).
/// For processes that train: steps become faster by a tenth and more, and the process stays as large as it has been.
pub fn keep_freed_memory() {
    // SAFETY: takes no pointer; `mallopt` may be called at any time.
    unsafe { ffi::ht_keep_freed_memory() }
}

/// Whether only deterministic algorithms are used.
#[must_use]
pub fn is_deterministic() -> bool {
    // SAFETY: takes no pointer.
    unsafe { ffi::ht_deterministic() }
}

/// `x` (`[n, c, h, w]`) laid out as channels-last, or back; the values and the shape are the same.
///
/// # Errors
/// When `x` has other than four dimensions and channels-last is asked for.
pub fn channels_last(x: &Tensor, on: bool) -> Result<Tensor, TchError> {
    // SAFETY: the handle is borrowed from a live tensor.
    ffi::taken(unsafe { ffi::ht_memory_format(x.as_ptr(), on) })
}

#[cfg(test)]
mod tests {
    use super::*;
    use tch::{Device, Kind};

    #[test]
    fn the_linked_libtorch_is_the_pinned_one() {
        assert!(version().starts_with("2.11.0"), "{}", version());
        assert!(!cpu_capability().is_empty());
        if cfg!(target_os = "linux") {
            assert!(loaded_from().unwrap().exists());
        }
    }

    #[test]
    fn determinism_can_be_switched() {
        set_deterministic(true).unwrap();
        assert!(is_deterministic());
        set_deterministic(false).unwrap();
        assert!(!is_deterministic());
    }

    #[test]
    fn channels_last_moves_memory_not_values() {
        let x = Tensor::arange(24, (Kind::Float, Device::Cpu)).reshape([1, 2, 3, 4]);
        let y = channels_last(&x, true).unwrap();
        assert_eq!(y.stride(), [24, 1, 8, 2]);
        assert_eq!(x, y);
        assert_eq!(channels_last(&y, false).unwrap().stride(), [24, 12, 4, 1]);
        assert!(channels_last(&x.flatten(0, -1), true).is_err());
    }
}
