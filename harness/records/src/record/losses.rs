//! The loss at steps along a training, to the bit: what shows where two runs of the same trial part.

use serde::{Deserialize, Serialize};

/// Most steps that are kept.
const MOST: u64 = 512;

/// The mean loss of the batch at every `every`-th step, at most 512 of them, as the bits of an f32 in 8 hex digits each.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Losses {
    /// Steps from one to the next: 1 where the training is short.
    pub every: u64,
    /// The bits of the losses, the first after step `every`.
    pub bits: String,
}

impl Losses {
    /// For a training of so many steps.
    #[must_use]
    pub fn new(steps: u64) -> Losses {
        Losses { every: steps.div_ceil(MOST).max(1), bits: String::new() }
    }

    /// Whether the loss after this many steps is kept.
    #[must_use]
    pub fn wants(&self, steps: u64) -> bool {
        self.every > 0 && steps.is_multiple_of(self.every)
    }

    /// Keeps the next one.
    pub fn push(&mut self, loss: f32) {
        self.bits += &format!("{:08x}", loss.to_bits());
    }

    /// The first step at which two trainings are known to differ, with the last at which they were still equal (0 where
    /// there is none); `None` where they do not.
    #[must_use]
    pub fn first_difference(&self, other: &Losses) -> Option<(u64, u64)> {
        if self == other {
            return None;
        }
        let same = if self.every == other.every {
            let pairs = self.bits.as_bytes().chunks(8).zip(other.bits.as_bytes().chunks(8));
            pairs.take_while(|(a, b)| a == b).count() as u64
        } else {
            0
        };
        Some((same * self.every, (same + 1) * self.every))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(steps: u64, losses: impl Fn(u64) -> f32) -> Losses {
        let mut all = Losses::new(steps);
        for step in 1..=steps {
            if all.wants(step) {
                all.push(losses(step));
            }
        }
        all
    }

    #[test]
    fn the_first_step_that_differs_is_found() {
        let same = |step: u64| 1.0 / step as f32;
        let from = |at: u64| move |step: u64| if step < at { same(step) } else { f32::NAN };
        assert_eq!(of(100, same).first_difference(&of(100, same)), None);
        assert_eq!(of(100, from(1)).first_difference(&of(100, from(1))), None, "NaN is NaN");
        assert_eq!(of(100, same).first_difference(&of(100, from(1))), Some((0, 1)));
        assert_eq!(of(100, same).first_difference(&of(100, from(37))), Some((36, 37)));
        assert_eq!(of(100, same).first_difference(&of(99, same)), Some((99, 100)));
        // A long training keeps a loss every few steps.
        let long = of(5000, same);
        assert_eq!((long.every, long.bits.len()), (10, 8 * 500));
        assert_eq!(long.first_difference(&of(5000, from(37))), Some((30, 40)));
    }
}
