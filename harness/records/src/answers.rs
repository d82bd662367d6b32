//! Which samples of a test set a network gets right, one bit a sample.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::{Deserialize, Serialize};

/// Right or wrong, for every sample of a test set in its order. Written as the number of samples and the bits in
/// base64, first sample in the lowest bit of the first byte: 10,000 samples take 1.7 kB.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "Written", into = "Written")]
pub struct Answers {
    samples: usize,
    bits: Vec<u8>,
}

#[derive(Serialize, Deserialize)]
#[serde(rename = "Answers")]
struct Written {
    samples: usize,
    right: String,
}

impl Answers {
    /// From one answer a sample.
    #[must_use]
    pub fn new(right: impl IntoIterator<Item = bool>) -> Answers {
        let mut answers = Answers { samples: 0, bits: Vec::new() };
        for right in right {
            if answers.samples.is_multiple_of(8) {
                answers.bits.push(0);
            }
            if let (Some(byte), true) = (answers.bits.last_mut(), right) {
                *byte |= 1 << (answers.samples % 8);
            }
            answers.samples += 1;
        }
        answers
    }

    /// Samples in the test set.
    #[must_use]
    pub fn samples(&self) -> usize {
        self.samples
    }

    /// Samples that are right.
    #[must_use]
    pub fn right(&self) -> usize {
        self.bits.iter().map(|byte| byte.count_ones() as usize).sum()
    }

    /// One answer a sample.
    pub fn iter(&self) -> impl Iterator<Item = bool> + '_ {
        (0..self.samples).map(|sample| self.bits[sample / 8] >> (sample % 8) & 1 == 1)
    }
}

impl From<Answers> for Written {
    fn from(answers: Answers) -> Written {
        Written { samples: answers.samples, right: STANDARD.encode(&answers.bits) }
    }
}

impl TryFrom<Written> for Answers {
    type Error = String;

    fn try_from(written: Written) -> Result<Answers, String> {
        let Written { samples, right } = written;
        let bits = STANDARD.decode(right).map_err(|error| format!("the answers are no base64: {error}"))?;
        let unused = bits.last().map_or(0, |last| u32::from(*last) >> ((samples + 7) % 8 + 1));
        if bits.len() != samples.div_ceil(8) || unused != 0 {
            return Err(format!(
                "the answers of {samples} samples take {} bytes, not {}",
                samples.div_ceil(8),
                bits.len()
            ));
        }
        Ok(Answers { samples, bits })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn are_read_back(right in prop::collection::vec(any::<bool>(), 0..70)) {
            let answers = Answers::new(right.iter().copied());
            prop_assert_eq!(answers.samples(), right.len());
            prop_assert_eq!(answers.right(), right.iter().filter(|right| **right).count());
            let read: Answers = serde_json::from_str(&serde_json::to_string(&answers).unwrap()).unwrap();
            prop_assert_eq!(&read, &answers);
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
            assert!(serde_json::from_str::<Answers>(text).is_err(), "{text}");
        }
    }
}
