//! The numbers of a CPU tensor in place, for native code that does in one pass what tensor operations do in ten.

use std::slice;

use tch::{Device, Kind, TchError, Tensor};

/// Calls `f` with the numbers of `x` in row-major order.
///
/// # Errors
/// When `x` is not an f32 tensor on the CPU, or memory for a contiguous copy is short.
pub fn with<R>(x: &Tensor, f: impl FnOnce(&[f32]) -> R) -> Result<R, TchError> {
    check(x)?;
    let contiguous = x.f_contiguous()?;
    if contiguous.numel() == 0 {
        return Ok(f(&[]));
    }
    // SAFETY: a dense contiguous f32 tensor on the CPU has `numel` numbers from `data_ptr` on. `contiguous` owns (a
    // share of) them until after the call, and the slice cannot leave it. Nothing writes to them meanwhile: `f` gets
    // no handle of the tensor, and trials share none between threads.
    Ok(f(unsafe { slice::from_raw_parts(contiguous.data_ptr().cast::<f32>().cast_const(), contiguous.numel()) }))
}

/// A new f32 tensor on the CPU of this shape, filled by `f`, which gets it in row-major order with unspecified values.
///
/// # Errors
/// When memory is short.
pub fn fill(shape: &[i64], f: impl FnOnce(&mut [f32])) -> Result<Tensor, TchError> {
    let tensor = Tensor::f_empty(shape, (Kind::Float, Device::Cpu))?;
    if tensor.numel() == 0 {
        f(&mut []);
        return Ok(tensor);
    }
    // SAFETY: the tensor is new, dense, contiguous, f32 and on the CPU, so `numel` numbers from `data_ptr` on are its
    // own and nobody else's; every bit pattern is an f32.
    f(unsafe { slice::from_raw_parts_mut(tensor.data_ptr().cast::<f32>(), tensor.numel()) });
    Ok(tensor)
}

/// Bytes on the host that a device can fetch while it computes: page-locked where the device is CUDA.
#[derive(Debug)]
pub struct HostBytes {
    /// u8, one-dimensional, dense, on the CPU, its memory shared with no other handle while this one lives.
    tensor: Tensor,
}

impl HostBytes {
    /// `len` bytes of any value, to be sent to `device`.
    ///
    /// # Errors
    /// When memory is short.
    pub fn new(len: usize, device: Device) -> Result<HostBytes, TchError> {
        let length = i64::try_from(len).map_err(|_| TchError::Convert(format!("{len} bytes are too many")))?;
        let tensor = Tensor::f_empty([length], (Kind::Uint8, Device::Cpu))?;
        let tensor = if matches!(device, Device::Cuda(_)) { tensor.f_pin_memory(device)? } else { tensor };
        Ok(HostBytes { tensor })
    }

    /// The bytes as a u8 tensor `[len]`, without a copy.
    pub fn into_tensor(self) -> Tensor {
        self.tensor
    }
}

impl AsMut<[u8]> for HostBytes {
    fn as_mut(&mut self) -> &mut [u8] {
        if self.tensor.numel() == 0 {
            return &mut [];
        }
        // SAFETY: `tensor` is dense, u8 and on the CPU (`new` made it so), so `numel` bytes from `data_ptr` on are its
        // own; no other handle exists, so the exclusive borrow of `self` makes this the only access to them.
        unsafe { slice::from_raw_parts_mut(self.tensor.data_ptr().cast::<u8>(), self.tensor.numel()) }
    }
}

fn check(x: &Tensor) -> Result<(), TchError> {
    match (x.f_kind()?, x.device()) {
        (Kind::Float, Device::Cpu) => Ok(()),
        (kind, device) => Err(TchError::Kind(format!("{kind:?} on {device:?}, expected f32 on the CPU"))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_those_of_the_tensor() {
        let x = Tensor::arange(12, (Kind::Float, Device::Cpu)).reshape([3, 4]);
        assert_eq!(with(&x, |numbers| numbers.to_vec()).unwrap(), Vec::<f32>::try_from(x.reshape([-1])).unwrap());
        let t = x.transpose(0, 1);
        assert_eq!(with(&t, |numbers| numbers[1]).unwrap(), 4.0, "row-major order, whatever the strides");
        assert_eq!(with(&x.narrow(0, 1, 1), |numbers| numbers.to_vec()).unwrap(), [4.0, 5.0, 6.0, 7.0]);
        assert_eq!(with(&Tensor::zeros([0], (Kind::Float, Device::Cpu)), <[f32]>::len).unwrap(), 0);
        assert!(with(&x.to_kind(Kind::Double), |_| ()).is_err());
    }

    #[test]
    fn bytes_written_on_the_host_are_those_of_the_tensor() {
        let mut bytes = HostBytes::new(5, Device::Cpu).unwrap();
        bytes.as_mut().copy_from_slice(&[3, 1, 4, 1, 5]);
        assert_eq!(bytes.into_tensor(), Tensor::from_slice(&[3u8, 1, 4, 1, 5]));
        assert!(HostBytes::new(0, Device::Cpu).unwrap().as_mut().is_empty());
    }

    #[test]
    fn a_tensor_is_filled_in_place() {
        let x = fill(&[2, 3], |numbers| numbers.iter_mut().enumerate().for_each(|(i, to)| *to = i as f32)).unwrap();
        assert_eq!(x, Tensor::arange(6, (Kind::Float, Device::Cpu)).reshape([2, 3]));
        assert_eq!(fill(&[0, 3], |numbers| assert!(numbers.is_empty())).unwrap().size(), [0, 3]);
    }
}
