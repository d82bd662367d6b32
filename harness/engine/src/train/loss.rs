//! What is minimised.

use harness_records::config::{Distill, TrainConfig};
use tch::{Kind, Reduction, TchError, Tensor};

/// Mean loss over the rows of `logits`, f32 `[n, classes]`, with `targets`, i64 `[n]`, and the teacher's logits if
/// there is one: cross entropy with smoothed labels, or [`Distill`]'s sum.
pub(crate) fn loss(
    logits: &Tensor,
    targets: &Tensor,
    teacher: Option<&Tensor>,
    config: &TrainConfig,
) -> Result<Tensor, TchError> {
    let cross_entropy =
        || logits.f_cross_entropy_loss(targets, None::<Tensor>, Reduction::Mean, -100, config.label_smoothing);
    let (Some(teacher), Some(Distill { alpha, temperature, .. })) = (teacher, &config.distill) else {
        return cross_entropy();
    };
    let divergence = divergence(logits, teacher, *temperature)?.f_mul_scalar(*alpha)?;
    if *alpha == 1.0 {
        return Ok(divergence);
    }
    divergence.f_add(&cross_entropy()?.f_mul_scalar(1.0 - *alpha)?)
}

/// `T^2 KL(softmax(teacher / T) || softmax(logits / T))`, mean over rows.
fn divergence(logits: &Tensor, teacher: &Tensor, temperature: f64) -> Result<Tensor, TchError> {
    let log_softmax = |x: &Tensor| x.f_div_scalar(temperature)?.f_log_softmax(1, Kind::Float);
    let (logits, teacher) = (log_softmax(logits)?, log_softmax(teacher)?);
    let rows = logits.size()[0] as f64;
    logits.f_kl_div(&teacher, Reduction::Sum, true)?.f_mul_scalar(temperature * temperature / rows)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn softmax(row: &[f64], temperature: f64) -> Vec<f64> {
        let exp: Vec<f64> = row.iter().map(|x| (x / temperature).exp()).collect();
        let sum: f64 = exp.iter().sum();
        exp.iter().map(|x| x / sum).collect()
    }

    proptest! {
        #[test]
        fn distillation_is_the_sum_of_its_terms(
            student in prop::collection::vec(-4.0f64..4.0, 12),
            teacher in prop::collection::vec(-4.0f64..4.0, 12),
            labels in prop::collection::vec(0i64..3, 4),
            alpha in prop_oneof![Just(1.0), 0.0..1.0],
            temperature in 0.5f64..8.0,
        ) {
            let distill = Distill { teacher: String::new(), alpha, temperature };
            let config = TrainConfig { distill: Some(distill), ..TrainConfig::default() };
            let tensor = |values: &[f64]| Tensor::from_slice(values).to_kind(Kind::Float).view([4, 3]);
            let found = loss(&tensor(&student), &Tensor::from_slice(&labels), Some(&tensor(&teacher)), &config).unwrap();
            let mut expected = 0.0;
            for (row, &label) in labels.iter().enumerate() {
                let part = |all: &[f64]| all[row * 3..row * 3 + 3].to_vec();
                let (t, s) = (softmax(&part(&teacher), temperature), softmax(&part(&student), temperature));
                let divergence: f64 = t.iter().zip(&s).map(|(t, s)| t * (t / s).ln()).sum();
                let cross_entropy = -softmax(&part(&student), 1.0)[usize::try_from(label).unwrap()].ln();
                expected += (alpha * temperature * temperature * divergence + (1.0 - alpha) * cross_entropy) / 4.0;
            }
            let found = f64::try_from(&found).unwrap();
            prop_assert!((found - expected).abs() < 1e-4 * (1.0 + expected.abs()), "{} {}", found, expected);
        }
    }
}
