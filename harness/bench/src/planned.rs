//! Routes that were measured before, or are measured now.

use harness_kernels::{PlanCache, Pool, Route, Tuning};

use crate::BenchError;
use crate::pairs::Pair;

/// The route of `plans` for a product of the layer `name`, if there are plans: what is not in them is measured.
pub(crate) fn plan(
    plans: Option<&mut PlanCache>,
    tuning: &Tuning,
    name: &str,
    pool: &Pool,
) -> Result<Option<Route>, BenchError> {
    let Some(plans) = plans else { return Ok(None) };
    let pair = Pair { weights: tuning.weights, activations: tuning.activations };
    let failed = |source| BenchError::Kernel { kernel: format!("{name} {pair}"), source };
    plans.get_or_measure(tuning, pool).map(Some).map_err(failed)
}
