//! Random numbers: a pure function of a key, or the state of a generator saved and put back.

use tch::{Device, TchError, Tensor};

use crate::ffi;

/// Mixes numbers into one key (the finalizer of splitmix64 over each part in turn). Keys of different lists
/// differ for all practical purposes; the function never changes, because trials are reproduced by it.
#[must_use]
pub fn key(parts: &[u64]) -> u64 {
    parts.iter().fold(0x9e37_79b9_7f4a_7c15, |state, &part| {
        let mut z = (state ^ part).wrapping_add(0x9e37_79b9_7f4a_7c15);
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    })
}

/// Uniform numbers in [0, 1), f32, of any shape, that depend on `key` and the kind of device alone. The default
/// generators are left where they were.
///
/// # Errors
/// When the device cannot be had or memory is short.
pub fn uniform(shape: &[i64], key: u64, device: Device) -> Result<Tensor, TchError> {
    let device = ffi::device_index(device)?;
    // SAFETY: the pointer and length describe `shape`, which lives through the call.
    ffi::taken(unsafe { ffi::ht_uniform(shape.as_ptr(), shape.len(), key, device) })
}

/// State of the default generator of `device`, bytes.
///
/// # Errors
/// When the device cannot be had.
pub fn state(device: Device) -> Result<Tensor, TchError> {
    let device = ffi::device_index(device)?;
    // SAFETY: takes no pointer.
    ffi::taken(unsafe { ffi::ht_generator_state(device) })
}

/// Puts a state of [`state`] back.
///
/// # Errors
/// When the device cannot be had or the bytes are no state of its generator.
pub fn restore(device: Device, state: &Tensor) -> Result<(), TchError> {
    let device = ffi::device_index(device)?;
    // SAFETY: the handle is borrowed from a live tensor.
    ffi::done(unsafe { ffi::ht_set_generator_state(device, state.as_ptr()) })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Mutex;
    use tch::Kind;

    /// The default generator belongs to the process; tests that use it take turns.
    static DEFAULT_GENERATOR: Mutex<()> = Mutex::new(());

    #[test]
    fn keys_are_stable_and_tell_order_and_length() {
        assert_eq!(key(&[1, 2, 3]), key(&[1, 2, 3]));
        let all = [key(&[]), key(&[0]), key(&[0, 0]), key(&[1, 2]), key(&[2, 1]), key(&[1]), key(&[2])];
        for (i, a) in all.iter().enumerate() {
            assert!(all[i + 1..].iter().all(|b| a != b), "{all:?}");
        }
        assert_eq!(key(&[42, 7]), 14_669_438_080_895_892_853, "the key function may never change");
    }

    #[test]
    fn uniform_depends_on_the_key_alone() {
        let _turn = DEFAULT_GENERATOR.lock().unwrap();
        let a = uniform(&[1000], 7, Device::Cpu).unwrap();
        let before = state(Device::Cpu).unwrap();
        let b = uniform(&[1000], 7, Device::Cpu).unwrap();
        assert_eq!(a, b);
        assert_ne!(a, uniform(&[1000], 8, Device::Cpu).unwrap());
        assert_eq!(before, state(Device::Cpu).unwrap(), "the default generator moved");
        assert!(a.min().double_value(&[]) >= 0.0 && a.max().double_value(&[]) < 1.0);
        assert!((a.mean(Kind::Double).double_value(&[]) - 0.5).abs() < 0.05);
    }

    #[test]
    fn a_restored_state_repeats_the_numbers() {
        let _turn = DEFAULT_GENERATOR.lock().unwrap();
        tch::manual_seed(3);
        let _ = Tensor::rand([17], (Kind::Float, Device::Cpu));
        let saved = state(Device::Cpu).unwrap();
        let first = Tensor::randn([100], (Kind::Float, Device::Cpu));
        restore(Device::Cpu, &saved).unwrap();
        assert_eq!(first, Tensor::randn([100], (Kind::Float, Device::Cpu)));
        assert!(restore(Device::Cpu, &Tensor::from_slice(&[1u8, 2])).is_err());
    }
}
