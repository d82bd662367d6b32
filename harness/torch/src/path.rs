//! Which of two implementations computes on a tensor.
//!
//! On the CPU most quantizers have loops of their own, which read scales as numbers. Elsewhere they are tensor
//! operations that never wait for the device. Both give the same bits, and this file is the only place that chooses.

use std::cell::Cell;

use tch::{Device, Tensor};

thread_local! {
    static ALWAYS_DEVICE: Cell<bool> = const { Cell::new(false) };
}

/// Whether the loops for the CPU compute on `x`. Otherwise tensor operations do, wherever `x` lives.
#[must_use]
pub fn on_host(x: &Tensor) -> bool {
    x.device() == Device::Cpu && !ALWAYS_DEVICE.get()
}

/// Runs `body` with [`on_host`] false for every tensor, on this thread. For tests: tensors on the CPU then take the
/// path that tensors on a GPU take. No command and no option leads here.
pub fn as_on_device<R>(body: impl FnOnce() -> R) -> R {
    /// Restores the state before, also when `body` panics.
    struct Restore(bool);
    impl Drop for Restore {
        fn drop(&mut self) {
            ALWAYS_DEVICE.set(self.0);
        }
    }
    let _restore = Restore(ALWAYS_DEVICE.replace(true));
    body()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_device_path_ends_with_its_body() {
        let x = Tensor::from_slice(&[1.0f32]);
        assert!(on_host(&x));
        assert!(!as_on_device(|| on_host(&x)));
        let after_nested = as_on_device(|| {
            as_on_device(|| ());
            on_host(&x)
        });
        assert!(!after_nested, "the outer body goes on after the inner one");
        let _ = std::panic::catch_unwind(|| as_on_device(|| panic!("inside")));
        assert!(on_host(&x), "after a panic");
    }
}
