//! SIGKILL at random moments, of the sweep, of its workers, of both.
//!
//! A handful of kills in every test run; `HARNESS_KILLS=100` asks for more, `HARNESS_KILL_SEED` for other moments.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::process::{Child, Command};
use std::thread;
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::support::{Workplace, numbers};

/// Four trials with checkpoints inside their epochs.
const SWEEP: &str = "\
name: slow
base:
  dataset: {name: synthetic, channels: 1, height: 12, width: 12, train: 600, test: 100, noise: 0.5}
  model: {name: lenet, variant: small}
  train: {epochs: 4, batch: 20, checkpoint_every: 7, optimizer: {name: adam, lr: 1.0e-3}}
axes:
  quant.weights:
    - {method: dorefa, bits: 2}
    - {method: stochastic, bits: 1}
  train.seed: [0, 1]
";

/// xorshift64*: moments that come again with the same seed.
struct Moments(u64);

impl Moments {
    fn below(&mut self, n: u64) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        (self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 33) % n.max(1)
    }
}

fn number(name: &str, default: u64) -> u64 {
    std::env::var(name).map_or(default, |value| value.parse().unwrap())
}

/// The workers of a sweep, as the kernel lists them.
fn workers(sweep: &Child) -> Vec<u64> {
    let pid = sweep.id();
    let threads = fs::read_dir(format!("/proc/{pid}/task")).into_iter().flatten().flatten();
    let children = threads.filter_map(|thread| fs::read_to_string(thread.path().join("children")).ok());
    children.flat_map(|list| list.split_whitespace().map(|pid| pid.parse().unwrap()).collect::<Vec<_>>()).collect()
}

/// A process may be gone before the signal reaches it.
fn kill(process: u64) {
    let _ = Command::new("kill").args(["-KILL", &process.to_string()]).output().unwrap();
}

/// No file is half-written, and a record once there is never changed.
fn check_files(workplace: &Workplace, records: &mut BTreeMap<String, Vec<u8>>) {
    for trial in workplace.trials("slow") {
        for entry in fs::read_dir(&trial).unwrap().map(Result::unwrap) {
            let name = entry.file_name().into_string().unwrap();
            // What is being written has a name of its own, which nobody reads. Others may go away while we look.
            let Ok(bytes) = fs::read(entry.path()) else { continue };
            if name.starts_with(".tmp-") {
                continue;
            }
            check_file(&entry.path(), &bytes);
            if name == "record.json" && serde_json::from_slice::<Value>(&bytes).unwrap()["status"] == "ok" {
                let id = trial.file_name().unwrap().to_str().unwrap().to_owned();
                assert_eq!(records.entry(id).or_insert_with(|| bytes.clone()), &bytes, "a record was changed");
            }
        }
    }
}

fn check_file(path: &Path, bytes: &[u8]) {
    let shown = path.display();
    if path.extension().is_some_and(|e| e == "json")
        || path.file_name().unwrap().to_str().unwrap().starts_with("lease.")
    {
        serde_json::from_slice::<Value>(bytes).unwrap_or_else(|error| panic!("{shown}: {error}"));
    } else if path.extension().is_some_and(|e| e == "safetensors") {
        let header = u64::from_le_bytes(bytes[..8].try_into().unwrap()) as usize;
        let tensors: BTreeMap<String, Value> = serde_json::from_slice(&bytes[8..8 + header]).unwrap();
        let end = tensors.values().filter_map(|tensor| tensor["data_offsets"][1].as_u64()).max().unwrap();
        assert_eq!(8 + header + end as usize, bytes.len(), "{shown}");
    }
}

#[test]
fn killed_at_random_moments_it_ends_with_the_same_numbers() {
    let wanted = number("HARNESS_KILLS", 4);
    let mut moments = Moments(number("HARNESS_KILL_SEED", 1) | 1);
    let alone = Workplace::new(SWEEP);
    let began = Instant::now();
    assert_eq!(alone.sweep(&["--jobs", "2"]).1, 0);
    let span = began.elapsed().as_millis() as u64;
    let expected: Vec<Value> = alone.records("slow").iter().map(numbers).collect();
    let (mut kills, mut starts, mut sweeps, mut resumed) = (0, 0, 0, 0);
    while kills < wanted {
        let workplace = Workplace::new(SWEEP);
        let mut records = BTreeMap::new();
        loop {
            let mut sweep = workplace.start(&["sweep", "sweep.yaml", "--jobs", "2", "--quiet"]);
            starts += 1;
            thread::sleep(Duration::from_millis(moments.below(span)));
            if kills < wanted && sweep.try_wait().unwrap().is_none() {
                let (both, workers) = (moments.below(3), workers(&sweep));
                if both != 1 {
                    sweep.kill().unwrap();
                }
                if both != 0 {
                    workers.into_iter().for_each(kill);
                }
                kills += 1;
            }
            let code = sweep.wait().unwrap().code();
            check_files(&workplace, &mut records);
            if code == Some(0) {
                break;
            }
        }
        sweeps += 1;
        let found = workplace.records("slow");
        resumed += found.iter().map(|record| record["time"]["resumed"].as_u64().unwrap()).sum::<u64>();
        assert_eq!(found.iter().map(numbers).collect::<Vec<_>>(), expected);
        assert_eq!(records.len(), expected.len());
    }
    // Seen with --nocapture, for the figures of docs/reliability.md.
    println!("{kills} kills, {starts} starts, {sweeps} sweeps, {resumed} times a trial went on from a checkpoint");
}
