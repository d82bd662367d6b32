//! `harness export`: what was trained comes out under its names, without what belongs to quantizers.

use std::collections::BTreeSet;

use crate::support::Workplace;
use tch::Tensor;

const SWEEP: &str = "\
name: cells
base:
  dataset: {name: digits}
  model: {name: resnet20, width: 2}
  train: {epochs: 1, batch: 128, limit: 256}
  quant: {weights: {method: dorefa, bits: 2}, activations: {method: pact, bits: 2}}
";

#[test]
fn the_weights_of_a_run_are_written_under_torchvisions_names() {
    let workplace = Workplace::new(SWEEP);
    assert_eq!(workplace.sweep(&[]).1, 0);
    let trial = workplace.trials("cells")[0].clone();
    let run = trial.to_str().unwrap();
    let out = trial.with_file_name("exported.safetensors");
    let arguments = ["export", run, "--format", "safetensors", "--out", out.to_str().unwrap(), "--json"];
    let ran = workplace.run(&arguments);
    assert_eq!(ran.code, 0, "{ran:?}");
    let said: serde_json::Value = serde_json::from_str(&ran.stdout).unwrap();
    let read = |path| Tensor::read_safetensors(path).unwrap();
    let (all, exported) = (read(trial.join("model.safetensors")), read(out.clone()));
    assert_eq!((&said["tensors"], &said["model"]), (&exported.len().into(), &"resnet20".into()));
    let names: BTreeSet<&str> = exported.iter().map(|(name, _)| name.as_str()).collect();
    assert!(["conv1.weight", "layer2.0.bn1.running_var", "fc.bias"].iter().all(|name| names.contains(name)));
    // 19 convolutions, 19 normalizations of four, the classifier of two.
    assert_eq!(names.len(), 19 + 4 * 19 + 2);
    assert!(all.len() > names.len(), "pact's ranges stay behind");
    for (name, tensor) in &exported {
        assert_eq!(tensor, &all.iter().find(|(other, _)| other == name).unwrap().1, "{name}");
    }
    let refused: &[(&[&str], &str)] = &[
        (&["export", run, "--format", "onnx", "--out", "net.onnx"], "expected `safetensors`"),
        (&["export", run, "--format", "npz", "--out", "net.npz"], "safetensors"),
        (&["export", "nowhere", "--format", "safetensors", "--out", "net"], "is no trial"),
        (&["export", run, "--format", "safetensors", "--out", "none/net"], "there is no folder"),
        (&["export", run, "--format", "safetensors", "--out", "-"], "to a file"),
        (
            &["export", run, "--format", "safetensors", "--out", &format!("{run}/model.safetensors")],
            "are the same file",
        ),
    ];
    let check = |arguments: &[&str], part: &str| {
        let ran = workplace.run(arguments);
        assert_eq!(ran.code, 2, "{arguments:?}: {ran:?}");
        assert!(ran.stderr.contains(part), "{arguments:?}: {ran:?}");
    };
    refused.iter().for_each(|(arguments, part)| check(arguments, part));
    std::fs::write(trial.join("model.safetensors"), b"damaged").unwrap();
    check(&arguments, "no safetensors file");
    assert_eq!(read(out).len(), names.len(), "what was there stays whole");
}
