//! Pairs of bit widths, one of weights and one of activations, written `w2a4`.

use std::fmt;
use std::str::FromStr;

use harness_kernels::levels::Bits;

use crate::BenchError;

/// The bit widths of the two operands of a product.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Pair {
    /// Bits of the weights.
    pub weights: Bits,
    /// Bits of the activations.
    pub activations: Bits,
}

impl fmt::Display for Pair {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "w{}a{}", self.weights, self.activations)
    }
}

impl FromStr for Pair {
    type Err = BenchError;

    fn from_str(text: &str) -> Result<Pair, BenchError> {
        let parsed = || {
            let (weights, activations) = text.strip_prefix('w')?.split_once('a')?;
            let bits = |text: &str| Bits::new(text.parse().ok()?);
            Some(Pair { weights: bits(weights)?, activations: bits(activations)? })
        };
        parsed().ok_or_else(|| BenchError::Pair(text.to_owned()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_round_trip_and_nonsense_is_refused() {
        for text in ["w1a1", "w8a8", "w2a4"] {
            assert_eq!(text.parse::<Pair>().unwrap().to_string(), text);
        }
        for text in ["", "w1", "a1w1", "w0a1", "w1a9", "w-1a1", "w1a1 "] {
            assert!(text.parse::<Pair>().is_err(), "{text:?}");
        }
    }
}
