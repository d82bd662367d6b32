//! Cost of one call forward and backward, as a ratio to the base quantizer (fraction 1) and to ReLU on the same tensor
//! in the same run: medians, and the quartiles that say how steady they are.
#![allow(clippy::unwrap_used, clippy::print_stdout, reason = "a benchmark reports and stops at the first failure")]

use std::collections::BTreeMap;
use std::hint::black_box;
use std::time::Instant;

use harness_method_core::{Bits, Method, OptionValue, Options, Role, Site, StepContext};
use harness_method_stochastic::Stochastic;
use tch::{Device, Kind, Tensor, nn};

type Forward = Box<dyn FnMut(&Tensor) -> Tensor>;

const STEP: StepContext = StepContext { step: 0, total: 10, seed: 1, training: true };
const ROUNDS: usize = 101;

fn seconds(x: &Tensor, forward: &mut Forward) -> f64 {
    let start = Instant::now();
    let loss = forward(x).sum(Kind::Float);
    black_box(Tensor::run_backward(&[loss], &[x], false, false));
    start.elapsed().as_secs_f64()
}

fn quantizer(x: &Tensor, base: &str, granularity: &str, fraction: f64) -> Forward {
    let text = |v: &str| OptionValue::Text(v.to_owned());
    let given = [("base", text(base)), ("granularity", text(granularity)), ("portion", OptionValue::Float(fraction))];
    let given: BTreeMap<_, _> = given.into_iter().map(|(name, value)| (name.to_owned(), value)).collect();
    let options = Options::resolve(Stochastic.about().about.options, &given).unwrap();
    let bits = Bits::new(if base == "twn" { 2 } else { 1 }).unwrap();
    let layer = "layer".to_owned();
    let site = Site { layer, index: 0, role: Role::Weight, shape: x.size(), bits, device: Device::Cpu };
    let mut quantizer = Stochastic.quantizer(&site, &options, &nn::VarStore::new(Device::Cpu).root()).unwrap();
    Box::new(move |x| quantizer.forward(x, &STEP).unwrap())
}

fn main() {
    for shape in [[16i64, 16, 3, 3], [64, 64, 3, 3], [512, 512, 3, 3]] {
        let x = Tensor::randn(shape, (Kind::Float, Device::Cpu)).set_requires_grad(true);
        let mut rows: Vec<(String, Forward)> = vec![("relu".to_owned(), Box::new(Tensor::relu))];
        for base in ["bwn", "twn"] {
            rows.push((format!("{base}, all"), quantizer(&x, base, "filter", 1.0)));
            rows.push((format!("{base}, half of the filters"), quantizer(&x, base, "filter", 0.5)));
            rows.push((format!("{base}, half of the elements"), quantizer(&x, base, "element", 0.5)));
        }
        let mut times = vec![Vec::new(); rows.len()];
        for _ in 0..ROUNDS {
            for ((_, forward), times) in rows.iter_mut().zip(&mut times) {
                times.push(seconds(&x, forward));
            }
        }
        println!("weight {shape:?}");
        let (mut relu, mut base) = (f64::NAN, f64::NAN);
        for ((name, _), mut times) in rows.iter().zip(times) {
            times.sort_by(f64::total_cmp);
            let [low, middle, high] = [1, 2, 3].map(|quarter| times[ROUNDS * quarter / 4]);
            if relu.is_nan() {
                relu = middle;
            }
            // What follows is measured by the last of these.
            if base.is_nan() || name.ends_with("all") {
                base = middle;
            }
            println!(
                "  {:7.1} us [{:.1}, {:.1}]  {:5.2} x base {:6.2} x relu  {name}",
                middle * 1e6,
                low * 1e6,
                high * 1e6,
                middle / base,
                middle / relu
            );
        }
    }
}
