//! `harness verify` through the binary.

use std::fs;
use std::path::Path;

use crate::support::{TINY, Workplace};
use serde_json::Value;

fn verify(workplace: &Workplace, trial: &Path) -> (Value, i32) {
    let ran = workplace.run(&["verify", trial.to_str().unwrap(), "--json"]);
    (serde_json::from_str(&ran.stdout).unwrap_or_else(|e| panic!("{e}: {ran:?}")), ran.code)
}

#[test]
fn a_trial_run_again_is_the_same_or_says_from_which_step_not() {
    let workplace = Workplace::new(TINY);
    workplace.sweep(&["--filter", "quant.weights.method=dorefa"]);
    let trial = workplace.trials("tiny")[0].clone();
    let before = fs::read_to_string(trial.join("record.json")).unwrap();
    let (verdict, code) = verify(&workplace, &trial);
    assert_eq!((code, &verdict["identical"], &verdict["losses_compared"]), (0, &true.into(), &8.into()), "{verdict}");
    assert_eq!(fs::read_to_string(trial.join("record.json")).unwrap(), before, "a record is never changed");
    let report = || {
        let ran = workplace.run(&["report", "runs", "--out", "out", "--format", "md"]);
        assert_eq!(ran.code, 0, "{ran:?}");
        fs::read_to_string(workplace.path("out/report.md")).unwrap()
    };
    assert!(report().contains("Verified: 1 trial run again, every number the same to the bit."));

    // A record that another machine could have written: the loss of the sixth step differs in its last bit.
    let record: Value = serde_json::from_str(&before).unwrap();
    let bits = record["losses"]["bits"].as_str().unwrap();
    let digit = if bits.as_bytes()[47] == b'0' { "1" } else { "0" };
    let other = format!("{}{digit}{}", &bits[..47], &bits[48..]);
    fs::write(trial.join("record.json"), before.replace(bits, &other)).unwrap();
    assert!(!report().contains("run again"), "what was verified is another record");
    let (verdict, code) = verify(&workplace, &trial);
    assert_eq!((code, &verdict["difference"]), (1, &"the training loss differs at the latest in step 6".into()));
    assert!(report().contains("1 trial run again, 1 of them NOT the same."));

    // The same of a number that only an epoch has.
    let mut record = record;
    record["epochs"][1]["test"]["loss"] = 0.5.into();
    fs::write(trial.join("record.json"), record.to_string()).unwrap();
    let (verdict, _) = verify(&workplace, &trial);
    assert!(verdict["difference"].as_str().unwrap().starts_with("the test of epoch 2 was "), "{verdict}");
    assert_eq!(workplace.run(&["verify", "runs/tiny"]).code, 2);
}
