//! Ctrl-C and SIGTERM, time limits.

use std::fs;

use serde_json::Value;

use super::{SLOW, start_held_after, undisturbed};
use crate::support::{Ran, Workplace, kill, numbers};

#[test]
fn asked_to_stop_it_writes_a_checkpoint_and_says_how_to_go_on() {
    let expected = undisturbed(SLOW);
    let workplace = Workplace::new(SLOW);
    for (signal, attempt) in [("INT", 1), ("TERM", 2)] {
        let sweep = start_held_after(&workplace, attempt, &["--json"]);
        kill(signal, u64::from(sweep.id()));
        let ran = Ran::new(sweep.wait_with_output().unwrap());
        assert_eq!(ran.code, 1, "{ran:?}");
        let summary: Value = serde_json::from_str(&ran.stdout).unwrap_or_else(|e| panic!("{e}: {ran:?}"));
        assert_eq!((&summary["stopped"], &summary["counts"]["open"]), (&true.into(), &1.into()), "{summary}");
        let how = ran.stderr.lines().last().unwrap();
        assert!(how.contains("To go on: ") && how.ends_with("sweep sweep.yaml --json"), "{ran:?}");
        let trial = &workplace.trials("slow")[0];
        assert!(!trial.join("record.json").exists());
        let names = fs::read_dir(trial).unwrap().map(|e| e.unwrap().file_name().into_string().unwrap());
        assert!(names.into_iter().all(|name| !name.starts_with(".tmp-")));
        // Nobody holds it any more: no wait, no other process that has to die first.
        assert_eq!(workplace.sweep(&["--dry-run"]).0["trials"][0]["decision"], "resume");
    }
    let attempt: Value =
        serde_json::from_slice(&fs::read(workplace.trials("slow")[0].join("attempt-2.json")).unwrap()).unwrap();
    assert_eq!((&attempt["end"]["how"], &attempt["end"]["error"]["class"]), (&"stopped".into(), &"preempted".into()));
    assert_eq!(workplace.sweep(&[]).1, 0);
    let records = workplace.records("slow");
    assert_eq!(records[0]["time"]["resumed"], 2);
    assert_eq!(records.iter().map(numbers).collect::<Vec<_>>(), expected);
}

#[test]
fn out_of_time_a_trial_fails_and_goes_on_when_asked() {
    let expected = undisturbed(SLOW);
    let workplace = Workplace::new(SLOW);
    // However fast the machine is, the training waits in its second epoch until its second is over.
    let ran = Ran::new(start_held_after(&workplace, 1, &["--attempt-limit", "1s"]).wait_with_output().unwrap());
    assert_eq!(ran.code, 1, "{ran:?}");
    assert_eq!(workplace.records("slow")[0]["error"]["class"], "timeout");
    let (again, code) = workplace.sweep(&[]);
    assert_eq!((code, &again["trials"][0]["ran"]), (1, &false.into()), "not unasked");
    assert_eq!(workplace.sweep(&["--retry-failed"]).1, 0);
    assert_eq!(workplace.records("slow").iter().map(numbers).collect::<Vec<_>>(), expected);
}
