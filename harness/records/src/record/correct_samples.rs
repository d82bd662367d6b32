//! The correctness mask of a test set: which samples a network classifies correctly, one bit for each.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::{Deserialize, Serialize};

/// Whether each sample of a test set, in its order, is predicted correctly. Written as the number of samples and the bits in
/// base64, first sample in the lowest bit of the first byte: 10,000 samples take 1.7 kB.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "Written", into = "Written")]
pub struct CorrectSamples {
    samples: usize,
    bits: Vec<u8>,
}

#[derive(Serialize, Deserialize)]
#[serde(rename = "Answers")]
struct Written {
    samples: usize,
    right: String,
}

impl CorrectSamples {
    /// From one value for each sample of the test set: whether its prediction is correct.
    #[must_use]
    pub fn new(right: impl IntoIterator<Item = bool>) -> CorrectSamples {
        let mut correct_samples = CorrectSamples { samples: 0, bits: Vec::new() };
        for right in right {
            if correct_samples.samples.is_multiple_of(8) {
                correct_samples.bits.push(0);
            }
            if let (Some(byte), true) = (correct_samples.bits.last_mut(), right) {
                *byte |= 1 << (correct_samples.samples % 8);
            }
            correct_samples.samples += 1;
        }
        correct_samples
    }

    /// Samples in the test set.
    #[must_use]
    pub fn samples(&self) -> usize {
        self.samples
    }

    /// Number of samples whose prediction is correct.
    #[must_use]
    pub fn correct(&self) -> usize {
        self.bits.iter().map(|byte| byte.count_ones() as usize).sum()
    }

    /// Whether the prediction is correct, for each sample in the order of the test set.
    pub fn iter(&self) -> impl Iterator<Item = bool> + '_ {
        (0..self.samples).map(|sample| self.bits[sample / 8] >> (sample % 8) & 1 == 1)
    }
}

impl From<CorrectSamples> for Written {
    fn from(correct_samples: CorrectSamples) -> Written {
        Written { samples: correct_samples.samples, right: STANDARD.encode(&correct_samples.bits) }
    }
}

impl TryFrom<Written> for CorrectSamples {
    type Error = String;

    fn try_from(written: Written) -> Result<CorrectSamples, String> {
        let Written { samples, right } = written;
        let bits = STANDARD.decode(right).map_err(|error| format!("the correctness mask is not base64: {error}"))?;
        let unused = bits.last().map_or(0, |last| u32::from(*last) >> ((samples + 7) % 8 + 1));
        if bits.len() != samples.div_ceil(8) || unused != 0 {
            return Err(format!(
                "the correctness mask of {samples} samples takes {} bytes, not {}",
                samples.div_ceil(8),
                bits.len()
            ));
        }
        Ok(CorrectSamples { samples, bits })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn are_read_back(right in prop::collection::vec(any::<bool>(), 0..70)) {
            let correct_samples = CorrectSamples::new(right.iter().copied());
            prop_assert_eq!(correct_samples.samples(), right.len());
            prop_assert_eq!(correct_samples.correct(), right.iter().filter(|right| **right).count());
            let read: CorrectSamples = serde_json::from_str(&serde_json::to_string(&correct_samples).unwrap()).unwrap();
            prop_assert_eq!(&read, &correct_samples);
            prop_assert_eq!(read.iter().collect::<Vec<_>>(), right);
        }
    }

    #[test]
    fn anything_else_is_refused() {
        for text in [
            r#"{"samples": 9, "right": "AA=="}"#,
            r#"{"samples": 0, "right": "AA=="}"#,
            r#"{"samples": 4, "right": "8A=="}"#,
            r#"{"samples": 4, "right": "?"}"#,
            r#"{"samples": -1, "right": ""}"#,
        ] {
            assert!(serde_json::from_str::<CorrectSamples>(text).is_err(), "{text}");
        }
    }
}
