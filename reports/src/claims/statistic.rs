//! What is compared: numbers of one trial, read from its record.

use std::collections::BTreeMap;

use harness_records::record::{LayerRecord, Role, RunRecord, Status};

/// A number of a trial, or one of each of its layers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Statistic {
    /// Fraction of test samples right, in points.
    Top1,
    /// Entropy of the codes less the bit width, of each layer with at least so many weights.
    EffectiveBits {
        /// Least number of weights.
        weights: i64,
    },
    /// Squared error over squared norm, of the weights of each layer.
    WeightError,
    /// The same of the activations.
    ActivationError,
    /// Multiply-accumulates times bit widths of one forward pass.
    BitOps,
    /// Wall-clock seconds of training an epoch, of networks with a layer of at least so many weights.
    EpochSeconds {
        /// Least number of weights.
        weights: i64,
    },
}

/// By layer; a number of the whole trial stands under an empty name.
pub(crate) type Values = BTreeMap<String, f64>;

impl Statistic {
    /// The finite values in a record; empty where it has none, as when the trial did not end well.
    pub(crate) fn of(self, record: &RunRecord) -> Values {
        if record.status != Status::Ok {
            return Values::new();
        }
        let mut values = match self {
            Statistic::Top1 => whole(record.metrics.as_ref().and_then(|m| m.top1).map(|top1| 100.0 * top1)),
            Statistic::EffectiveBits { weights } => {
                layers(record, Role::Weight, |l| (size(l) >= weights).then(|| l.effective_bits - f64::from(l.bits)))
            }
            Statistic::WeightError => layers(record, Role::Weight, |l| Some(l.relative_mse)),
            Statistic::ActivationError => layers(record, Role::Activation, |l| Some(l.relative_mse)),
            Statistic::BitOps => whole(Some(record.model.bit_ops as f64)),
            Statistic::EpochSeconds { weights } => {
                let large = record.layers.iter().any(|l| l.role == Role::Weight && size(l) >= weights);
                let seconds: f64 = record.epochs.iter().map(|epoch| epoch.train_seconds).sum();
                whole((large && !record.epochs.is_empty()).then(|| seconds / record.epochs.len() as f64))
            }
        };
        values.retain(|_, value| value.is_finite());
        values
    }

    /// In words.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Statistic::Top1 => "top-1",
            Statistic::EffectiveBits { .. } => "effective bits less bits, worst layer",
            Statistic::WeightError => "relative squared error of the weights, worst layer",
            Statistic::ActivationError => "relative squared error of the activations, worst layer",
            Statistic::BitOps => "bit operations",
            Statistic::EpochSeconds { .. } => "training time of an epoch",
        }
    }

    /// Unit of its values; empty for a ratio.
    pub(crate) fn unit(self) -> &'static str {
        match self {
            Statistic::Top1 => "points",
            Statistic::EffectiveBits { .. } => "bits",
            Statistic::WeightError | Statistic::ActivationError => "",
            Statistic::BitOps => "operations",
            Statistic::EpochSeconds { .. } => "s",
        }
    }

    /// Decimals that people are shown.
    pub(crate) fn decimals(self) -> usize {
        match self {
            Statistic::Top1 => 2,
            Statistic::BitOps => 0,
            _ => 3,
        }
    }

    /// What a trial must have for this to exist, said where none has it.
    pub(crate) fn needs(self) -> String {
        match self {
            Statistic::Top1 => "a top-1 accuracy".to_owned(),
            Statistic::EffectiveBits { weights: 1 } | Statistic::WeightError => {
                "a layer with quantized weights".to_owned()
            }
            Statistic::ActivationError => "a layer with quantized activations".to_owned(),
            Statistic::BitOps => "a count of operations".to_owned(),
            Statistic::EffectiveBits { weights } | Statistic::EpochSeconds { weights } => {
                format!("a layer of at least {weights} quantized weights")
            }
        }
    }

    /// True where only trials on the same device can be compared.
    pub(crate) fn is_of_the_device(self) -> bool {
        matches!(self, Statistic::EpochSeconds { .. })
    }
}

fn whole(value: Option<f64>) -> Values {
    value.map(|value| (String::new(), value)).into_iter().collect()
}

fn layers(record: &RunRecord, role: Role, value: impl Fn(&LayerRecord) -> Option<f64>) -> Values {
    let layers = record.layers.iter().filter(|layer| layer.role == role);
    layers.filter_map(|layer| Some((layer.layer.clone(), value(layer)?))).collect()
}

fn size(layer: &LayerRecord) -> i64 {
    layer.shape.iter().product()
}
