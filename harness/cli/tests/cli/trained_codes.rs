//! What a method promises about its codes holds on weights that were trained with it, not only on drawn ones.

use crate::support::Workplace;

/// Balanced Quantization with thresholds by means (Zhou et al. 2017), a width each.
const SWEEP: &str = "\
name: balance
base:
  dataset: {name: digits}
  model: {name: lenet}
  train: {epochs: 3, batch: 64, optimizer: {name: adam, lr: 2.0e-3}}
  quant: {keep_float: []}
axes:
  quant.weights:
    - {method: balanced, bits: 2, threshold: mean}
    - {method: balanced, bits: 3, threshold: mean}
    - {method: balanced, bits: 4, threshold: mean}
    - {method: uniform, bits: 3}
";

/// Up to this many weights a plain grid may fill its outer codes by chance, too.
const LARGE: f64 = 500.0;

#[test]
fn trained_weights_balanced_by_means_use_all_their_bits() {
    let workplace = Workplace::new(SWEEP);
    let (summary, code) = workplace.sweep(&[]);
    assert_eq!(code, 0, "{summary}");
    let mut seen = 0;
    for record in workplace.records("balance") {
        assert!(record["metrics"]["top1"].as_f64().unwrap() > 0.8, "it has learned something: {}", record["metrics"]);
        for layer in record["layers"].as_array().unwrap().iter().filter(|layer| layer["role"] == "weight") {
            let bits = layer["bits"].as_f64().unwrap();
            let size: f64 = layer["shape"].as_array().unwrap().iter().map(|n| n.as_f64().unwrap()).product();
            let entropy = layer["effective_bits"].as_f64().unwrap();
            let balanced = layer["method"] == "balanced";
            if balanced {
                assert!(entropy >= bits - 0.1, "{layer}");
            } else if size > LARGE {
                assert!(
                    entropy < bits - 0.3,
                    "the plain grid leaves codes unused, or this test shows nothing: {layer}"
                );
            }
            seen += 1;
        }
    }
    assert_eq!(seen, 4 * 4, "every layer of every trial was measured");
}
