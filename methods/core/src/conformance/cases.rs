//! Quantizers and inputs that the checks go over, and comparisons to the bit.

use std::collections::BTreeMap;

use harness_torch::random;
use tch::{Device, Kind, Tensor, nn};

use crate::{Bits, Codes, Method, Options, Quantizer, Role, Site, StepContext};

pub(super) const TRAINING: StepContext = StepContext { step: 3, total: 10, seed: 42, training: true };
pub(super) const EVALUATION: StepContext = StepContext { step: 10, total: 10, seed: 42, training: false };

/// A quantizer with everything it hangs on.
pub(super) struct Case {
    pub(super) name: String,
    pub(super) store: nn::VarStore,
    pub(super) quantizer: Box<dyn Quantizer>,
    pub(super) input: Tensor,
}

pub(super) fn default_options(method: &dyn Method) -> Options {
    Options::defaults(method.about().about.options)
}

pub(super) fn normal(shape: &[i64], seed: u64) -> Tensor {
    // Box and Muller on keyed uniform numbers, so that no test touches the default generator.
    let (u, v) =
        (random::uniform(shape, seed, Device::Cpu).unwrap(), random::uniform(shape, seed + 1, Device::Cpu).unwrap());
    ((u + 1e-7).log() * -2.0).sqrt() * (v * std::f64::consts::TAU).cos()
}

/// Awkward inputs by name.
pub(super) fn inputs(role: Role) -> Vec<(&'static str, Tensor)> {
    let filled = |shape: &[i64], value: f64| Tensor::full(shape, value, (Kind::Float, Device::Cpu));
    let mut inputs = vec![
        ("normal", normal(&[6, 4, 3, 3], 1) * 0.7),
        ("matrix", normal(&[5, 33], 2)),
        ("large", normal(&[4, 3, 2, 2], 3) * 1e4),
        ("tiny", normal(&[4, 3, 2, 2], 4) * 1e-20),
        ("zeros", filled(&[3, 2, 1, 1], 0.0)),
        ("constant", filled(&[3, 4], 0.3)),
        ("negative constant", filled(&[3, 4], -0.3)),
        ("ties", (normal(&[4, 16], 5) * 2.0).round() * 0.25),
        ("one element", filled(&[1, 1], 0.4)),
        ("two elements", Tensor::from_slice(&[0.9f32, -0.2]).view([2, 1])),
        ("1x1 filters", normal(&[8, 1, 1, 1], 6)),
        ("one channel", normal(&[1, 7, 3, 3], 7)),
        ("a row of zeros", Tensor::cat(&[normal(&[1, 9], 8), filled(&[1, 9], 0.0)], 0)),
    ];
    if role != Role::Weight {
        inputs.push(("unit range", random::uniform(&[4, 3, 5, 5], 9, Device::Cpu).unwrap() * 1.2 - 0.1));
    }
    inputs
}

pub(super) fn site(role: Role, bits: Bits, input: &Tensor) -> Site {
    let shape = if role == Role::Weight { input.size() } else { input.size()[1..].to_vec() };
    Site { layer: "layer".to_owned(), index: 1, role, shape, bits, device: Device::Cpu }
}

/// Every role x bit width x input, each with a fresh quantizer that has seen one training step. A width that the
/// options exclude is passed over.
pub(super) fn cases(method: &dyn Method, roles: &[Role], mut check: impl FnMut(Case)) {
    let about = method.about();
    let Some((min, max)) = about.bits else { return };
    let mut checked = 0;
    for &role in roles.iter().filter(|&&role| about.support(role).is_yes()) {
        for bits in (min..=max).filter_map(Bits::new) {
            for (name, input) in inputs(role) {
                let store = nn::VarStore::new(Device::Cpu);
                let site = site(role, bits, &input);
                if method.check(&site, &default_options(method)).is_err() {
                    continue;
                }
                let mut quantizer = method.quantizer(&site, &default_options(method), &store.root()).unwrap();
                let _ = quantizer.forward(&input, &TRAINING).unwrap();
                check(Case { name: format!("{role} {bits} bits, {name}"), store, quantizer, input });
                checked += 1;
            }
        }
    }
    assert!(checked > 0 || roles.iter().all(|&role| !about.support(role).is_yes()), "nothing was checked");
}

pub(super) const FORWARD: [Role; 2] = [Role::Weight, Role::Activation];

/// Bit patterns, so that a difference of one ulp or of the sign of a NaN shows.
pub(super) fn patterns(x: &Tensor) -> Vec<u32> {
    Vec::<f32>::try_from(&x.detach().reshape([-1])).unwrap().into_iter().map(f32::to_bits).collect()
}

/// Equal as numbers, to the bit but for the sign of zero.
pub(super) fn assert_same(a: &Tensor, b: &Tensor, what: &str) {
    let zero = |x: &Tensor| x.detach() + 0.0;
    assert_eq!(a.size(), b.size(), "{what}: shapes");
    assert_eq!(patterns(&zero(a)), patterns(&zero(b)), "{what}");
}

pub(super) fn bytes(codes: &Codes) -> Vec<u8> {
    Vec::try_from(&codes.codes.reshape([-1])).unwrap()
}

/// Equal to the bit where `tolerance` is 0, otherwise within that fraction of the largest magnitude.
pub(super) fn assert_near(a: &Tensor, b: &Tensor, tolerance: f64, what: &str) {
    if tolerance == 0.0 {
        return assert_same(a, b, what);
    }
    let scale = f64::try_from(a.abs().max()).unwrap().max(1e-30);
    let error = f64::try_from((a - b).abs().max()).unwrap();
    assert!(error <= tolerance * scale, "{what} differ by {error:e} of {scale:e}");
}

/// A fresh quantizer of the same site with copies of all variables.
pub(super) fn copy(method: &dyn Method, case: &Case) -> (Box<dyn Quantizer>, nn::VarStore) {
    let mut store = nn::VarStore::new(Device::Cpu);
    let quantizer = method.quantizer(case.quantizer.site(), &default_options(method), &store.root()).unwrap();
    store.copy(&case.store).unwrap();
    (quantizer, store)
}

pub(super) fn variables(store: &nn::VarStore) -> BTreeMap<String, Vec<u32>> {
    store.variables().iter().map(|(name, value)| (name.clone(), patterns(&value.to_kind(Kind::Float)))).collect()
}
