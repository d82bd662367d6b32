//! An evenly spaced grid whose scale was measured or learned, and is a tensor.

use tch::{Kind, TchError, Tensor};

use crate::{UniformGrid, on_host};

/// A [`UniformGrid`] whose `inverse` and `scale` are tensors of one element, on the device of the data.
///
/// On the CPU they are read and the grid computes in one pass over memory; elsewhere tensor operations compute the
/// same formula with the same roundings, without waiting for the two numbers.
#[derive(Debug)]
pub struct ScaledGrid {
    /// Codes per unit of x: f32, one element.
    pub inverse: Tensor,
    /// Real value of one integer unit: f32, one element.
    pub scale: Tensor,
    /// As [`UniformGrid::offset`].
    pub offset: f32,
    /// As [`UniformGrid::zero_point`].
    pub zero_point: i32,
    /// As [`UniformGrid::max_code`].
    pub max_code: u8,
    /// As [`UniformGrid::step`].
    pub step: i32,
    /// As [`UniformGrid::zero`].
    pub zero: i32,
}

impl ScaledGrid {
    /// `max_code + 1` levels from 0 to `maximum` (f32, one element): `code = round(x n/maximum)`. A maximum that is
    /// not above zero has code 0 for everything.
    ///
    /// # Errors
    /// When libtorch fails.
    pub fn from_zero(max_code: u8, maximum: &Tensor) -> Result<ScaledGrid, TchError> {
        let n = maximum.f_full_like(f64::from(max_code))?;
        let none = maximum.f_gt(0.0)?.f_logical_not()?;
        let inverse = n.f_div(maximum)?.f_masked_fill(&none, 0.0)?;
        // Division by a tensor: on a GPU, division by a number is multiplication by its inverse, which rounds twice.
        let scale = maximum.f_div(&n)?;
        Ok(ScaledGrid { inverse, scale, offset: 0.0, zero_point: 0, max_code, step: 1, zero: 0 })
    }

    /// `max_code + 1` levels from `-scale * max_code` to `scale * max_code` without a zero, for `-reach <= x <= reach`:
    /// `code = round((x/reach + 1) n/2)`, `level = (2c - n) scale`. A reach that is not above zero has the middle code
    /// for everything. Both tensors are f32 of one element.
    ///
    /// # Errors
    /// When libtorch fails.
    pub fn symmetric(max_code: u8, reach: &Tensor, scale: Tensor) -> Result<ScaledGrid, TchError> {
        let n = f64::from(max_code);
        let none = reach.f_gt(0.0)?.f_logical_not()?;
        let inverse = reach.f_full_like(n)?.f_div(&reach.f_mul_scalar(2.0)?)?.f_masked_fill(&none, 0.0)?;
        let offset = f32::from(max_code) / 2.0;
        Ok(ScaledGrid { inverse, scale, offset, zero_point: 0, max_code, step: 2, zero: i32::from(max_code) })
    }

    /// The grid of numbers. Waits for the device.
    fn at_hand(&self) -> Result<UniformGrid, TchError> {
        let ScaledGrid { offset, zero_point, max_code, step, zero, .. } = *self;
        let (inverse, scale) = (f32::try_from(&self.inverse)?, f32::try_from(&self.scale)?);
        Ok(UniformGrid { inverse, offset, zero_point, max_code, step, zero, scale })
    }

    /// Codes as f32 by tensor operations, a NaN where `x` is one.
    fn nearest(&self, x: &Tensor) -> Result<Tensor, TchError> {
        let rounded = x.f_mul(&self.inverse)?.f_add_scalar(f64::from(self.offset))?.f_round()?;
        rounded.f_add_scalar(f64::from(self.zero_point))?.f_clamp(0.0, f64::from(self.max_code))
    }

    /// The codes of `x`: u8, same shape. A NaN has no code; callers exclude it.
    ///
    /// # Errors
    /// When libtorch fails.
    pub fn codes(&self, x: &Tensor) -> Result<Tensor, TchError> {
        if on_host(x) {
            return self.at_hand()?.codes(x);
        }
        self.nearest(x)?.f_to_kind(Kind::Uint8)
    }

    /// The levels of the codes of `x`: f32, same shape, a NaN where `x` is one. No gradient flows.
    ///
    /// # Errors
    /// When libtorch fails.
    pub fn levels(&self, x: &Tensor) -> Result<Tensor, TchError> {
        let x = x.f_detach()?;
        if on_host(&x) {
            return self.at_hand()?.fake_quantize(&x, 0.0, 0.0);
        }
        let integers = self.nearest(&x)?.f_mul_scalar(f64::from(self.step))?.f_sub_scalar(f64::from(self.zero))?;
        integers.f_mul(&self.scale)
    }

    /// [`ScaledGrid::levels`] whose gradient passes where `0 <= x <= high` and is zero elsewhere. `high` is f32 of one
    /// element.
    ///
    /// # Errors
    /// When libtorch fails.
    pub fn fake_quantize_from_zero(&self, x: &Tensor, high: &Tensor) -> Result<Tensor, TchError> {
        if on_host(x) {
            return self.at_hand()?.fake_quantize(x, 0.0, f32::try_from(high)?);
        }
        let (saved, high) = (x.f_detach()?, high.f_detach()?);
        crate::with_gradient(&self.levels(x)?, &[x], move |g| {
            let inside = saved.f_ge(0.0)?.f_logical_and(&saved.f_le_tensor(&high)?)?;
            Ok(vec![Some(g.f_where_self(&inside, &g.f_zeros_like()?)?)])
        })
    }
}

/// `g` where `low < x < high`, both excluded, and where `x` is a NaN; 0 elsewhere. `low` and `high` are f32 of one
/// element; without `low` there is no lower end.
///
/// # Errors
/// When libtorch fails.
pub fn gradient_between(x: &Tensor, g: &Tensor, low: Option<&Tensor>, high: &Tensor) -> Result<Tensor, TchError> {
    if on_host(x) {
        // The gradient of the hard tanh has this very gate, and is one pass over memory.
        let low = low.map_or(Ok(f32::NEG_INFINITY), f32::try_from)?;
        return x.f_hardtanh_backward(g, f64::from(low), f64::from(f32::try_from(high)?));
    }
    let above = x.f_ge_tensor(high)?;
    let outside = match low {
        Some(low) => above.f_logical_or(&x.f_le_tensor(low)?)?,
        None => above,
    };
    g.f_masked_fill(&outside, 0.0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::path::as_on_device;
    use proptest::prelude::*;

    fn floats(x: &Tensor) -> Vec<f32> {
        Vec::try_from(&x.detach().reshape([-1])).unwrap()
    }

    fn number(value: f32) -> Tensor {
        Tensor::from_slice(&[value]).view([])
    }

    fn grids(max_code: u8, reach: f32) -> [ScaledGrid; 2] {
        let scale = number(reach / 3.0);
        [
            ScaledGrid::from_zero(max_code, &number(reach)).unwrap(),
            ScaledGrid::symmetric(max_code, &number(reach), scale).unwrap(),
        ]
    }

    proptest! {
        #[test]
        fn both_paths_give_the_same_codes_levels_and_gradients(
            values in prop::collection::vec(-3.0f32..3.0, 1..100), k in 1u32..=8, reach in 0.0f32..3.0,
        ) {
            let x = Tensor::from_slice(&values);
            for grid in grids(((1u32 << k) - 1) as u8, reach) {
                let codes = grid.codes(&x).unwrap();
                prop_assert_eq!(&codes, &as_on_device(|| grid.codes(&x)).unwrap());
                let levels = floats(&grid.levels(&x).unwrap());
                prop_assert_eq!(&levels, &floats(&as_on_device(|| grid.levels(&x)).unwrap()));
                let high = number(reach);
                let run = || {
                    let x = x.copy().set_requires_grad(true);
                    let y = grid.fake_quantize_from_zero(&x, &high).unwrap();
                    (&y * 7.0).sum(Kind::Float).backward();
                    (floats(&y), floats(&x.grad()))
                };
                let host = run();
                prop_assert_eq!(&host.0, &levels);
                prop_assert_eq!(host, as_on_device(run));
            }
        }
    }

    #[test]
    fn without_a_range_there_is_one_code_and_a_nan_stays_one() {
        let x = Tensor::from_slice(&[-1.0f32, 0.0, 5.0, f32::NAN]);
        let run =
            || grids(3, 0.0).map(|grid| (floats(&grid.levels(&x).unwrap()), grid.codes(&x.narrow(0, 0, 3)).unwrap()));
        for [(up, up_codes), (both, both_codes)] in [run(), as_on_device(run)] {
            assert_eq!((&up[..3], &both[..3]), (&[0.0; 3][..], &[0.0; 3][..]));
            assert!(up[3].is_nan() && both[3].is_nan());
            assert_eq!(Vec::<u8>::try_from(up_codes).unwrap(), [0; 3]);
            assert_eq!(Vec::<u8>::try_from(both_codes).unwrap(), [2; 3], "1.5 is rounded to even");
        }
    }

    #[test]
    fn gradients_between_exclude_both_ends() {
        let x = Tensor::from_slice(&[-2.0f32, -1.0, -0.5, 1.9, 2.0, 3.0, f32::NAN]);
        let g = Tensor::from_slice(&[1.0f32, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0]);
        let (low, high) = (number(-1.0), number(2.0));
        let run = || [Some(&low), None].map(|low| floats(&gradient_between(&x, &g, low, &high).unwrap()));
        for found in [run(), as_on_device(run)] {
            assert_eq!(found[0], [0.0, 0.0, 3.0, 4.0, 0.0, 0.0, 7.0]);
            assert_eq!(found[1], [1.0, 2.0, 3.0, 4.0, 0.0, 0.0, 7.0]);
        }
    }
}
