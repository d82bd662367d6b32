//! The clamp of the input, and the levels that scales give.

use harness_method_core::{Bits, Levels};
use tch::{TchError, Tensor};

/// `x` limited to `[-clamp, clamp]`; as it is where `clamp` is infinite.
pub(crate) fn clamped(x: &Tensor, clamp: f32) -> Result<Tensor, TchError> {
    if clamp.is_finite() { x.f_clamp(-f64::from(clamp), f64::from(clamp)) } else { Ok(x.shallow_clone()) }
}

/// `sum_i v_i s_i = -sum_i v_i + sum_i 2 v_i bit_i`, the first sum from `v_1` on; plane j belongs to scale k - j.
pub(crate) fn levels(scales: &Tensor, bits: Bits) -> Result<Levels, TchError> {
    let mut sum = scales.f_select(1, 0)?;
    for i in 1..scales.size()[1] {
        sum = sum.f_add(&scales.f_select(1, i)?)?;
    }
    Ok(Levels::Planes { bits, offset: sum.f_neg()?, scales: scales.f_flip([1])?.f_mul_scalar(2.0)? })
}
