//! Codes, levels and gradients from given scales.
//!
//! `s_i = sign(r_i)`, `r_1 = x`, `r_{i+1} = r_i - v_i s_i`. Bit `k - i` of a code is set where `s_i = +1`, so that codes
//! ascend with their levels. The backward rule takes the derivative of a sign as `g(t) = [|t| <= 1]` and goes through
//! the fold: `dq/dx = sum_i v_i g(r_i) p_i` with `p_1 = 1`, `p_{i+1} = p_i (1 - v_i g(r_i))`.

use harness_method_core::rows::column;
use harness_method_core::{Bits, Codes, Levels, MethodError};
use harness_torch::{slices, with_gradient};
use tch::{Device, Kind, TchError, Tensor};

use crate::rows;

/// Greatest width: codes are bytes.
const MOST: usize = 8;

/// `x` (any shape, dimension 0 the group) with scales `[g, k]`; g = 1 means the same scales for all groups.
pub(crate) fn codes(x: &Tensor, scales: &Tensor, bits: Bits) -> Result<Codes, MethodError> {
    let codes = if x.device() == Device::Cpu { codes_on_host(x, scales)? } else { codes_on_device(x, scales)? };
    Ok(Codes { codes, levels: levels(scales, bits)?, kept: None })
}

/// `sum_i v_i s_i = -sum_i v_i + sum_i 2 v_i bit_i`; plane j belongs to scale k - 1 - j.
fn levels(scales: &Tensor, bits: Bits) -> Result<Levels, MethodError> {
    let planes = scales.f_flip([1])?.f_mul_scalar(2.0)?;
    let offset = offset_of(scales)?;
    Ok(Levels::Planes { bits, offset, scales: planes })
}

/// `-(v_1 + ... + v_k)`, added from the first.
fn offset_of(scales: &Tensor) -> Result<Tensor, TchError> {
    let mut sum = scales.f_select(1, 0)?;
    for i in 1..scales.size()[1] {
        sum = sum.f_add(&scales.f_select(1, i)?)?;
    }
    sum.f_neg()
}

/// The level of every code of a row with these scales: the numbers of [`levels`].
fn table(scales: &[f32]) -> [f32; 1 << MOST] {
    let offset = -scales[1..].iter().fold(scales[0], |sum, v| sum + v);
    std::array::from_fn(|code| {
        let planes = scales.iter().rev().enumerate();
        planes.fold(offset, |level, (bit, v)| if code >> bit & 1 == 1 { level + 2.0 * v } else { level })
    })
}

/// Calls a function with the scales as an array, so that the loop over them is unrolled for each width.
macro_rules! by_width {
    ($scales:expr, $function:ident($($argument:expr),*)) => {
        match $scales {
            &[a] => $function(&[a], $($argument),*),
            &[a, b] => $function(&[a, b], $($argument),*),
            &[a, b, c] => $function(&[a, b, c], $($argument),*),
            &[a, b, c, d] => $function(&[a, b, c, d], $($argument),*),
            &[a, b, c, d, e] => $function(&[a, b, c, d, e], $($argument),*),
            &[a, b, c, d, e, f] => $function(&[a, b, c, d, e, f], $($argument),*),
            &[a, b, c, d, e, f, g] => $function(&[a, b, c, d, e, f, g], $($argument),*),
            &[a, b, c, d, e, f, g, h] => $function(&[a, b, c, d, e, f, g, h], $($argument),*),
            _ => {}
        }
    };
}

#[inline]
fn code(x: f32, scales: &[f32]) -> u8 {
    let (mut left, mut code) = (x, 0);
    for v in scales {
        let up = left >= 0.0;
        code = code << 1 | u8::from(up);
        left -= if up { *v } else { -*v };
    }
    code
}

/// The scales of each row on the host.
struct Host {
    rows: usize,
    scales: Vec<f32>,
    k: usize,
}

impl Host {
    fn new(x: &Tensor, scales: &Tensor) -> Result<Host, TchError> {
        Ok(Host {
            rows: x.size().first().map_or(1, |&n| usize::try_from(n).unwrap_or(0)),
            scales: slices::with(scales, <[f32]>::to_vec)?,
            k: usize::try_from(scales.size()[1]).unwrap_or(1),
        })
    }

    fn of(&self, row: usize) -> &[f32] {
        let row = if self.scales.len() == self.k { 0 } else { row };
        &self.scales[row * self.k..][..self.k]
    }
}

fn codes_on_host(x: &Tensor, scales: &Tensor) -> Result<Tensor, MethodError> {
    let host = Host::new(x, scales)?;
    let codes = slices::with(x, |values| {
        let mut codes = vec![0u8; values.len()];
        rows::for_each(host.rows, values, &mut codes, |row, from, to| {
            let scales = host.of(row);
            to.iter_mut().zip(from).for_each(|(to, &x)| *to = code(x, scales));
        });
        codes
    })?;
    Ok(Tensor::f_from_slice(&codes)?.f_view_as(x)?)
}

fn codes_on_device(x: &Tensor, scales: &Tensor) -> Result<Tensor, MethodError> {
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

/// The levels of `x` with the gradient of the fold; nothing passes where `|x| > clamp`, and `x` is clamped there first.
/// On the CPU, one pass each way.
pub(crate) fn fake_quantize(x: &Tensor, scales: &Tensor, clamp: f32) -> Result<Tensor, MethodError> {
    let host = Host::new(x, scales)?;
    let saved = x.f_detach()?;
    let levels = slices::with(x, |from| {
        slices::fill(&x.size(), |to| {
            rows::for_each(host.rows, from, to, |row, from, to| by_width!(host.of(row), decode(from, to, clamp)));
        })
    })??;
    Ok(with_gradient(&levels, &[x], move |g| {
        let gradient = slices::with(&saved, |x| {
            slices::with(g, |g| {
                let n = g.len() / host.rows.max(1);
                slices::fill(&saved.size(), |to| {
                    rows::for_each(host.rows, x, to, |row, x, to| {
                        by_width!(host.of(row), backward(x, &g[row * n..][..n], to, clamp));
                    });
                })
            })
        })???;
        Ok(vec![Some(gradient)])
    })?)
}

fn decode<const K: usize>(scales: &[f32; K], from: &[f32], to: &mut [f32], clamp: f32) {
    let table = table(scales);
    for (to, &x) in to.iter_mut().zip(from) {
        // A NaN must not become a level.
        *to = if x.is_nan() { x } else { table[usize::from(code(x.clamp(-clamp, clamp), scales))] };
    }
}

fn backward<const K: usize>(scales: &[f32; K], x: &[f32], g: &[f32], to: &mut [f32], clamp: f32) {
    for ((to, &x), g) in to.iter_mut().zip(x).zip(g) {
        *to = if x.abs() <= clamp { g * slope(x, scales) } else { 0.0 };
    }
}

/// `dq/dx` at one element.
#[inline]
fn slope(x: f32, scales: &[f32]) -> f32 {
    let (mut left, mut product, mut slope) = (x, 1.0, 0.0);
    for v in scales {
        let inside = if left.abs() <= 1.0 { *v } else { 0.0 };
        slope += inside * product;
        product *= 1.0 - inside;
        left -= if left >= 0.0 { *v } else { -*v };
    }
    slope
}

/// A differentiable expression with the gradient of the fold, for any device.
pub(crate) fn surrogate(x: &Tensor, scales: &Tensor) -> Result<Tensor, MethodError> {
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
