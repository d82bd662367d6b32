//! Cost of one call forward and backward, as a ratio to ReLU on the same tensor in the same run: medians, and the
//! quartiles that say how steady they are. `uniform` stands beside it because it is what balanced is compared with.
#![allow(clippy::unwrap_used, clippy::print_stdout, reason = "a benchmark reports and stops at the first failure")]

use std::collections::BTreeMap;
use std::hint::black_box;
use std::time::Instant;

use harness_method_balanced::Balanced;
use harness_method_baseline::Uniform;
use harness_method_core::{Bits, Method, OptionValue, Options, Quantizer, Role, Site, StepContext};
use tch::{Device, Kind, Tensor, nn};

type Forward = Box<dyn FnMut(&Tensor) -> Tensor>;

const STEP: StepContext = StepContext { step: 0, total: 10, seed: 1, training: true };
const ROUNDS: usize = 31;

fn seconds(x: &Tensor, mut forward: impl FnMut(&Tensor) -> Tensor) -> f64 {
    let start = Instant::now();
    let loss = forward(x).sum(Kind::Float);
    black_box(Tensor::run_backward(&[loss], &[x], false, false));
    start.elapsed().as_secs_f64()
}

fn quantizer(method: &dyn Method, role: Role, bits: u8, x: &Tensor, given: &[(&str, &str)]) -> Box<dyn Quantizer> {
    let given: BTreeMap<_, _> =
        given.iter().map(|(name, value)| ((*name).to_owned(), OptionValue::Text((*value).to_owned()))).collect();
    let options = Options::resolve(method.about().about.options, &given).unwrap();
    let shape = if role == Role::Weight { x.size() } else { x.size()[1..].to_vec() };
    let bits = Bits::new(bits).unwrap();
    let site = Site { layer: "layer".to_owned(), index: 0, role, shape, bits, device: Device::Cpu };
    method.quantizer(&site, &options, &nn::VarStore::new(Device::Cpu).root()).unwrap()
}

fn main() {
    let weights = [[16i64, 16, 3, 3], [64, 64, 3, 3], [512, 512, 3, 3]].map(|shape| (Role::Weight, shape));
    for (role, shape) in weights.into_iter().chain([(Role::Activation, [128, 16, 32, 32])]) {
        let x = Tensor::randn(shape, (Kind::Float, Device::Cpu)).set_requires_grad(true);
        let mut rows: Vec<(String, Forward)> = vec![("relu".to_owned(), Box::new(|x: &Tensor| x.relu()))];
        for bits in [2, 4, 8] {
            let variants: &[&[(&str, &str)]] = match role {
                Role::Weight => {
                    &[&[("threshold", "mean")], &[("threshold", "mean"), ("scale", "mean")], &[("threshold", "median")]]
                }
                _ => &[&[]],
            };
            let mut q = quantizer(&Uniform, role, bits, &x, &[]);
            rows.push((format!("uniform, {bits} bits"), Box::new(move |x| q.forward(x, &STEP).unwrap())));
            for given in variants {
                let mut q = quantizer(&Balanced, role, bits, &x, given);
                rows.push((
                    format!("balanced {given:?}, {bits} bits"),
                    Box::new(move |x| q.forward(x, &STEP).unwrap()),
                ));
            }
        }
        println!("{role} {shape:?}");
        let mut times = vec![Vec::new(); rows.len()];
        for _ in 0..ROUNDS {
            for ((_, forward), times) in rows.iter_mut().zip(&mut times) {
                times.push(seconds(&x, forward));
            }
        }
        let mut base = f64::NAN;
        for ((name, _), mut times) in rows.iter().zip(times) {
            times.sort_by(f64::total_cmp);
            let [low, middle, high] = [1, 2, 3].map(|quarter| times[ROUNDS * quarter / 4]);
            if base.is_nan() {
                base = middle;
            }
            println!(
                "  {:7.1} us [{:.1}, {:.1}]  {:6.2} x relu  {name}",
                middle * 1e6,
                low * 1e6,
                high * 1e6,
                middle / base
            );
        }
    }
}
