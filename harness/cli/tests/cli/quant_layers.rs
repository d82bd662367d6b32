//! `quant.layers`: a setting for some layers, from the sweep file to the record.

use serde_json::Value;

use crate::support::{Workplace, numbers, wait_until};

/// First and last layer at 8 bits, the third stage at 3 and the rest at 2.
const MIXED: &str = "\
name: mixed
base:
  dataset: {name: synthetic, channels: 3, height: 8, width: 8, classes: 10, train: 200, test: 100, noise: 0.3}
  model: {name: resnet20, width: 4}
  train: {epochs: 2, batch: 20, checkpoint_every: 3, optimizer: {name: sgd, lr: 0.05}}
  quant:
    weights: {method: lsq, bits: 2}
    activations: {method: lsq, bits: 2}
    keep_float: []
    input: bytes
    layers:
      first: {weights: {bits: 8}}
      last: {weights: {bits: 8}, activations: {bits: 8}}
      layer3.*: {weights: {bits: 3}, activations: {bits: 3}}
";

#[test]
fn the_dry_run_says_what_each_site_got_and_from_where() {
    let workplace = Workplace::new(MIXED);
    let (plan, code) = workplace.sweep(&["--dry-run"]);
    assert_eq!(code, 0, "{plan}");
    let trial = &plan["trials"][0];
    let sites = trial["sites"].as_array().unwrap();
    assert_eq!(sites.len(), 39, "20 weights and the 19 activations before all layers but the first");
    for site in sites {
        let layer = site["layer"].as_str().unwrap();
        let (bits, line) = match layer {
            "conv1" => (8, Some("sweep.yaml:12:14")),
            "fc" => (8, Some("sweep.yaml:13:13")),
            _ if layer.starts_with("layer3.") => (3, Some("sweep.yaml:14:17")),
            _ => (2, None),
        };
        assert_eq!(site["bits"], bits, "{site}");
        assert_eq!(site["places"][0].as_str(), line, "{site}");
    }
    // The first layer: 3 x 3 x 3 x 4 weights of 8 bits at 8 x 8 places on 8-bit inputs.
    let text = workplace.run(&["sweep", "sweep.yaml", "--dry-run"]).stdout;
    assert!(text.contains("conv1:w8@12 ") && text.contains(" layer3.0.conv1:a3@14,w3@14 "), "{text}");
    let layers: Value = serde_json::from_str(
        &workplace
            .run(&["models", "resnet20", "--layers", "--set", "model.width=4", "--input", "3x8x8", "--json"])
            .stdout,
    )
    .unwrap();
    let bit_ops: u64 = layers["layers"].as_array().unwrap().iter().fold(0, |sum, layer| {
        let name = layer["layer"].as_str().unwrap();
        let bits: u64 = match name {
            "conv1" | "fc" => 8,
            _ if name.starts_with("layer3.") => 3,
            _ => 2,
        };
        sum + layer["macs"].as_u64().unwrap() * bits * bits
    });
    assert_eq!(trial["model"]["bit_ops"], bit_ops, "every layer counts at its own widths");
}

#[test]
fn a_mixed_network_trains_resumes_evaluates_exports_and_reports() {
    let undisturbed = Workplace::new(MIXED);
    assert_eq!(undisturbed.sweep(&[]).1, 0);
    let expected: Vec<Value> = undisturbed.records("mixed").iter().map(numbers).collect();
    let workplace = Workplace::new(MIXED);
    let mut sweep = workplace.start_held("held", 14, &["sweep", "sweep.yaml"]);
    sweep.kill().unwrap();
    sweep.wait().unwrap();
    wait_until("the trial can be claimed", || workplace.sweep(&[]).1 == 0);
    let records = workplace.records("mixed");
    assert_eq!(records[0]["time"]["resumed"], 1);
    assert_eq!(records.iter().map(numbers).collect::<Vec<_>>(), expected);
    let bits = |layer: &str, role: &str| {
        let layers = records[0]["layers"].as_array().unwrap();
        layers.iter().find(|l| l["layer"] == layer && l["role"] == role).map(|l| l["bits"].as_u64().unwrap())
    };
    assert_eq!(bits("conv1", "weight"), Some(8));
    assert_eq!(bits("conv1", "activation"), None);
    assert_eq!(bits("layer1.0.conv1", "weight"), Some(2));
    assert_eq!(bits("layer3.2.conv2", "activation"), Some(3));
    assert_eq!(bits("fc", "activation"), Some(8));
    let trial = workplace.trials("mixed")[0].clone();
    let run = trial.to_str().unwrap();
    let eval: Value = serde_json::from_str(&workplace.run(&["eval", run, "--json"]).stdout).unwrap();
    assert_eq!(eval["reproduced"], true);
    let out = workplace.path("net.safetensors");
    let export = workplace.run(&["export", run, "--format", "safetensors", "--out", out.to_str().unwrap()]);
    assert_eq!(export.code, 0, "{export:?}");
    let report = workplace.run(&["report", "sweep.yaml"]);
    assert_eq!(report.code, 0, "{report:?}");
    // What was written down reads back as the same trial.
    let again = workplace.run(&["verify", run, "--json"]);
    assert_eq!(again.code, 0, "{again:?}");
}

#[test]
fn the_settings_of_layers_can_be_an_axis() {
    let axis = MIXED.split("    layers:").next().unwrap().to_owned()
        + "axes:\n  quant.layers:\n    - {}\n    - {conv1: {weights: {bits: 3}}}\n    - {layer1.0.conv1: {weights: {bits: 3}, \
           activations: {method: float}}}\n";
    let workplace = Workplace::new(&axis);
    let (plan, code) = workplace.sweep(&["--dry-run"]);
    assert_eq!(code, 0, "{plan}");
    let trials = plan["trials"].as_array().unwrap();
    let labels: Vec<&str> = trials.iter().map(|trial| trial["label"].as_str().unwrap()).collect();
    assert_eq!(labels, ["layers=none", "layers=conv1 w3", "layers=layer1.0.conv1 w3 a32"]);
    let sites = |trial: usize| trials[trial]["sites"].as_array().unwrap().len();
    assert_eq!([0, 1, 2].map(sites), [39, 39, 38], "an activation in full precision is no site");
    // Without a setting of its own for any layer, a trial is what it was before there were such settings.
    let plain = Workplace::new(MIXED.split("    input:").next().unwrap());
    let with_none =
        Workplace::new(&(MIXED.split("    input:").next().unwrap().to_owned() + "    layers: {}\n    input: float\n"));
    let id = |workplace: &Workplace| workplace.sweep(&["--dry-run"]).0["trials"][0]["id"].clone();
    assert_eq!(id(&plain), id(&with_none));
}

/// What stands under `layers`, where the error points, and what it says.
const REFUSED: &[(&str, &str, &[&str])] = &[
    ("3", "9:13", &["`quant.layers` is `3`", "{first: {weights: {bits: 8}}}"]),
    ("conv1", "9:13", &["`quant.layers` is the text `conv1`"]),
    ("[conv1]", "9:14", &["has no `layer`"]),
    ("[{weights: {bits: 8}}]", "9:14", &["has no `layer`"]),
    ("[{layer: first, weights: {bits: 8}}, {layer: first, weights: {bits: 4}}]", "9:50", &["names `first` twice"]),
    ("{first: {weights: {bits: 8}}, first: {weights: {bits: 4}}}", "9:43", &["`first` is given twice"]),
    ("{conv9: {weights: {bits: 8}}}", "9:21", &["`conv9`, which fits no layer", "did you mean `conv1`?"]),
    ("{layer9.*: {weights: {bits: 8}}}", "9:24", &["fits no layer", "`layer3.2.conv2`", "`first`"]),
    ("{lsat: {weights: {bits: 8}}}", "9:20", &["did you mean `last`?"]),
    ("{downsample: {weights: {bits: 8}}}", "9:26", &["fits no layer"]),
    ("{recurrent: {weights: {bits: 8}}}", "9:25", &["fits no layer"]),
    ("{first: 8}", "9:21", &["`quant.layers.first` is `8`", "{weights: {bits: 8}}"]),
    ("{first: {}}", "9:21", &["changes nothing"]),
    ("{first: {weights: {}}}", "9:31", &["is empty"]),
    ("{first: {weight: {bits: 8}}}", "9:22", &["unknown key `quant.layers.first.weight`", "did you mean `weights`?"]),
    ("{first: {weights: {bits: 9}}}", "9:38", &["is `9`", "from 1 to 8"]),
    ("{first: {weights: {bits: 0}}}", "9:38", &["is `0`"]),
    ("{first: {weights: {bits: two}}}", "9:38", &["is the text `two`"]),
    ("{first: {weights: {bits: [1, 2]}}}", "9:38", &["is a list"]),
    ("{first: {weights: {bit: 3}}}", "9:32", &["`uniform` has no such option", "did you mean `bits`?"]),
    ("{first: {weights: {method: unifrom}}}", "9:40", &["unknown method `unifrom`", "did you mean `uniform`?"]),
    ("{first: {weights: {method: 3}}}", "9:40", &["expected the name of a method"]),
    ("{first: {weights: {method: float, bits: 8}}}", "9:47", &["`float` takes no bits"]),
    ("{first: {weights: {method: bwn, bits: 2}}}", "9:51", &["`bwn` takes 1 bit, not 2"]),
    ("{first: {weights: {method: dorefa, per: channel}}}", "9:48", &["`dorefa` has no such option"]),
    ("{first: {weights: {per: row}}}", "9:37", &["option `per` is `row`", "`channel`"]),
    (
        "{first: {gradients: {method: balanced, bits: 2}}}",
        "9:42",
        &["cannot quantize gradients", "methods for gradients"],
    ),
    ("{last: {activations: {bits: 8}}}", "9:35", &["`float` takes no bits", "for the whole network"]),
    ("{first: {activations: {method: uniform, bits: 8}}}", "9:35", &["reads the data", "quant.input: bytes"]),
    (
        "{conv: {weights: {method: dorefa}}, first: {weights: {per: channel}}}",
        "9:66",
        &["layer `conv1`", "unknown option `per`"],
    ),
    ("{fc: {weights: {bits: 8}}}", "9:28", &["`keep_float` keeps these layers", "keep_float: []"]),
];

#[test]
fn wrong_settings_are_refused_with_their_place() {
    for (layers, place, parts) in REFUSED {
        let workplace = Workplace::new(&format!(
            "name: wrong\nbase:\n  dataset: {{name: synthetic, channels: 3, train: 40, test: 20}}\n  model: {{name: resnet20, \
             width: 4}}\n\n  quant:\n    weights: {{method: uniform, bits: 2}}\n    keep_float: [fc]\n    layers: {layers}\n"
        ));
        let ran = workplace.run(&["sweep", "sweep.yaml", "--dry-run"]);
        assert_eq!(ran.code, 2, "{layers}: {ran:?}");
        assert!(ran.stderr.contains(&format!("sweep.yaml:{place}: ")), "{layers}: {}", ran.stderr);
        for part in *parts {
            assert!(ran.stderr.contains(part), "{layers} {part}: {}", ran.stderr);
        }
        assert_eq!(workplace.names(), ["sweep.yaml"], "nothing is written");
    }
}
