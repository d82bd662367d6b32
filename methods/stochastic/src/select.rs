//! Which rows stay real, given their errors.

use harness_method_core::Options;
use harness_torch::random;
use tch::{Kind, TchError, Tensor};

/// How rows are selected.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Selection {
    /// Drawn in every step.
    Roulette,
    /// The least errors are quantized.
    Sorted,
    /// Drawn at the first step of a stage.
    Fixed,
}

/// Weight of a row in the draw, as a function of `d`: the inverse error, or the error where real rows are drawn.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Probability {
    /// `d`
    Linear,
    /// 1
    Constant,
    /// `exp d`
    Softmax,
    /// `1/(1 + exp -d)`
    Sigmoid,
}

/// Which rows are drawn. Rows that stay real, in the paper's words, are those that are true in
/// [`harness_method_core::Codes::kept`]: they keep their full precision weights.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Draw {
    /// Those that are quantized, floor(r m) of them.
    Quantized,
    /// Those that are kept (stay real), floor((1 - r) m) of them.
    Real,
}

/// Keeps the inverse error finite.
const EPSILON: f64 = 1e-7;

/// Stands for a weight of 0 in the draw: so far below every other weight that such rows are drawn last.
const LEAST_WEIGHT: f64 = 1e-300;

/// Added to counts before they are rounded down: 0.7 * 10 means 7.
const SLACK: f64 = 1e-9;

/// How the rows that are kept are found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Rule {
    pub(crate) selection: Selection,
    pub(crate) probability: Probability,
    pub(crate) draw: Draw,
    /// A row is a single weight instead of a filter.
    pub(crate) elements: bool,
}

impl Rule {
    pub(crate) fn new(options: &Options) -> Rule {
        Rule {
            selection: match options.text("selection") {
                "sorted" => Selection::Sorted,
                "fixed" => Selection::Fixed,
                _ => Selection::Roulette,
            },
            probability: match options.text("probability") {
                "constant" => Probability::Constant,
                "softmax" => Probability::Softmax,
                "sigmoid" => Probability::Sigmoid,
                _ => Probability::Linear,
            },
            draw: if options.text("draw") == "real" { Draw::Real } else { Draw::Quantized },
            elements: options.text("granularity") == "element",
        }
    }

    /// How many of `rows` rows are drawn when `fraction` of them is quantized. `None`: no row is kept.
    pub(crate) fn count(self, fraction: f64, rows: i64) -> Option<i64> {
        let drawn = |fraction: f64| ((fraction * rows as f64 + SLACK).floor() as i64).clamp(0, rows);
        match self.draw {
            Draw::Quantized => Some(drawn(fraction)).filter(|&count| count < rows),
            Draw::Real => Some(drawn(1.0 - fraction)).filter(|&count| count > 0),
        }
    }

    /// True for the rows that are kept when `count` are drawn by their `errors` (f64, `[m]`): bool, `[m]`.
    pub(crate) fn kept(self, errors: &Tensor, count: i64, key: u64) -> Result<Tensor, TchError> {
        let times = match (self.selection, self.draw) {
            (Selection::Roulette | Selection::Fixed, _) => self.race(errors, key)?,
            (Selection::Sorted, Draw::Quantized) => errors.shallow_clone(),
            (Selection::Sorted, Draw::Real) => errors.f_neg()?,
        };
        let (_, drawn) = times.f_topk(count, 0, false, false)?;
        let real = self.draw == Draw::Real;
        let rest = Tensor::f_full(times.size(), i64::from(!real), (Kind::Bool, times.device()))?;
        rest.f_index_fill(0, &drawn, i64::from(real))
    }

    /// Logarithms of the arrival times `E_i/p_i` of an exponential race, whose order is that of roulette without
    /// replacement.
    fn race(self, errors: &Tensor, key: u64) -> Result<Tensor, TchError> {
        let d = match self.draw {
            Draw::Quantized => errors.f_add_scalar(EPSILON)?.f_reciprocal()?,
            Draw::Real => errors.shallow_clone(),
        };
        uniform(errors, key)?.f_log()?.f_neg()?.f_log()?.f_sub(&self.probability.log(&d)?)
    }
}

impl Probability {
    /// Logarithms of the weights of `d`, up to a common constant. f64, `[m]`.
    fn log(self, d: &Tensor) -> Result<Tensor, TchError> {
        match self {
            Probability::Linear => d.f_clamp_min(LEAST_WEIGHT)?.f_log(),
            Probability::Constant => d.f_zeros_like(),
            Probability::Softmax => Ok(d.shallow_clone()),
            Probability::Sigmoid => d.f_log_sigmoid(),
        }
    }
}

/// Relative error of every row of `x` quantized to `q` (`[m, n]`): `|x - q|_1 / |x|_1`, 0 where x is 0. f64, `[m]`.
pub(crate) fn errors(x: &Tensor, q: &Tensor) -> Result<Tensor, TchError> {
    let sum = |t: &Tensor| t.f_abs()?.f_sum_dim_intlist(1i64, false, Kind::Double);
    let (error, norm) = (sum(&x.f_sub(q)?)?, sum(x)?);
    error.f_div(&norm)?.f_masked_fill(&norm.f_eq(0.0)?, 0.0)
}

/// Numbers in (0, 1), both ends excluded, f64 in the shape of `like`: 24 random bits alone would tie among millions.
fn uniform(like: &Tensor, key: u64) -> Result<Tensor, TchError> {
    let mut shape = like.size();
    shape.insert(0, 2);
    let halves = random::uniform(&shape, key, like.device())?.f_to_kind(Kind::Double)?;
    let step = f64::from(1 << 24);
    halves.f_get(0)?.f_add(&halves.f_get(1)?.f_add_scalar(0.5 / step)?.f_div_scalar(step)?)
}
