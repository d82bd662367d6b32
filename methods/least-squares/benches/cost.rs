//! Cost of one call forward and backward, as a ratio to ReLU on the same tensor in the same run. Ratios are of least
//! times, which other work on the machine disturbs least; the medians beside them say how much it did.
#![allow(clippy::unwrap_used, clippy::print_stdout, reason = "a benchmark reports and stops at the first failure")]

use std::collections::BTreeMap;
use std::hint::black_box;
use std::time::Instant;

use harness_method_core::{Bits, Method, OptionValue, Options, Quantizer, Role, Site, StepContext};
use harness_method_least_squares::LeastSquares;
use tch::{Device, Kind, Tensor, nn};

type Forward = Box<dyn FnMut(&Tensor) -> Tensor>;

const STEP: StepContext = StepContext { step: 0, total: 10, seed: 1, training: true };
const ROUNDS: usize = 31;

/// Name, bits, options.
type Form = (&'static str, u8, &'static [(&'static str, &'static str)]);

const FORMS: [Form; 7] = [
    ("LS-1", 1, &[]),
    ("LS-2", 2, &[]),
    ("LS-T", 2, &[("variant", "ternary")]),
    ("GF-2", 2, &[("variant", "greedy")]),
    ("GF-4", 4, &[("variant", "greedy")]),
    ("official LS-2, skip 3", 2, &[("solver", "official")]),
    ("LS-2, average always", 2, &[("average", "always")]),
];

fn seconds(x: &Tensor, g: &Tensor, forward: &mut Forward) -> f64 {
    let start = Instant::now();
    let y = forward(x);
    black_box(Tensor::run_backward(&[(&y * g).sum(Kind::Float)], &[x], false, false));
    start.elapsed().as_secs_f64()
}

fn quantizer(role: Role, bits: u8, x: &Tensor, given: &[(&str, &str)]) -> Box<dyn Quantizer> {
    let given: BTreeMap<_, _> =
        given.iter().map(|(name, value)| ((*name).to_owned(), OptionValue::Text((*value).to_owned()))).collect();
    let options = Options::resolve(LeastSquares.about().about.options, &given).unwrap();
    let shape = if role == Role::Weight { x.size() } else { x.size()[1..].to_vec() };
    let bits = Bits::new(bits).unwrap();
    let site = Site { layer: "layer".to_owned(), index: 0, role, shape, bits, device: Device::Cpu };
    LeastSquares.quantizer(&site, &options, &nn::VarStore::new(Device::Cpu).root()).unwrap()
}

fn main() {
    harness_torch::keep_freed_memory();
    let weights = [[16i64, 16, 3, 3], [64, 64, 3, 3]].map(|shape| (Role::Weight, shape));
    let activations = [[128i64, 16, 32, 32], [128, 64, 8, 8]].map(|shape| (Role::Activation, shape));
    for (role, shape) in weights.into_iter().chain(activations) {
        let x = Tensor::randn(shape, (Kind::Float, Device::Cpu)).set_requires_grad(true);
        let g = Tensor::randn(shape, (Kind::Float, Device::Cpu));
        let mut rows: Vec<(&str, Forward)> =
            vec![("nothing", Box::new(|x| x.view_as(x))), ("relu", Box::new(|x| x.relu()))];
        for (name, bits, given) in FORMS {
            let mut q = quantizer(role, bits, &x, given);
            rows.push((name, Box::new(move |x| q.forward(x, &STEP).unwrap())));
        }
        println!("{role} {shape:?}");
        let mut times = vec![Vec::new(); rows.len()];
        for _ in 0..ROUNDS {
            for ((_, forward), times) in rows.iter_mut().zip(&mut times) {
                times.push(seconds(&x, &g, forward));
            }
        }
        for times in &mut times {
            times.sort_by(f64::total_cmp);
        }
        // What the loss around the call costs.
        let nothing = times[0][0];
        let relu = times[1][0] - nothing;
        for ((name, _), times) in rows.iter().zip(times) {
            let (min, median) = (times[0], times[ROUNDS / 2]);
            println!(
                "  {:8.1} us, median {:8.1} us  {:6.2} x relu  {name}",
                (min - nothing) * 1e6,
                (median - nothing) * 1e6,
                (min - nothing) / relu
            );
        }
    }
}
