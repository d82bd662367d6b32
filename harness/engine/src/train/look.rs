//! After which steps the host looks at the loss, which makes it wait for the device.

use tch::Device;

/// Steps between two looks at the loss on a GPU.
const LOOK_EVERY_ON_GPU: u64 = 50;

/// What decides when to look: nothing but numbers that are known before the training begins.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Looks {
    /// Steps between two looks that have no other reason.
    every: u64,
    /// Steps between two checkpoints within an epoch, if there are any.
    checkpoint_every: Option<u64>,
    steps_per_epoch: u64,
}

/// Why the host looks after a step.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Look {
    /// The epoch ends with this step.
    pub(crate) epoch_ends: bool,
    /// A checkpoint is written after this step. At the end of an epoch there is none, because one follows the
    /// evaluation.
    pub(crate) checkpoint: bool,
    /// The loss of this step is kept for the record.
    pub(crate) keep_loss: bool,
}

impl Looks {
    /// On a CPU the host looks after every step, because that costs nothing.
    pub(crate) fn new(device: Device, checkpoint_every: Option<u64>, steps_per_epoch: u64) -> Looks {
        let every = if device == Device::Cpu { 1 } else { LOOK_EVERY_ON_GPU };
        Looks { every, checkpoint_every, steps_per_epoch }
    }

    /// Whether the host looks after the step with this number in its epoch and in the training (both from 1), and why.
    /// `keep_loss`: the record wants the loss of this step.
    pub(crate) fn after(&self, step_of_epoch: u64, step: u64, keep_loss: bool) -> Option<Look> {
        let epoch_ends = step_of_epoch == self.steps_per_epoch;
        let checkpoint = !epoch_ends && self.checkpoint_every.is_some_and(|every| step.is_multiple_of(every));
        let due = epoch_ends || checkpoint || keep_loss || step.is_multiple_of(self.every);
        due.then_some(Look { epoch_ends, checkpoint, keep_loss })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn steps(looks: Looks, total: u64, which: impl Fn(Look) -> bool) -> Vec<u64> {
        let per_epoch = looks.steps_per_epoch;
        let look = |&step: &u64| looks.after((step - 1) % per_epoch + 1, step, step == 7).is_some_and(&which);
        (1..=total).filter(look).collect()
    }

    #[test]
    fn a_cpu_is_looked_at_after_every_step_and_a_gpu_where_there_is_a_reason() {
        let cpu = Looks::new(Device::Cpu, None, 120);
        assert_eq!(steps(cpu, 240, |_| true).len(), 240);
        let gpu = Looks::new(Device::Cuda(0), Some(45), 120);
        assert_eq!(steps(gpu, 240, |_| true), [7, 45, 50, 90, 100, 120, 135, 150, 180, 200, 225, 240]);
        assert_eq!(steps(gpu, 240, |look| look.epoch_ends), [120, 240]);
        assert_eq!(steps(gpu, 240, |look| look.keep_loss), [7]);
    }

    #[test]
    fn a_checkpoint_at_the_end_of_an_epoch_is_left_to_the_evaluation() {
        let looks = Looks::new(Device::Cpu, Some(40), 120);
        assert_eq!(steps(looks, 240, |look| look.checkpoint), [40, 80, 160, 200]);
        assert_eq!(steps(Looks::new(Device::Cpu, None, 120), 240, |look| look.checkpoint), [0u64; 0]);
    }
}
