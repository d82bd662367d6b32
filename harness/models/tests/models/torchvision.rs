//! The networks that torchvision has too give its logits for its weights.

use std::path::Path;

use harness_models::{Input, Plan, weights};
use tch::Tensor;

use crate::support::{EVALUATION, float, model, network};

/// Logits 0, 125, 250, ... of 1000 for weights and an image filled by the formula below: printed by `logits.py`.
const LOGITS: [(&str, i64, [f32; 8]); 4] = [
    ("resnet18", 64, [-0.114568, -0.501672, -1.517411, 0.632438, -0.768051, 2.118472, -0.203286, 0.398563]),
    ("resnet50", 64, [-1.269963, -0.824966, -0.808754, 0.315016, 1.14045, 0.389369, -1.97773, -0.070686]),
    ("alexnet", 63, [-0.419557, 0.472079, 0.049318, 0.065042, -0.245873, -0.140267, 0.269649, 0.250988]),
    ("googlenet", 64, [-0.023168, -0.588771, -0.269305, -0.47901, 0.009304, 0.380176, -0.158316, 0.0512]),
];

const AGREE: f64 = 1e-4;

/// Numbers in [-1, 1) from a mixing function of 32 bits, exact in single precision.
fn formula(name: &str, count: usize) -> impl Iterator<Item = f32> {
    let start = name.bytes().fold(2_166_136_261u32, |state, byte| (state ^ u32::from(byte)).wrapping_mul(16_777_619));
    (0..count as u32).map(move |i| {
        let mut x = i.wrapping_mul(0x9E37_79B1).wrapping_add(start);
        x = (x ^ (x >> 16)).wrapping_mul(0x85EB_CA6B);
        x = (x ^ (x >> 13)).wrapping_mul(0xC2B2_AE35);
        x ^= x >> 16;
        (x >> 8) as f32 / 8_388_608.0 - 1.0
    })
}

fn fill(name: &str, variable: &Tensor) {
    let shape = variable.size();
    let fan_in: i64 = shape[1..].iter().product();
    let (offset, scale) = if shape.len() > 1 {
        (0.0, (3.0 / fan_in as f64).sqrt() as f32)
    } else if name.ends_with("running_var") || name.ends_with("weight") {
        (1.0, 0.25)
    } else {
        (0.0, 0.25)
    };
    let values: Vec<f32> = formula(name, variable.numel()).map(|value| offset + scale * value).collect();
    tch::no_grad(|| variable.shallow_clone().copy_(&Tensor::from_slice(&values).view(shape.as_slice())));
}

fn max_difference(a: &Tensor, b: &Tensor) -> f64 {
    f64::try_from((a - b).abs().max()).unwrap()
}

#[test]
fn the_same_weights_give_torchvisions_logits() {
    for (name, side, expected) in LOGITS {
        let plan = Plan::new(&model(name, &[]), &float(), [3, side, side], 1000).unwrap();
        let (store, mut network) = network(&plan);
        store.variables().iter().for_each(|(name, variable)| fill(name, variable));
        let image: Vec<f32> = formula("image", 3 * (side * side) as usize).collect();
        let image = Tensor::from_slice(&image).view([1, 3, side, side]);
        let logits = tch::no_grad(|| network.forward(&image, &EVALUATION)).unwrap();
        let chosen = logits.get(0).slice(0, None, None, 125);
        let difference = max_difference(&chosen, &Tensor::from_slice(&expected));
        assert!(difference < AGREE, "{name}: {difference}");
    }
}

/// With `HARNESS_TORCHVISION_LOGITS` set to a folder that `logits.py` filled: random weights in torchvision's own
/// files. Says so when it has nothing to do.
#[test]
fn files_of_torchvision_give_its_logits() {
    let Some(folder) = std::env::var_os("HARNESS_TORCHVISION_LOGITS") else {
        println!("skipped: HARNESS_TORCHVISION_LOGITS names no folder written by logits.py");
        return;
    };
    for (name, ..) in LOGITS {
        let path = Path::new(&folder).join(format!("{name}.safetensors"));
        let plan = Plan::new(&model(name, &[]), &float(), Input::Image([3, 224, 224]), 1000).unwrap();
        let (store, mut network) = network(&plan);
        weights::load(&path, plan.ignored, &store).unwrap();
        let saved = Tensor::read_safetensors(path.with_extension("logits.safetensors")).unwrap();
        let find = |key: &str| &saved.iter().find(|(name, _)| name == key).unwrap().1;
        let logits = tch::no_grad(|| network.forward(find("image"), &EVALUATION)).unwrap();
        let difference = max_difference(&logits, find("logits"));
        println!("{name}: largest difference {difference:.2e} of {:.2}", f64::try_from(logits.abs().max()).unwrap());
        assert!(difference < AGREE, "{name}: {difference}");
        weights::save(&path.with_extension("again.safetensors"), &store).unwrap();
    }
}
