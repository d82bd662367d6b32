//! The C++ shim, declaration by declaration. Everything here is called from one safe wrapper each.

use std::ffi::{CStr, c_char, c_int, c_void};

use tch::{Device, TchError, Tensor};
use torch_sys::C_tensor;

/// An evenly spaced grid; mirrors `Grid` in `csrc/tensor_ops.cpp`.
#[repr(C)]
#[derive(Debug, Clone, Copy)]
pub(crate) struct Grid {
    pub(crate) inverse: f32,
    pub(crate) offset: f32,
    pub(crate) zero_point: f32,
    pub(crate) max_code: f32,
    pub(crate) step: f32,
    pub(crate) zero: f32,
    pub(crate) scale: f32,
    pub(crate) half_to_zero: bool,
    /// Tensor operations instead of the loops for the CPU.
    pub(crate) general: bool,
}

/// A Rust closure as the shim sees it; mirrors `Closure` in `csrc/autograd.cpp`.
#[repr(C)]
pub(crate) struct Closure {
    pub(crate) state: *mut c_void,
    pub(crate) call: extern "C" fn(*mut c_void, *mut C_tensor, *mut *mut C_tensor, usize) -> *const c_char,
    pub(crate) drop: extern "C" fn(*mut c_void),
}

/// Packed weights of libtorch's int8 convolution; only the shim looks inside.
#[repr(C)]
pub(crate) struct Int8Conv2d {
    _opaque: [u8; 0],
}

// SAFETY: the signatures are those of the `extern "C"` functions in `csrc/`, compiled by this crate's build script;
// what each asks of its pointers is said there and met by the one wrapper that calls it.
unsafe extern "C" {
    pub(crate) fn ht_last_error() -> *const c_char;
    pub(crate) fn ht_version() -> *const c_char;
    pub(crate) fn ht_cpu_capability() -> *const c_char;
    pub(crate) fn ht_generator_state(device: c_int) -> *mut C_tensor;
    pub(crate) fn ht_set_generator_state(device: c_int, state: *const C_tensor) -> bool;
    pub(crate) fn ht_uniform(shape: *const i64, dimensions: usize, seed: u64, device: c_int) -> *mut C_tensor;
    pub(crate) fn ht_set_deterministic(on: bool) -> bool;
    pub(crate) fn ht_deterministic() -> bool;
    pub(crate) fn ht_keep_freed_memory();
    pub(crate) fn ht_load_library(path: *const c_char) -> bool;
    pub(crate) fn ht_with_gradient(
        value: *const C_tensor,
        inputs: *const *const C_tensor,
        count: usize,
        closure: Closure,
    ) -> *mut C_tensor;
    pub(crate) fn ht_fake_quantize(x: *const C_tensor, grid: *const Grid, low: f64, high: f64) -> *mut C_tensor;
    pub(crate) fn ht_quantize_codes(x: *const C_tensor, grid: *const Grid) -> *mut C_tensor;
    pub(crate) fn ht_memory_format(x: *const C_tensor, channels_last: bool) -> *mut C_tensor;
    pub(crate) fn ht_sgd(
        values: *const *const C_tensor,
        gradients: *const *const C_tensor,
        momenta: *const *const C_tensor,
        count: usize,
        lr: f64,
        momentum: f64,
        weight_decay: f64,
        nesterov: bool,
    ) -> bool;
    pub(crate) fn ht_adam(
        values: *const *const C_tensor,
        gradients: *const *const C_tensor,
        first_moments: *const *const C_tensor,
        second_moments: *const *const C_tensor,
        steps: *const *const C_tensor,
        count: usize,
        lr: f64,
        beta1: f64,
        beta2: f64,
        eps: f64,
        weight_decay: f64,
        decoupled: bool,
    ) -> bool;
    pub(crate) fn ht_int8_conv2d_new(
        weight: *const C_tensor,
        stride: *const i64,
        padding: *const i64,
        dilation: *const i64,
        groups: i64,
    ) -> *mut Int8Conv2d;
    pub(crate) fn ht_int8_conv2d_delete(conv: *mut Int8Conv2d);
    pub(crate) fn ht_int8_conv2d(
        conv: *const Int8Conv2d,
        x: *const C_tensor,
        scale: f64,
        zero_point: i64,
    ) -> *mut C_tensor;
}

/// Number of a device in the shim: -1 for the CPU, the index for CUDA.
pub(crate) fn device_index(device: Device) -> Result<c_int, TchError> {
    match device {
        Device::Cpu => Ok(-1),
        Device::Cuda(index) => {
            c_int::try_from(index).map_err(|_| TchError::Torch(format!("no device has the number {index}")))
        }
        other => Err(TchError::Torch(format!("device {other:?} is not supported, expected the CPU or CUDA"))),
    }
}

/// The message of the call that just failed on this thread.
pub(crate) fn last_error() -> TchError {
    // SAFETY: the shim returns a NUL-terminated string that lives until the next failing call of this thread,
    // and it is copied here before any other call.
    let message = unsafe { CStr::from_ptr(ht_last_error()) };
    TchError::Torch(message.to_string_lossy().into_owned())
}

/// Takes over a tensor that the shim gave away, or the error behind a null.
pub(crate) fn taken(raw: *mut C_tensor) -> Result<Tensor, TchError> {
    if raw.is_null() {
        return Err(last_error());
    }
    // SAFETY: non-null tensors returned by the shim were allocated for the caller (`harness::give`) and nobody
    // else frees them.
    Ok(unsafe { Tensor::from_ptr(raw) })
}

/// The error behind a `false`.
pub(crate) fn done(ok: bool) -> Result<(), TchError> {
    if ok { Ok(()) } else { Err(last_error()) }
}

/// Borrowed handles of tensors, valid as long as the slice is.
pub(crate) fn handles(tensors: &[&Tensor]) -> Vec<*const C_tensor> {
    tensors.iter().map(|tensor| tensor.as_ptr()).collect()
}

/// Text that the shim owns for the whole life of the process.
pub(crate) fn constant(text: *const c_char) -> String {
    // SAFETY: called with pointers to static NUL-terminated strings only.
    unsafe { CStr::from_ptr(text) }.to_string_lossy().into_owned()
}
