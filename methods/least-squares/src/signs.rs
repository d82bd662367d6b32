//! Codes, levels and gradients from scales.
//!
//! `s_i = sign(r_i)`, `r_1 = x`, `r_{i+1} = r_i - v_i s_i`. Bit `k - i` of a code is set where `s_i = +1`, so that codes
//! ascend with their levels. The backward rule takes the derivative of a sign as `g(t) = [|t| <= 1]` and goes through
//! all signs: `dq/dx = sum_i v_i g(r_i) p_i` with `p_1 = 1`, `p_{i+1} = p_i (1 - v_i g(r_i))`. Before all that, `x` is
//! clamped to `[-clamp, clamp]`; nothing passes from outside.

mod device;
mod host;

use harness_method_core::rows::Rows;
use harness_method_core::{Bits, Codes, MethodError};
use harness_torch::on_host;
use tch::Tensor;

use crate::levels::{clamped, levels};
use crate::scales::Scales;

/// `x` (any shape, dimension 0 the group) with scales `[g, k]`; g = 1 means the same scales for all groups.
pub(crate) fn codes(x: &Tensor, scales: &Tensor, clamp: f32, bits: Bits) -> Result<Codes, MethodError> {
    let codes = if on_host(x) { host::codes(x, scales, clamp)? } else { device::codes(&clamped(x, clamp)?, scales)? };
    Ok(Codes { codes, levels: levels(scales, bits)?, kept: None })
}

/// The levels of `x` with the gradient through the signs, and the scales they were made with.
pub(crate) fn fake_quantize(
    x: &Tensor,
    scales: Scales<'_>,
    clamp: f32,
    bits: Bits,
) -> Result<(Tensor, Tensor), MethodError> {
    if on_host(x) {
        return host::fake_quantize(x, scales, clamp);
    }
    let scales = match scales {
        Scales::Own(solver) => tch::no_grad(|| solver.scales(&Rows::Each.matrix(x)?, clamp))?,
        Scales::Given(scales) => scales.shallow_clone(),
    };
    Ok((device::fake_quantize(x, &scales, clamp, bits)?, scales))
}

/// A differentiable expression with the gradient through the signs.
pub(crate) fn surrogate(x: &Tensor, scales: &Tensor, clamp: f32) -> Result<Tensor, MethodError> {
    Ok(device::surrogate(&clamped(x, clamp)?, scales)?)
}

#[cfg(test)]
mod tests {
    use harness_torch::random;
    use proptest::prelude::*;
    use tch::{Device, Kind};

    use super::*;

    fn bits_of(x: &Tensor) -> Vec<u32> {
        Vec::<f32>::try_from(&x.detach().reshape([-1])).unwrap().into_iter().map(f32::to_bits).collect()
    }

    proptest! {
        /// What a GPU computes and what the CPU does are the same codes and levels, to the bit, and the same gradient.
        #[test]
        fn both_forms_agree(seed: u64, rows in 1i64..4, n in 1i64..40, k in 1u8..=8, shared: bool, clamp: bool) {
            let uniform = |shape: &[i64], key| random::uniform(shape, key, Device::Cpu).unwrap();
            let clamp = if clamp { 2.0 } else { f32::INFINITY };
            let x = (uniform(&[rows, n], seed) * 6.0 - 3.0).set_requires_grad(true);
            let z = x.detach().copy().set_requires_grad(true);
            let groups = if shared { 1 } else { rows };
            let scales = uniform(&[groups, i64::from(k)], seed ^ 1).sort(1, true).0;
            let bits = Bits::new(k).unwrap();
            let native = host::codes(&x, &scales, clamp).unwrap();
            let general = device::codes(&clamped(&z.detach(), clamp).unwrap(), &scales).unwrap();
            prop_assert_eq!(native, general);
            let native = host::fake_quantize(&x, Scales::Given(&scales), clamp).unwrap().0;
            let general = device::fake_quantize(&z, &scales, clamp, bits).unwrap();
            prop_assert_eq!(bits_of(&native), bits_of(&general));
            let upstream = uniform(&[rows, n], seed ^ 2);
            (native * &upstream).sum(Kind::Float).backward();
            (general * &upstream).sum(Kind::Float).backward();
            let worst = (x.grad() - z.grad()).abs().max().double_value(&[]);
            prop_assert!(worst < 1e-5, "{worst}");
        }
    }

    #[test]
    fn a_nan_is_no_level_in_either_form() {
        let x = Tensor::from_slice(&[f32::NAN, 0.5, -9.0]).view([1, 3]);
        let scales = Tensor::from_slice(&[1.0f32, 0.5]).view([1, 2]);
        let native = host::fake_quantize(&x, Scales::Given(&scales), 2.0).unwrap().0;
        let general = device::fake_quantize(&x, &scales, 2.0, Bits::new(2).unwrap()).unwrap();
        for y in [native, general] {
            let y = Vec::<f32>::try_from(y.view([-1])).unwrap();
            assert!(y[0].is_nan());
            assert_eq!(y[1..], [0.5, -1.5]);
        }
    }
}
