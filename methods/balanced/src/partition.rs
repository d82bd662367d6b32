//! Thresholds that split values into `2^k` parts, and the part of each value.
//!
//! The text recurses over masked copies of the tensor. Here a node of the recursion is an interval between two
//! neighbouring thresholds, so that all nodes of one depth are handled together, on the device:
//!
//! ```text
//! part(w) = number of thresholds <= w                      ("w >= T goes right", so equal values stay together)
//! median:  thresholds = sorted[positions]                  positions halve 0..n recursively
//! mean:    repeat k times: sums and counts per part; thresholds = interleave(sums / counts, thresholds)
//! ```
//!
//! A part that is empty gets its parent's threshold. It can only be the left child of a node of equal values, which
//! that threshold bounds on the right, so order is kept and nothing changes side.
//!
//! By median the ranks are those of the whole tensor. For distinct values that is the text's recursion; where many are
//! equal, the recursion on sets would push them right again at every depth, away from the quantiles it stands for.
//!
//! Means are f64: the sum of equal f32 numbers is then exact, so that they reach their own mean.

use harness_method_core::Bits;
use harness_torch::on_host;
use tch::{Device, Kind, TchError, Tensor};

use crate::cpu_loops;

/// What splits a part in two.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Split {
    /// The value of rank `(first + last)/2` in the part.
    Median,
    /// The mean of the part.
    Mean,
}

impl Split {
    /// The part of each of `values` (f32, `[n]`, n > 0): u8, `[n]`, 0 to `2^k - 1`.
    pub(crate) fn parts(self, values: &Tensor, bits: Bits) -> Result<Tensor, TchError> {
        if !on_host(values) {
            return self.parts_on_device(values, bits);
        }
        let values = Vec::<f32>::try_from(values)?;
        Tensor::f_from_slice(&match self {
            Split::Median => cpu_loops::by_median(&values, bits),
            Split::Mean => cpu_loops::by_mean(&values, bits),
        })
    }

    /// [`Split::parts`] by tensor operations alone.
    pub(crate) fn parts_on_device(self, values: &Tensor, bits: Bits) -> Result<Tensor, TchError> {
        let parts = match self {
            Split::Median => part(values, &medians(values, bits)?),
            Split::Mean => {
                let values = values.f_to_kind(Kind::Double)?;
                part(&values, &means(&values, bits)?)
            }
        };
        parts?.f_to_kind(Kind::Uint8)
    }
}

/// Whether each of `values` is the least of its part: bool, `[n]`.
pub(crate) fn is_min(values: &Tensor, parts: &Tensor, bits: Bits) -> Result<Tensor, TchError> {
    if !on_host(values) {
        return is_min_on_device(values, parts, bits);
    }
    let (values, parts) = (Vec::<f32>::try_from(values)?, Vec::<u8>::try_from(parts)?);
    Tensor::f_from_slice(&cpu_loops::is_min(&values, &parts))
}

/// [`is_min`] by tensor operations alone: parts are in the order of their values, so the least of a part is where
/// it begins among the sorted.
pub(crate) fn is_min_on_device(values: &Tensor, parts: &Tensor, bits: Bits) -> Result<Tensor, TchError> {
    let (sorted, order) = values.f_sort(0, false)?;
    let parts = parts.f_to_kind(Kind::Int64)?;
    let every = Tensor::f_arange(i64::from(bits.max_code()) + 1, (Kind::Int64, values.device()))?;
    let begins = every.f_bucketize(&parts.f_index_select(0, &order)?, false, false)?;
    // An empty part may begin behind the end, and has nobody to ask for it.
    let last = sorted.size().first().copied().unwrap_or(1) - 1;
    let min = sorted.f_index_select(0, &begins.f_clamp_max(last)?)?;
    values.f_eq_tensor(&min.f_index_select(0, &parts)?)
}

/// Number of thresholds that each value reaches.
fn part(values: &Tensor, thresholds: &Tensor) -> Result<Tensor, TchError> {
    values.f_bucketize(thresholds, false, true)
}

fn medians(values: &Tensor, bits: Bits) -> Result<Tensor, TchError> {
    let (sorted, _) = values.f_sort(0, false)?;
    let count = sorted.size().first().copied().unwrap_or(0);
    sorted.f_index_select(0, &positions(count, bits, values.device())?)
}

/// Ranks of the thresholds: 0..n is cut at half, rounded down, and so are its parts; each part ends with n/2^k
/// values, rounded down or up. Computed on the device, because a copy from the host would make it wait.
fn positions(count: i64, bits: Bits, device: Device) -> Result<Tensor, TchError> {
    let mut bounds = Tensor::f_arange(2, (Kind::Int64, device))?.f_mul_scalar(count)?;
    for _ in 0..bits.get() {
        let parts = bounds.size().first().copied().unwrap_or(1) - 1;
        let (low, high) = (bounds.f_narrow(0, 0, parts)?, bounds.f_narrow(0, 1, parts)?);
        let middle = low.f_add(&high)?.f_bitwise_right_shift_tensor_scalar(1)?;
        bounds = Tensor::f_cat(&[interleave(&low, &middle)?, bounds.f_narrow(0, parts, 1)?], 0)?;
    }
    bounds.f_narrow(0, 1, i64::from(bits.max_code()))
}

/// Copies of every sum: thousands of threads that add to two numbers would wait for each other.
const STRIPES: i64 = 256;

fn means(values: &Tensor, bits: Bits) -> Result<Tensor, TchError> {
    let count = values.size().first().copied().unwrap_or(0);
    let stripes = Tensor::f_arange(count, (Kind::Int64, values.device()))?.f_remainder(STRIPES)?;
    let ones = values.f_ones_like()?;
    let mut nodes = values.f_mean(Kind::Double)?.f_view([1])?;
    let mut thresholds = nodes.shallow_clone();
    for depth in 1..bits.get() {
        let parts = 1i64 << depth;
        let slots = stripes.f_mul_scalar(parts)?.f_add_(&part(values, &thresholds)?)?;
        let total = |of: &Tensor| {
            let sums = of.f_new_zeros([STRIPES * parts], (Kind::Double, of.device()))?.f_scatter_add(0, &slots, of)?;
            sums.f_view([STRIPES, parts])?.f_sum_dim_intlist(0i64, false, Kind::Double)
        };
        let (sums, counts) = (total(values)?, total(&ones)?);
        let parents = interleave(&nodes, &nodes)?;
        nodes = parents.f_where_self(&counts.f_eq(0.0)?, &sums.f_div(&counts)?)?;
        let (inner, last) = (nodes.f_narrow(0, 0, parts - 1)?, nodes.f_narrow(0, parts - 1, 1)?);
        thresholds = Tensor::f_cat(&[interleave(&inner, &thresholds)?, last], 0)?;
    }
    Ok(thresholds)
}

/// `a0 b0 a1 b1 ...`
fn interleave(a: &Tensor, b: &Tensor) -> Result<Tensor, TchError> {
    Tensor::f_stack(&[a, b], 1)?.f_reshape([-1])
}
