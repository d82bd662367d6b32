//! `harness eval`: what was recorded comes out again, also with batch normalization in integers.

use crate::support::Workplace;
use serde_json::Value;

const CELLS: &str = "\
name: cells
base:
  dataset: {name: digits}
  model: {name: vgg9, width: 4}
  train: {epochs: 2, batch: 64, optimizer: {name: sgd, lr: 0.1}}
axes:
  cell:
    - {quant.weights: {method: dorefa, bits: 2}, quant.activations: {method: dorefa, bits: 2}}
    - {quant.weights: {method: uniform, bits: 4, range: affine, per: channel}, quant.activations: {method: uniform, bits: 8}}
    - {quant.weights: {method: balanced, bits: 3}, quant.activations: {method: balanced, bits: 4}}
    - {quant.weights: {method: dorefa, bits: 2}}
";

fn eval(workplace: &Workplace, run: &str, arguments: &[&str]) -> (Value, i32) {
    let ran = workplace.run(&[&["eval", run, "--json"], arguments].concat());
    (serde_json::from_str(&ran.stdout).unwrap_or_else(|e| panic!("{e}: {ran:?}")), ran.code)
}

#[test]
fn integer_batch_normalization_changes_no_code() {
    let workplace = Workplace::new(CELLS);
    assert_eq!(workplace.sweep(&[]).1, 0);
    let mut replaced = Vec::new();
    for trial in workplace.trials("cells") {
        let run = trial.to_str().unwrap();
        let (plain, code) = eval(&workplace, run, &[]);
        assert_eq!((code, &plain["reproduced"], &plain["integer"]), (0, &true.into(), &Value::Null));
        let (result, code) = eval(&workplace, run, &["--batch-norm", "bn-optimal"]);
        let norms = result["integer"]["norms"].as_array().unwrap();
        let alternatives = result["alternatives"].as_array().unwrap();
        assert_eq!(alternatives.len(), norms.len());
        for (layer, norm) in alternatives.iter().zip(norms) {
            assert_eq!((&layer["layer"], &layer["exact"]), (&norm["layer"], &0.0.into()));
            assert_eq!(layer["largest_shift"], norm["shift"], "{layer}");
            let [low, _, high] = [0, 1, 2].map(|i| layer["rounded"][i].as_f64().unwrap());
            assert!(high <= low && low <= 1.0, "{layer}");
        }
        assert_eq!(code, 0, "{result}");
        for norm in norms {
            assert_eq!(norm["different"], 0, "{norm}");
            assert!(norm["compared"].as_u64().unwrap() > 1000, "{norm}");
        }
        replaced.push(norms.len());
        // Far too coarse a rounding is noticed.
        let (coarse, code) =
            eval(&workplace, run, &["--batch-norm", "bn-optimal", "--set", "mode=round", "--set", "shift=2"]);
        let different: u64 =
            coarse["integer"]["norms"].as_array().unwrap().iter().map(|n| n["different"].as_u64().unwrap()).sum();
        assert_eq!((different > 0, code), (!norms.is_empty(), i32::from(!norms.is_empty())));
    }
    replaced.sort_unstable();
    // Eight batch normalizations: the first follows the full-precision convolution, the last feeds the classifier.
    assert_eq!(replaced, [0, 6, 6, 6]);
}

#[test]
fn one_shift_for_the_network_is_the_largest_of_its_layers() {
    let workplace = Workplace::new(CELLS);
    assert_eq!(workplace.sweep(&["--filter", "quant.weights.bits=4"]).1, 0);
    let trial = &workplace.trials("cells")[0];
    let norms = |sets: &[&str]| {
        let bn_optimal = ["--batch-norm", "bn-optimal"];
        let (result, code) = eval(&workplace, trial.to_str().unwrap(), &[&bn_optimal[..], sets].concat());
        assert_eq!(code, 0, "{result}");
        result["integer"]["norms"].as_array().unwrap().clone()
    };
    let shifts = |norms: &[Value]| norms.iter().map(|norm| norm["shift"].as_u64().unwrap()).collect::<Vec<_>>();
    let by_default = norms(&[]);
    assert_eq!(by_default, norms(&["--set", "share=layer"]));
    let alone = shifts(&by_default);
    let max = *alone.iter().max().unwrap();
    assert!(alone.iter().any(|&shift| shift < max), "the layers must differ in their needs: {alone:?}");
    let network = norms(&["--set", "share=network"]);
    assert_eq!(shifts(&network), vec![max; alone.len()]);
    assert!(network.iter().all(|norm| norm["different"] == 0), "{network:?}");
    // A given shift is the shift of all layers, shared or not.
    let given = format!("shift={}", max + 1);
    assert_eq!(shifts(&norms(&["--set", &given])), vec![max + 1; alone.len()]);
}

#[test]
fn what_cannot_be_evaluated_is_refused() {
    let workplace = Workplace::new(CELLS);
    workplace.sweep(&["--filter", "quant.weights.bits=3"]);
    let run = workplace.trials("cells")[0].to_str().unwrap().to_owned();
    let rows: &[(&[&str], &str)] = &[
        (&["eval", "nowhere"], "is no trial"),
        (&["eval", "runs/cells"], "has not ended"),
        (&["eval", &run, "--batch-norm", "bn-optimum"], "bn-optimal"),
        (&["eval", &run, "--batch-norm", "bn-optimal", "--set", "mode=exactly"], "exact"),
        (&["eval", &run, "--batch-norm", "dorefa"], "no integer batch normalization"),
        (&["eval", &run, "--set", "mode=exact"], "--batch-norm"),
    ];
    for (arguments, part) in rows {
        let ran = workplace.run(arguments);
        assert_eq!(ran.code, 2, "{arguments:?}: {ran:?}");
        assert!(ran.stderr.contains(part), "{arguments:?}: {ran:?}");
    }
}
