//! Which worker computes where.
//!
//! Workers are spread evenly over the devices. Where several share a GPU, the first one shows how much memory a trial
//! takes: another one begins only while as much again is free, as far as the driver tells.

use std::env;
use std::process::Command;
use std::time::{Duration, Instant};

use tch::Device;

/// Least time between two questions about the same GPU.
const ASK_EVERY: Duration = Duration::from_secs(5);

/// Trials shorter than this spend a good part of their time on files.
const SHORT: Duration = Duration::from_secs(2);

/// Trials left for each worker from which another one is worth its start.
const SPARE_FROM: usize = 8;

/// Devices, and how many workers each takes.
#[derive(Debug, Clone)]
pub struct Placement {
    /// Where to compute.
    pub devices: Vec<Device>,
    /// Workers on each device, at least 1.
    pub per_device: usize,
    /// Workers altogether, at least 1.
    pub jobs: usize,
    /// Whether half as many more may work where trials are so short that cores wait for their files to reach the disk.
    pub spare: bool,
    /// Free memory of a device in MiB, where that can be known.
    pub memory: fn(Device) -> Option<u64>,
}

impl Placement {
    /// So many workers on one device, and no more.
    #[must_use]
    pub fn on(device: Device, jobs: usize) -> Placement {
        Placement { devices: vec![device], per_device: jobs, jobs, spare: false, memory: free_memory }
    }
}

/// Free memory of a GPU in MiB, from the driver; `None` where there is no GPU or it does not tell.
#[must_use]
pub fn free_memory(device: Device) -> Option<u64> {
    let Device::Cuda(index) = device else { return None };
    // The driver counts all GPUs, libtorch those that it is shown.
    let shown = env::var("CUDA_VISIBLE_DEVICES").ok().filter(|shown| !shown.is_empty());
    let name = match &shown {
        Some(shown) => shown.split(',').nth(index)?.trim().to_owned(),
        None => index.to_string(),
    };
    let output = Command::new("nvidia-smi")
        .args(["--query-gpu=memory.free", "--format=csv,noheader,nounits", &format!("--id={name}")])
        .output()
        .ok()?;
    output.status.success().then(|| String::from_utf8_lossy(&output.stdout).trim().parse().ok())?
}

/// One device with what is known of it.
#[derive(Debug)]
pub(super) struct Place {
    pub(super) device: Device,
    /// Workers that live here.
    workers: Vec<usize>,
    /// Those of them that have done a step, so that their memory is taken.
    settled: Vec<usize>,
    /// Free memory before the first worker began.
    before: Option<u64>,
    asked: Option<Instant>,
}

/// All devices.
#[derive(Debug)]
pub(super) struct Places {
    placement: Placement,
    places: Vec<Place>,
    /// Trials that ended, and how long they took altogether.
    ended: u32,
    took: Duration,
}

impl Places {
    pub(super) fn new(placement: &Placement) -> Places {
        let place = |device: &Device| Place {
            device: *device,
            workers: Vec::new(),
            settled: Vec::new(),
            before: (placement.per_device > 1).then(|| (placement.memory)(*device)).flatten(),
            asked: None,
        };
        let places = placement.devices.iter().map(place).collect();
        Places { placement: placement.clone(), places, ended: 0, took: Duration::ZERO }
    }

    /// Remembers how long a trial took.
    pub(super) fn note(&mut self, took: Duration) {
        self.ended += 1;
        self.took += took;
    }

    /// Half as many again, where trials turned out to be short and there are many of them.
    fn spare(&self, left: usize) -> usize {
        let jobs = self.placement.jobs;
        let known = self.ended as usize >= 2 * jobs && left >= SPARE_FROM * jobs;
        let short = known && self.took / self.ended.max(1) < SHORT;
        if self.placement.spare && short { jobs.div_ceil(2) } else { 0 }
    }

    /// Where another worker may begin now, with so many trials left; `None` when every place is taken or might have no
    /// memory left.
    pub(super) fn free(&mut self, left: usize) -> Option<Device> {
        let living: usize = self.places.iter().map(|place| place.workers.len()).sum();
        let spare = self.spare(left);
        if living >= self.placement.jobs + spare {
            return None;
        }
        let Placement { per_device, memory, .. } = self.placement;
        let per_device = per_device + spare;
        let mut places: Vec<&mut Place> = self.places.iter_mut().collect();
        places.sort_by_key(|place| place.workers.len());
        places.into_iter().find_map(|place| place.has_room(per_device, memory).then_some(place.device))
    }

    pub(super) fn begin(&mut self, worker: usize, device: Device) {
        let place = self.places.iter_mut().filter(|place| place.device == device);
        if let Some(place) = place.min_by_key(|place| place.workers.len()) {
            place.workers.push(worker);
        }
    }

    pub(super) fn settle(&mut self, worker: usize) {
        for place in self.places.iter_mut().filter(|place| place.workers.contains(&worker)) {
            if !place.settled.contains(&worker) {
                place.settled.push(worker);
            }
        }
    }

    pub(super) fn end(&mut self, worker: usize) {
        for place in &mut self.places {
            place.workers.retain(|other| *other != worker);
            place.settled.retain(|other| *other != worker);
        }
    }
}

impl Place {
    fn has_room(&mut self, most: usize, memory: fn(Device) -> Option<u64>) -> bool {
        if self.workers.len() >= most {
            return false;
        }
        let (Some(before), count @ 1..) = (self.before, self.workers.len()) else { return true };
        if self.settled.len() < count || self.asked.is_some_and(|asked| asked.elapsed() < ASK_EVERY) {
            return false;
        }
        self.asked = Some(Instant::now());
        let Some(free) = memory(self.device) else { return true };
        // A tenth more than the mean of those that are here: trials differ.
        let mean = before.saturating_sub(free) / count as u64;
        free >= mean + mean / 10
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn places(per_device: usize, jobs: usize, memory: fn(Device) -> Option<u64>) -> Places {
        Places::new(&Placement {
            devices: vec![Device::Cuda(0), Device::Cuda(1)],
            per_device,
            jobs,
            spare: false,
            memory,
        })
    }

    #[test]
    fn workers_are_spread_evenly() {
        let mut places = places(2, 3, |_| None);
        let mut order = Vec::new();
        while let Some(device) = places.free(100) {
            places.begin(order.len(), device);
            order.push(device);
        }
        assert_eq!(order, [Device::Cuda(0), Device::Cuda(1), Device::Cuda(0)]);
        places.end(1);
        assert_eq!(places.free(100), Some(Device::Cuda(1)), "the place of one that has ended");
    }

    #[test]
    fn short_trials_get_a_spare_worker() {
        let workers = |spare, took: Duration, left| {
            let placement = Placement { spare, ..Placement::on(Device::Cpu, 2) };
            let mut places = Places::new(&placement);
            (0..4).for_each(|_| places.note(took));
            let mut count = 0;
            while let Some(device) = places.free(left) {
                places.begin(count, device);
                count += 1;
            }
            count
        };
        let short = Duration::from_millis(30);
        assert_eq!(workers(true, short, 100), 3);
        assert_eq!(workers(false, short, 100), 2, "whoever asks for two gets two");
        assert_eq!(workers(true, Duration::from_secs(3), 100), 2, "long trials keep the cores busy by themselves");
        assert_eq!(workers(true, short, 10), 2, "too few to be worth it");
        let mut fresh = Places::new(&Placement { spare: true, ..Placement::on(Device::Cpu, 1) });
        fresh.begin(0, Device::Cpu);
        assert_eq!(fresh.free(100), None, "nothing is known yet");
    }

    #[test]
    fn another_worker_begins_when_the_first_has_shown_that_there_is_memory() {
        fn memory(device: Device) -> Option<u64> {
            use std::cell::Cell;
            thread_local!(static ASKED: Cell<u64> = const { Cell::new(0) });
            let asked = ASKED.get();
            ASKED.set(asked + 1);
            // 10 GB before, then 6 GB on the first GPU and 4 GB on the second.
            Some(match (asked, device) {
                (0 | 1, _) => 10_000,
                (_, Device::Cuda(0)) => 6_000,
                _ => 4_000,
            })
        }
        let mut places = places(2, 4, memory);
        for worker in 0..2 {
            let device = places.free(100).unwrap();
            places.begin(worker, device);
        }
        assert_eq!(places.free(100), None, "neither has shown what it takes");
        places.settle(0);
        places.settle(1);
        assert_eq!(places.free(100), Some(Device::Cuda(0)), "4 GB are taken and 6 are free");
        places.begin(2, Device::Cuda(0));
        assert_eq!(places.free(100), None, "6 GB are taken on the second, where 4 are free");
    }
}
