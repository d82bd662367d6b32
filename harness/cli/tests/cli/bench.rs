//! `harness bench` through the binary.
use std::process::{Command, Output};

use serde_json::Value;

fn bench(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_harness")).arg("bench").args(arguments).output().unwrap()
}

/// A small product on two pairs of widths: every number that a script reads is there, and the file says the same.
#[test]
fn json_says_what_ran_and_the_folder_keeps_it() {
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("bench");
    let output = bench(&[
        "--shapes",
        "3x40x70",
        "--bits",
        "w1a1,w8a8",
        "--rounds",
        "3",
        "--json",
        "-q",
        "--out",
        out.to_str().unwrap(),
    ]);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let json: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(json["threads"], 1);
    assert!(json["environment"]["cpu"].is_string() && json["environment"]["libtorch"].is_string());
    let cells = json["cells"].as_array().unwrap();
    assert_eq!(cells.len(), 2);
    for (cell, bits) in cells.iter().zip(["w1a1", "w8a8"]) {
        assert_eq!((cell["shape"].as_str(), cell["bits"].as_str()), (Some("3x40x70"), Some(bits)));
        assert_eq!((cell["m"].as_u64(), cell["n"].as_u64(), cell["k"].as_u64()), (Some(3), Some(40), Some(70)));
        assert!(cell["route"].as_str().unwrap().contains('-') && cell["chosen"] == true);
        for number in ["time_s", "pack_s", "gops", "packing_share", "fraction_of_limit", "limit_gops", "intensity"] {
            assert!(cell[number].as_f64().unwrap() > 0.0, "{number}");
        }
        assert!(cell["ratio_f32"]["median"].as_f64().unwrap() > 0.0);
    }
    assert!(json["peers"].as_array().unwrap().iter().any(|peer| peer["kind"] == "f32" && peer["fastest"] == true));
    let written: Value = serde_json::from_slice(&std::fs::read(out.join("bench.json")).unwrap()).unwrap();
    assert_eq!(written, json);
    for figure in ["kernel_speed", "speed_vs_bits", "roofline"] {
        for format in ["svg", "png", "csv"] {
            assert!(out.join(format!("figures/{figure}.{format}")).is_file(), "{figure}.{format}");
        }
    }
    let table = std::fs::read_to_string(out.join("tables/kernels.csv")).unwrap();
    assert_eq!(table.lines().count(), 3, "{table}");
}

/// All families on the widest instruction set, and what the chosen one loses.
#[test]
fn the_chosen_route_is_compared_with_the_best() {
    let output = bench(&["--shapes", "3x40x70", "--bits", "w1a1,w2a2", "--rounds", "3", "--routes", "all", "-q"]);
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let rows = |name: &str| text.lines().filter(|line| line.starts_with("3x40x70 ") && line.contains(name)).count();
    assert!(rows("popcount-") >= 2 && rows("table-") >= 2 && rows("int8-") >= 2, "{text}");
    assert!(text.lines().filter(|line| line.contains(" *  ")).count() >= 2, "{text}");
    assert!(text.contains("The chosen route takes over 1.10 times") && text.contains("of 2 pairs"), "{text}");
}

/// Chains alone: a table of them, and their numbers for scripts.
#[test]
fn chains_are_timed_beside_their_products() {
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("bench");
    let arguments = ["--shapes", "chain", "--bits", "w1a1", "--rounds", "3", "-q", "--out", out.to_str().unwrap()];
    let output = bench(&arguments);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let text = String::from_utf8(output.stdout).unwrap();
    assert_eq!(text.lines().filter(|line| line.starts_with("resnet18 layer") && line.contains("w1a1")).count(), 7);
    let json: Value = serde_json::from_slice(&std::fs::read(out.join("bench.json")).unwrap()).unwrap();
    let chains = json["chains"].as_array().unwrap();
    assert_eq!((chains.len(), json["cells"].as_array().unwrap().len()), (7, 0));
    for chain in chains {
        for number in ["time_s", "products_s", "over_products", "ratio_f32"] {
            assert!(chain[number].as_f64().unwrap() > 0.0, "{number}: {chain}");
        }
        assert!(chain["routes"][1].as_str().unwrap().contains('-'), "{chain}");
    }
}

/// Routes are measured once and kept; what is kept is followed, and a file that is none is refused.
#[test]
fn measured_routes_are_kept_in_a_file() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("plans.txt");
    let plans = file.to_str().unwrap();
    let run = |more: &[&str]| {
        let arguments = ["--shapes", "3x40x70", "--bits", "w2a2", "--rounds", "3", "--tune", plans];
        let output = bench(&[&arguments[..], more].concat());
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        (String::from_utf8(output.stdout).unwrap(), String::from_utf8(output.stderr).unwrap())
    };
    let (_, said) = run(&[]);
    assert!(said.contains("1 products measured, plans in"), "{said}");
    let text = std::fs::read_to_string(&file).unwrap();
    assert!(text.contains("w2a2, values, threads 1\t"), "{text}");
    // Another route in its place is followed, without measuring again.
    let route = text.lines().nth(1).unwrap().split('\t').nth(1).unwrap();
    std::fs::write(&file, text.replace(route, "popcount-portable")).unwrap();
    let (out, said) = run(&[]);
    assert!(said.contains("0 products measured"), "{said}");
    assert!(out.lines().any(|line| line.contains("popcount-portable +")), "{out}");
    assert!(out.contains("The chosen route takes over 1.10 times"), "{out}");
    let (json, _) = run(&["--json"]);
    let json: Value = serde_json::from_str(&json).unwrap();
    assert_eq!((&json["cells"][0]["route"], &json["cells"][0]["planned"]), (&"popcount-portable".into(), &true.into()));
    std::fs::write(&file, "no plans").unwrap();
    let output = bench(&["--shapes", "3x40x70", "--tune", plans]);
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(2), "{said}");
    assert!(said.contains("plans.txt: line 1: expected the header"), "{said}");
}

#[test]
fn nonsense_is_refused_before_anything_runs() {
    for (arguments, message) in [
        (&["--shapes", "resnet19"][..], "unknown shape \"resnet19\""),
        (&["--shapes", "4x0x4"], "M, N and K must be at least 1"),
        (&["--bits", "w9a1"], "unknown bits \"w9a1\""),
        (&["--routes", "popcount-sse"], "unknown route \"popcount-sse\""),
        (&["--training", "--shapes", "gemm"], "cannot be used with"),
        (&["--tune", "plans.txt", "--routes", "all"], "cannot be used with"),
        (&["--threads", "0"], "0 is not in 1.."),
    ] {
        let output = bench(arguments);
        let said = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(2), "{arguments:?}: {said}");
        assert!(said.contains(message), "{arguments:?}: {said}");
    }
}
