//! `harness sweep` from the file to the report.

use std::fs;

use crate::support::{TINY, Workplace, numbers};

#[test]
fn a_sweep_ends_with_a_table_and_a_figure() {
    let workplace = Workplace::new(TINY);
    let ran = workplace.run(&["sweep", "sweep.yaml"]);
    assert_eq!(ran.code, 0, "{ran:?}");
    assert!(ran.stdout.contains("| dorefa"), "{ran:?}");
    assert!(ran.stderr.contains("[2/2]"), "plain lines when there is no terminal: {ran:?}");
    let report = workplace.path("runs/tiny/report");
    for file in [
        "report.md",
        "report.html",
        "tables/accuracy.csv",
        "tables/accuracy.tex",
        "tables/trials.parquet",
        "figures/accuracy_vs_bits.svg",
        "figures/accuracy_vs_bits.png",
    ] {
        assert!(fs::metadata(report.join(file)).unwrap().len() > 100, "{file}");
    }
    for trial in workplace.trials("tiny") {
        let mut names: Vec<String> =
            fs::read_dir(&trial).unwrap().map(|e| e.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        assert_eq!(names, ["attempt-1.json", "config.yaml", "model.safetensors", "record.json"]);
    }
    let record = &workplace.records("tiny")[0];
    assert_eq!(record["status"], "ok");
    assert_eq!(record["epochs"].as_array().unwrap().len(), 2);
    for key in ["device", "libtorch", "cpu", "threads", "host", "harness", "platform"] {
        assert!(!record["environment"][key].is_null(), "{key}");
    }
}

#[test]
fn finished_trials_are_never_run_twice() {
    let workplace = Workplace::new(TINY);
    let (first, code) = workplace.sweep(&[]);
    assert_eq!((code, first["counts"]["ok"].as_u64()), (0, Some(2)));
    let before: Vec<Vec<u8>> =
        workplace.trials("tiny").iter().map(|t| fs::read(t.join("record.json")).unwrap()).collect();
    let (second, code) = workplace.sweep(&[]);
    assert_eq!(code, 0);
    assert!(second["trials"].as_array().unwrap().iter().all(|t| t["ran"] == false && t["status"] == "ok"));
    let after: Vec<Vec<u8>> =
        workplace.trials("tiny").iter().map(|t| fs::read(t.join("record.json")).unwrap()).collect();
    assert_eq!(before, after);
}

#[test]
fn the_same_seed_gives_the_same_numbers_to_the_bit() {
    let (one, two) = (Workplace::new(TINY), Workplace::new(TINY));
    one.sweep(&["--jobs", "1"]);
    two.sweep(&["--jobs", "2"]);
    let both = [one, two].map(|w| w.records("tiny").iter().map(numbers).collect::<Vec<_>>());
    assert_eq!(both[0], both[1]);
    let other = Workplace::new(TINY);
    other.sweep(&["--set", "train.seed=1"]);
    assert_ne!(other.records("tiny")[0]["metrics"], both[0][0]["metrics"]);
}

#[test]
fn a_trial_that_diverges_is_recorded_and_the_others_go_on() {
    let sweep = TINY.replace("axes:\n", "axes:\n  train.optimizer.lr: [1.0e+30, 0.05]\n");
    let workplace = Workplace::new(&sweep);
    let (summary, code) = workplace.sweep(&["--jobs", "1"]);
    assert_eq!(code, 1);
    assert_eq!((&summary["counts"]["ok"], &summary["counts"]["diverged"]), (&2.into(), &2.into()));
    let diverged = workplace.records("tiny").into_iter().find(|r| r["status"] == "diverged").unwrap();
    assert_eq!(diverged["error"]["class"], "nan");
    assert!(diverged["error"]["message"].as_str().unwrap().starts_with("the loss became"));
    let page = fs::read_to_string(workplace.path("runs/tiny/report/report.md")).unwrap();
    assert!(page.contains("diverged"), "{page}");
    // It failed for a reason of its own: not tried again unasked.
    let (again, code) = workplace.sweep(&[]);
    assert_eq!(code, 1);
    assert!(again["trials"].as_array().unwrap().iter().all(|t| t["ran"] == false));
    let (asked, _) = workplace.sweep(&["--retry-failed"]);
    assert_eq!(asked["trials"].as_array().unwrap().iter().filter(|t| t["ran"] == true).count(), 2);
    assert!(workplace.records("tiny").iter().any(|r| r["attempt"] == 2));
}

#[test]
fn fail_fast_stops_at_the_first_failure() {
    let sweep = TINY.replace("axes:\n", "axes:\n  train.optimizer.lr: [1.0e+30, 0.05]\n");
    let workplace = Workplace::new(&sweep);
    let (summary, code) = workplace.sweep(&["--fail-fast", "--jobs", "1"]);
    assert_eq!(code, 1);
    assert_eq!(summary["counts"]["diverged"], 1);
    assert_eq!(summary["counts"]["ok"], 0, "{summary}");
}

#[test]
fn a_dry_run_says_why_and_writes_nothing() {
    let workplace = Workplace::new(TINY);
    let (plan, code) = workplace.sweep(&["--dry-run"]);
    assert_eq!(code, 0);
    assert!(!workplace.path("runs").exists());
    let trials = plan["trials"].as_array().unwrap();
    assert_eq!(trials.len(), 2);
    assert!(trials.iter().all(|t| t["decision"] == "run" && t["reason"] == "new"));
    assert_eq!(trials[0]["sites"].as_array().unwrap().len(), 0);
    let layers: Vec<&str> =
        trials[1]["sites"].as_array().unwrap().iter().map(|s| s["layer"].as_str().unwrap()).collect();
    assert_eq!(layers, ["conv2", "fc1"], "first and last stay in full precision");
    assert_eq!(trials[0]["work"]["train_images"], 400);
    workplace.sweep(&["--filter", "quant.weights.method=float"]);
    let (plan, _) = workplace.sweep(&["--dry-run"]);
    let decisions: Vec<&str> =
        plan["trials"].as_array().unwrap().iter().map(|t| t["decision"].as_str().unwrap()).collect();
    assert_eq!(decisions, ["skip", "run"]);
}

#[test]
fn set_and_filter_choose_what_runs() {
    let workplace = Workplace::new(TINY);
    let (summary, code) = workplace.sweep(&["--set", "train.epochs=1", "--filter", "quant.weights.bits=2"]);
    assert_eq!(code, 0);
    let trials = summary["trials"].as_array().unwrap();
    assert_eq!(trials.len(), 1);
    assert_eq!(trials[0]["label"], "dorefa w2 a32");
    assert_eq!(workplace.records("tiny")[0]["epochs"].as_array().unwrap().len(), 1);
    let ran = workplace.run(&["sweep", "sweep.yaml", "--filter", "quant.weights.bits=7"]);
    assert_eq!(ran.code, 2, "{ran:?}");
}

#[test]
fn reports_are_written_again_from_records() {
    let workplace = Workplace::new(TINY);
    workplace.sweep(&[]);
    for input in ["sweep.yaml", "runs", "runs/tiny"] {
        let ran = workplace.run(&["report", input, "--out", "out", "--format", "csv,svg", "--json"]);
        assert_eq!(ran.code, 0, "{input}: {ran:?}");
        let csv = fs::read_to_string(workplace.path("out/tables/accuracy.csv")).unwrap();
        assert_eq!(csv.lines().count(), 3, "{input}: {csv}");
        fs::remove_dir_all(workplace.path("out")).unwrap();
    }
    for arguments in [
        &["report", "absent"][..],
        &["report", "runs", "--format", "jpeg"],
        &["report", "runs", "--set", "name=x"],
        &["report", "runs", "--figures", "pareto_front"],
        &["report", "runs", "--tables", "accurcy"],
    ] {
        assert_eq!(workplace.run(arguments).code, 2, "{arguments:?}");
    }
}

#[test]
fn the_tables_asked_for_are_printed() {
    let workplace = Workplace::new(&format!("{TINY}report: {{tables: [claims, accuracy], figures: []}}\n"));
    let swept = workplace.run(&["sweep", "sweep.yaml"]);
    let printed = |arguments: &[&str]| {
        let ran = workplace.run(&[&["report"], arguments].concat());
        assert_eq!(ran.code, 0, "{ran:?}");
        ran.stdout
    };
    let both = printed(&["sweep.yaml"]);
    assert_eq!(both, swept.stdout);
    assert!(both.find("# Claims").unwrap() < both.find("# Accuracy").unwrap(), "{both}");
    // Whatever is written; and without a sweep file, what most people look for.
    assert_eq!(printed(&["sweep.yaml", "--format", "csv"]), both);
    let accuracy = printed(&["runs"]);
    assert!(accuracy.starts_with("# Results") && !accuracy.contains("# Claims"), "{accuracy}");
    assert!(printed(&["runs", "--tables", "claims"]).starts_with("# Claims"));
}
