//! By tensor operations, on any device, without waiting for it.

use harness_method_core::rows::column;
use harness_method_core::{Bits, MethodError};
use harness_torch::with_gradient;
use tch::{Kind, TchError, Tensor};

use crate::levels::{clamped, levels};

/// Codes of an `x` that is clamped.
pub(crate) fn codes(x: &Tensor, scales: &Tensor) -> Result<Tensor, TchError> {
    let mut left = x.shallow_clone();
    let mut codes = x.f_zeros_like()?.f_to_kind(Kind::Uint8)?;
    for i in 0..scales.size()[1] {
        let v = column(&scales.f_select(1, i)?, x.dim())?;
        let up = left.f_ge(0.0)?;
        codes = codes.f_mul_scalar(2)?.f_add(&up.f_to_kind(Kind::Uint8)?)?;
        left = left.f_sub(&v)?.f_where_self(&up, &left.f_add(&v)?)?;
    }
    Ok(codes)
}

/// Levels, with a gradient in closed form: no graph is kept, only `x` and the scales.
pub(crate) fn fake_quantize(x: &Tensor, scales: &Tensor, clamp: f32, bits: Bits) -> Result<Tensor, MethodError> {
    let saved = x.f_detach()?;
    let on_grid = tch::no_grad(|| -> Result<Tensor, MethodError> {
        let x = clamped(&saved, clamp)?;
        let on_grid = levels(scales, bits)?.of(&codes(&x, scales)?)?;
        // The difference is zero, or a NaN that must not become a level.
        Ok(on_grid.f_add(&x.f_sub(&x)?)?)
    })?;
    let scales = scales.shallow_clone();
    Ok(with_gradient(&on_grid, &[x], move |g| Ok(vec![Some(g.f_mul(&slope(&saved, &scales, clamp)?)?)]))?)
}

/// `dq/dx`.
fn slope(x: &Tensor, scales: &Tensor, clamp: f32) -> Result<Tensor, TchError> {
    let mut left = clamped(x, clamp)?;
    let mut slope = x.f_zeros_like()?;
    let mut product = x.f_abs()?.f_le(f64::from(clamp))?.f_to_kind(Kind::Float)?;
    for i in 0..scales.size()[1] {
        let v = column(&scales.f_select(1, i)?, x.dim())?;
        let inside = left.f_abs()?.f_le(1.0)?.f_to_kind(Kind::Float)?.f_mul(&v)?;
        slope = slope.f_addcmul(&inside, &product)?;
        product = product.f_sub(&product.f_mul(&inside)?)?;
        left = left.f_sub(&v)?.f_where_self(&left.f_ge(0.0)?, &left.f_add(&v)?)?;
    }
    Ok(slope)
}

/// A differentiable expression with the gradient through the signs, for an `x` that is clamped.
pub(crate) fn surrogate(x: &Tensor, scales: &Tensor) -> Result<Tensor, TchError> {
    let mut left = x.shallow_clone();
    let mut sum = x.f_zeros_like()?;
    for i in 0..scales.size()[1] {
        let v = column(&scales.f_select(1, i)?, x.dim())?;
        let value = tch::no_grad(|| left.f_ge(0.0)?.f_to_kind(x.kind())?.f_mul_scalar(2.0)?.f_sub_scalar(1.0))?;
        // The clamp's derivative is that of the sign: 1 for |t| <= 1, both ends included.
        let through = left.f_clamp(-1.0, 1.0)?;
        let sign = value.f_add(&through.f_sub(&through.f_detach()?)?)?;
        let part = sign.f_mul(&v)?;
        left = left.f_sub(&part)?;
        sum = sum.f_add(&part)?;
    }
    Ok(sum)
}
