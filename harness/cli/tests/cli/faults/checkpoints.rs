//! Checkpoints that are damaged, and processes that die with one.

use std::fs;
use std::path::PathBuf;

use serde_json::Value;

use super::{SLOW, start_held_after, undisturbed, wait_until_claimable};
use crate::support::{Ran, Workplace, kill, numbers};

fn owner(trial: &std::path::Path) -> Value {
    let files = fs::read_dir(trial).unwrap().map(|e| e.unwrap().path());
    let lease = files.into_iter().find(|p| p.file_name().unwrap().to_str().unwrap().starts_with("lease.")).unwrap();
    serde_json::from_slice(&fs::read(lease).unwrap()).unwrap()
}

#[test]
fn a_worker_that_dies_costs_one_attempt() {
    let expected = undisturbed(SLOW);
    let workplace = Workplace::new(SLOW);
    let die = |attempt: u64, arguments: &[&str]| {
        let sweep = start_held_after(&workplace, attempt, &[&["--json"], arguments].concat());
        kill("KILL", owner(&workplace.trials("slow")[0])["pid"].as_u64().unwrap());
        Ran::new(sweep.wait_with_output().unwrap())
    };
    let ran = die(1, &["--retries", "0"]);
    assert_eq!(ran.code, 1, "{ran:?}");
    let record = &workplace.records("slow")[0];
    assert_eq!((&record["status"], &record["error"]["class"]), (&"failed".into(), &"killed".into()), "{record}");
    assert!(record["error"]["message"].as_str().unwrap().contains("signal: 9"), "{record}");
    let summary: Value = serde_json::from_str(&ran.stdout).unwrap();
    assert_eq!(summary["failures"][0]["class"], "killed");
    assert!(summary["failures"][0]["next"].as_str().unwrap().contains("--jobs"));
    // The cause lay outside the trial: the next start goes on with it, and again when it dies in between.
    let ran = die(2, &[]);
    assert_eq!(ran.code, 0, "{ran:?}");
    assert!(ran.stderr.contains("begun again, 1 of 2"), "{ran:?}");
    let records: Vec<Value> = workplace.records("slow");
    assert_eq!(records[0]["attempt"], 3);
    assert_eq!(records.iter().map(numbers).collect::<Vec<_>>(), expected);
    let attempts: Vec<Value> = (1..=3)
        .map(|n| fs::read(workplace.trials("slow")[0].join(format!("attempt-{n}.json"))).unwrap())
        .map(|bytes| serde_json::from_slice::<Value>(&bytes).unwrap()["end"]["how"].clone())
        .collect();
    assert_eq!(attempts, ["died", "died", "ok"]);
}

/// A sweep that was killed with two checkpoints, while no other was being written, and its trial.
fn killed_with_two_checkpoints() -> (Workplace, PathBuf) {
    let workplace = Workplace::new(SLOW);
    let mut sweep = start_held_after(&workplace, 2, &[]);
    sweep.kill().unwrap();
    sweep.wait().unwrap();
    wait_until_claimable(&workplace);
    let trial = workplace.trials("slow")[0].clone();
    assert!(trial.join("previous-state.json").exists());
    (workplace, trial)
}

/// Something that changes the bytes of a file.
type Damage<'a> = &'a dyn Fn(&mut Vec<u8>);

#[test]
fn a_damaged_checkpoint_is_noticed_and_the_one_before_takes_over() {
    let expected = undisturbed(SLOW);
    let truncate = |bytes: &mut Vec<u8>| bytes.truncate(bytes.len() / 2);
    let flip = |bytes: &mut Vec<u8>| {
        let middle = bytes.len() / 2;
        bytes[middle] ^= 1;
    };
    let lose_all = |trial: &PathBuf| {
        for name in ["checkpoint.safetensors", "previous-checkpoint.safetensors", "next-checkpoint.safetensors"] {
            let _ = fs::write(trial.join(name), "lost");
        }
    };
    let cases: [(&str, Option<Damage<'_>>, &str); 4] = [
        ("checkpoint.safetensors", Some(&truncate), "goes on from the checkpoint before its last"),
        ("checkpoint.safetensors", Some(&flip), "goes on from the checkpoint before its last"),
        ("state.json", Some(&flip), "goes on from the checkpoint before its last"),
        ("", None, "starts over"),
    ];
    for (name, damage, said) in cases {
        let (workplace, trial) = killed_with_two_checkpoints();
        match damage {
            Some(damage) => {
                let path = trial.join(name);
                let mut bytes = fs::read(&path).unwrap();
                damage(&mut bytes);
                fs::write(&path, bytes).unwrap();
            }
            None => lose_all(&trial),
        }
        let ran = workplace.run(&["sweep", "sweep.yaml"]);
        assert_eq!(ran.code, 0, "{name}: {ran:?}");
        assert!(ran.stderr.contains(said), "{name}: {ran:?}");
        assert_eq!(workplace.records("slow").iter().map(numbers).collect::<Vec<_>>(), expected, "{name}");
    }
}
