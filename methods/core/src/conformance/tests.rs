//! The suite on a method whose levels are a codebook, and on methods with a fault that it must find.

use super::*;
use crate::rows::Rows;
use crate::{About, KeyDefault, KeyDoc, Levels, MethodAbout, Quantizer, Site, StepContext, straight_through};
use harness_records::config::effects::without_effect;

/// Levels `-m, -m/2, ..., m/2, m` with m the largest magnitude of the tensor, halved at each step; a number gets the level
/// of the largest power that its magnitude reaches, or of the smallest power.
struct PowersOfTwo {
    fault: Fault,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fault {
    None,
    /// It says that it can be deployed on bit-planes.
    Deployable,
    /// Its `forward` gives other values than the levels of its codes.
    Forward,
    /// The device path gives other codes.
    Path,
}

/// An option that nobody reads.
const IDLE: KeyDoc = KeyDoc {
    name: "idle",
    kind: crate::KeyKind::Choice(&["on", "off"]),
    default: KeyDefault::Text("on"),
    doc: "changes nothing",
};

static ABOUT: MethodAbout = MethodAbout {
    about: About { name: "powers-of-two", summary: "levels that are powers of two", source: "", options: &[IDLE] },
    bits: Some((2, 4)),
    weights: Support::Yes,
    activations: Support::No("this is for a test"),
    gradients: Support::No("this is for a test"),
};

impl Method for PowersOfTwo {
    fn about(&self) -> &'static MethodAbout {
        &ABOUT
    }

    fn quantizer(&self, site: &Site, options: &Options, _: &nn::Path<'_>) -> Result<Box<dyn Quantizer>, MethodError> {
        self.check(site, options)?;
        Ok(Box::new(Weight { site: site.clone(), fault: self.fault }))
    }

    fn deployable(&self, _: &Options) -> Support {
        if self.fault == Fault::Deployable { Support::Yes } else { Support::No("its levels are a codebook") }
    }
}

#[derive(Debug)]
struct Weight {
    site: Site,
    fault: Fault,
}

impl Quantizer for Weight {
    fn site(&self) -> &Site {
        &self.site
    }

    fn assign(&mut self, x: &Tensor, _: &StepContext) -> Result<Codes, MethodError> {
        let bits = self.site.bits;
        let half = bits.codes() as i32 / 2;
        let up: Vec<f32> = (0..half).map(|i| 2f32.powi(i - half + 1)).collect();
        let unit: Vec<f32> = up.iter().rev().map(|v| -v).chain(up.iter().copied()).collect();
        let values = Rows::Tensor.max_abs(x)?.f_unsqueeze(1)?.f_mul(&Tensor::f_from_slice(&unit)?.f_unsqueeze(0)?)?;
        // Codes count the levels from the second on that are reached: those below zero from above.
        let flat = x.f_reshape([-1, 1])?;
        let mut codes = flat.f_ge(0.0)?.f_to_kind(Kind::Int64)?.f_mul_scalar(i64::from(half))?;
        let next = values.f_narrow(1, i64::from(half) + 1, i64::from(half) - 1)?;
        let above = flat.f_ge_tensor(&next)?.f_sum_dim_intlist(1i64, true, Kind::Int64)?;
        let last = values.f_narrow(1, 0, i64::from(half) - 1)?;
        let below = flat.f_gt_tensor(&last)?.f_sum_dim_intlist(1i64, true, Kind::Int64)?;
        codes = codes.f_add(&above)?.f_add(&below.f_mul(&flat.f_lt(0.0)?)?)?;
        if self.fault == Fault::Path && !harness_torch::on_host(x) {
            codes = codes.f_zeros_like()?;
        }
        let codes = codes.f_to_kind(Kind::Uint8)?.f_reshape(x.size())?;
        Ok(Codes { codes, levels: Levels::Table { bits, values }, kept: None })
    }

    fn forward(&mut self, x: &Tensor, ctx: &StepContext) -> Result<Tensor, MethodError> {
        let mut levels = tch::no_grad(|| self.assign(x, ctx)?.dequantize(x))?;
        if self.fault == Fault::Forward {
            levels = levels.f_mul_scalar(1.000_001)?;
        }
        Ok(straight_through(&levels, x)?)
    }
}

fn fails(fault: Fault) -> bool {
    std::panic::catch_unwind(|| everything(&PowersOfTwo { fault })).is_err()
}

#[test]
fn a_codebook_conforms_and_says_that_bit_planes_cannot_hold_it() {
    everything(&PowersOfTwo { fault: Fault::None });
    let store = nn::VarStore::new(Device::Cpu);
    let x = Tensor::from_slice(&[-1.0f32, -0.3, 0.0, 0.6, 0.99, 1.0]).view([2, 3]);
    let method = PowersOfTwo { fault: Fault::None };
    let site = site(Role::Weight, Bits::new(2).unwrap(), &x);
    let mut quantizer = method.quantizer(&site, &Options::default(), &store.root()).unwrap();
    let codes = quantizer.quantize(&x, &TRAINING).unwrap();
    assert_eq!(bytes(&codes), [0, 1, 2, 2, 2, 3]);
    assert_eq!(codes.levels.to_table().unwrap().unwrap().row(0), [-1.0, -0.5, 0.5, 1.0]);
    assert!(matches!(codes.levels.on_bit_planes(), Support::No(reason) if reason.contains("codebook")));
}

#[test]
fn an_option_that_nobody_reads_is_found() {
    let method = PowersOfTwo { fault: Fault::None };
    let found = std::panic::catch_unwind(|| every_option_has_an_effect(&method)).unwrap_err();
    let message = found.downcast_ref::<String>().unwrap();
    assert!(message.contains("idle"), "{message}");
    let read = |options: &Options| options.text("idle").to_owned();
    assert!(without_effect(&[IDLE], read).is_empty(), "one that is read is not named");
}

#[test]
fn faults_are_found() {
    for fault in [Fault::Deployable, Fault::Forward, Fault::Path] {
        assert!(fails(fault), "{fault:?} was not found");
    }
}
