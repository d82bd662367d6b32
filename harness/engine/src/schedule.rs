//! Learning rate over time: a pure function of the step, so that resuming needs no state.

use harness_records::config::ScheduleConfig;

/// Length of a training.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ScheduleLength {
    /// Steps of one epoch, at least 1.
    pub steps_per_epoch: u64,
    /// Steps of the whole training.
    pub total: u64,
}

impl ScheduleLength {
    /// Warm restarts: the training consists of `cycles` cycles of equal length (the last one takes the remaining steps
    /// too). Gives the step within its cycle, from 0, and the length of that cycle.
    #[must_use]
    pub fn cycle(self, step: u64, cycles: u32) -> (u64, ScheduleLength) {
        let cycles = u64::from(cycles).clamp(1, self.total.max(1));
        let length = self.total / cycles;
        let index = (step / length.max(1)).min(cycles - 1);
        let start = index * length;
        let total = if index + 1 == cycles { self.total - start } else { length };
        (step.saturating_sub(start), ScheduleLength { total, ..self })
    }
}

/// Factor of the base learning rate at `step` (from 0).
#[must_use]
pub fn factor(schedule: &ScheduleConfig, step: u64, length: ScheduleLength) -> f64 {
    let epoch = step / length.steps_per_epoch;
    let warmup = warmup_steps(schedule, length);
    // Fraction of what comes after the warm-up that is done.
    let rest = length.total as f64 - warmup;
    let progress = if rest > 0.0 { ((step as f64 - warmup) / rest).clamp(0.0, 1.0) } else { 1.0 };
    let shape = match schedule {
        ScheduleConfig::Constant { .. } => 1.0,
        ScheduleConfig::Step { every, gamma, .. } => power(*gamma, epoch / u64::from((*every).max(1))),
        ScheduleConfig::MultiStep { milestones, gamma, .. } => {
            power(*gamma, milestones.iter().filter(|&&milestone| u64::from(milestone) <= epoch).count() as u64)
        }
        ScheduleConfig::Linear { end, .. } => 1.0 + (end - 1.0) * progress,
        ScheduleConfig::Cosine { end, .. } => end + (1.0 - end) * (1.0 + (std::f64::consts::PI * progress).cos()) / 2.0,
    };
    let rise = if warmup > 0.0 { ((step + 1) as f64 / warmup).min(1.0) } else { 1.0 };
    shape * rise
}

fn warmup_steps(schedule: &ScheduleConfig, length: ScheduleLength) -> f64 {
    let epochs = match schedule {
        ScheduleConfig::Constant { warmup }
        | ScheduleConfig::Step { warmup, .. }
        | ScheduleConfig::MultiStep { warmup, .. }
        | ScheduleConfig::Linear { warmup, .. }
        | ScheduleConfig::Cosine { warmup, .. } => *warmup,
    };
    epochs * length.steps_per_epoch as f64
}

fn power(gamma: f64, times: u64) -> f64 {
    gamma.powi(i32::try_from(times).unwrap_or(i32::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const LENGTH: ScheduleLength = ScheduleLength { steps_per_epoch: 10, total: 100 };

    fn check(schedule: &ScheduleConfig, rows: &[(u64, f64)]) {
        for &(step, expected) in rows {
            let found = factor(schedule, step, LENGTH);
            assert!((found - expected).abs() < 1e-12, "{schedule:?} at {step}: {found}, expected {expected}");
        }
    }

    #[test]
    fn shapes() {
        check(&ScheduleConfig::Constant { warmup: 0.0 }, &[(0, 1.0), (99, 1.0)]);
        let step = ScheduleConfig::Step { every: 3, gamma: 0.5, warmup: 0.0 };
        check(&step, &[(0, 1.0), (29, 1.0), (30, 0.5), (59, 0.5), (60, 0.25)]);
        let multi = ScheduleConfig::MultiStep { milestones: vec![6, 8], gamma: 0.1, warmup: 0.0 };
        check(&multi, &[(59, 1.0), (60, 0.1), (79, 0.1), (80, 0.01)]);
        check(&ScheduleConfig::Linear { end: 0.0, warmup: 0.0 }, &[(0, 1.0), (50, 0.5), (75, 0.25)]);
        check(&ScheduleConfig::Cosine { end: 0.0, warmup: 0.0 }, &[(0, 1.0), (50, 0.5), (100, 0.0)]);
        check(&ScheduleConfig::Cosine { end: 0.2, warmup: 0.0 }, &[(0, 1.0), (50, 0.6), (100, 0.2)]);
    }

    #[test]
    fn warm_up_rises_in_equal_steps_and_then_hands_over() {
        check(&ScheduleConfig::Constant { warmup: 2.0 }, &[(0, 0.05), (9, 0.5), (19, 1.0), (20, 1.0)]);
        check(&ScheduleConfig::Linear { end: 0.0, warmup: 2.0 }, &[(19, 1.0), (20, 1.0), (60, 0.5)]);
        check(&ScheduleConfig::Constant { warmup: 0.25 }, &[(0, 0.4), (1, 0.8), (2, 1.0)]);
    }

    #[test]
    fn cycles_are_equal_and_the_last_takes_the_rest() {
        let length = ScheduleLength { steps_per_epoch: 3, total: 11 };
        let starts: Vec<u64> = (0..11).filter(|&step| length.cycle(step, 3).0 == 0).collect();
        assert_eq!(starts, [0, 3, 6]);
        assert_eq!(length.cycle(10, 3), (4, ScheduleLength { steps_per_epoch: 3, total: 5 }));
        assert_eq!(length.cycle(7, 1), (7, length));
        assert_eq!(length.cycle(5, 100), (0, ScheduleLength { steps_per_epoch: 3, total: 1 }));
    }

    proptest! {
        #[test]
        fn never_negative_never_above_one(step in 0u64..100, end in 0.0f64..1.0, warmup in 0.0f64..12.0) {
            for schedule in [
                ScheduleConfig::Constant { warmup },
                ScheduleConfig::Linear { end, warmup },
                ScheduleConfig::Cosine { end, warmup },
                ScheduleConfig::Step { every: 2, gamma: end, warmup },
            ] {
                let f = factor(&schedule, step, LENGTH);
                prop_assert!((0.0..=1.0).contains(&f), "{schedule:?}: {f}");
            }
        }
    }
}
