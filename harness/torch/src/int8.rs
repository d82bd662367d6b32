//! libtorch's own int8 convolution: what our kernels are measured against.

use tch::{Kind, TchError, Tensor};

use crate::ffi;

/// A convolution with int8 weights, packed by libtorch's quantized engine.
#[derive(Debug)]
pub struct Int8Conv2d {
    raw: *mut ffi::Int8Conv2d,
}

impl Int8Conv2d {
    /// Quantizes `weight`, f32 `[outputs, channels / groups, height, width]`, to int8 with one scale and packs it.
    ///
    /// # Errors
    /// When libtorch has no quantized engine on this machine or refuses the shape.
    pub fn new(
        weight: &Tensor,
        scale: f64,
        stride: [i64; 2],
        padding: [i64; 2],
        dilation: [i64; 2],
        groups: i64,
    ) -> Result<Int8Conv2d, TchError> {
        let weight = weight.f_quantize_per_tensor(scale, 0, Kind::QInt8)?;
        // SAFETY: the handle is borrowed from a live tensor; the lists have two numbers each, as the shim reads.
        let raw = unsafe {
            ffi::ht_int8_conv2d_new(weight.as_ptr(), stride.as_ptr(), padding.as_ptr(), dilation.as_ptr(), groups)
        };
        if raw.is_null() { Err(ffi::last_error()) } else { Ok(Int8Conv2d { raw }) }
    }

    /// Convolves `x`, quantized to uint8, into a result quantized to uint8 with this scale and zero point.
    ///
    /// # Errors
    /// When libtorch refuses the input.
    pub fn forward(&self, x: &Tensor, scale: f64, zero_point: i64) -> Result<Tensor, TchError> {
        // SAFETY: `raw` is live until `drop`, and the handle is borrowed from a live tensor.
        ffi::taken(unsafe { ffi::ht_int8_conv2d(self.raw, x.as_ptr(), scale, zero_point) })
    }
}

impl Drop for Int8Conv2d {
    fn drop(&mut self) {
        // SAFETY: `raw` came from `ht_int8_conv2d_new` and is deleted once.
        unsafe { ffi::ht_int8_conv2d_delete(self.raw) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tch::Device;

    #[test]
    fn equals_the_float_convolution_of_integers() {
        let float = (Kind::Float, Device::Cpu);
        let x = Tensor::randint(16, [1, 8, 9, 9], float).contiguous();
        let w = Tensor::randint(7, [5, 8, 3, 3], float) - 3;
        let conv = Int8Conv2d::new(&w, 1.0, [2, 1], [1, 0], [1, 1], 1).unwrap();
        let quantized = x.quantize_per_tensor(1.0, 0, Kind::QUInt8);
        // 8 * 9 * 15 * 3 bounds the sums; a step of 32 keeps them in a byte, off by half a step at most.
        let out = conv.forward(&quantized, 32.0, 128).unwrap().dequantize();
        let exact = x.conv2d(&w, None::<Tensor>, [2, 1], [1, 0], [1, 1], 1);
        assert_eq!(out.size(), exact.size());
        assert!(f64::try_from((out - exact).abs().max()).unwrap() <= 16.0);
    }

    #[test]
    fn a_wrong_shape_is_an_error() {
        let w = Tensor::ones([4, 2, 3, 3], (Kind::Float, Device::Cpu));
        let conv = Int8Conv2d::new(&w, 1.0, [1, 1], [1, 1], [1, 1], 1).unwrap();
        let x = Tensor::ones([1, 5, 4, 4], (Kind::Float, Device::Cpu)).quantize_per_tensor(1.0, 0, Kind::QUInt8);
        assert!(conv.forward(&x, 1.0, 0).is_err());
    }
}
