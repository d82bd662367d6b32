//! The suite that every listed method passes: [`everything_on_both_paths`] with the method's default options, called for
//! each line of the table of methods, and [`everything`] by a method's own tests for [`Variant`]s of it with other
//! options. The paths are the loops for the CPU, and tensor operations as on a GPU.
//!
//! Each check goes over every role the method has, every bit width, and inputs chosen to be awkward: zeros, constants of
//! both signs, ties, one and two elements, 1x1 filters, a single output channel.

// Called from tests only; a failed check is a panic.
#![allow(clippy::panic, clippy::unwrap_used, clippy::expect_used)]

mod cases;
mod options;
#[cfg(test)]
mod tests;
mod variant;

pub use options::every_option_has_an_effect;
pub use variant::Variant;

use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind};

use cases::{
    EVALUATION, FORWARD, TRAINING, assert_near, assert_same, bytes, cases, copy, default_options, normal, site,
    variables,
};
use harness_kernels::planes::BitPlanes;
use harness_torch::path::as_on_device;
use tch::{Device, Kind, Tensor, nn};

use crate::{Bits, Codes, Dependence, Method, MethodError, Options, Role, Support};

/// A check panics when a method fails it.
type Check = fn(&dyn Method);

/// Every check by name.
const CHECKS: &[(&str, Check)] = &[
    ("codes_fit_and_decode_exactly", codes_fit_and_decode_exactly),
    ("forward_is_the_levels", forward_is_the_levels),
    ("gradient_is_the_surrogates", gradient_is_the_surrogates),
    ("both_paths_agree", both_paths_agree),
    ("what_is_not_finite_is_refused", what_is_not_finite_is_refused),
    ("the_same_step_gives_the_same_codes", the_same_step_gives_the_same_codes),
    ("evaluation_changes_nothing", evaluation_changes_nothing),
    ("variables_carry_the_state", variables_carry_the_state),
    ("elements_stand_alone_where_promised", elements_stand_alone_where_promised),
    ("documentation_is_complete", documentation_is_complete),
    ("unsupported_roles_are_refused", unsupported_roles_are_refused),
];

/// Every check for one method on the path of the CPU, among them that the path of other devices agrees with it.
///
/// # Panics
/// When a check fails.
pub fn everything(method: &dyn Method) {
    for (name, check) in CHECKS {
        if let Err(cause) = catch_unwind(AssertUnwindSafe(|| check(method))) {
            let text = cause.downcast_ref::<String>().map(String::as_str);
            panic!("in the check {name}: {}", text.or(cause.downcast_ref::<&str>().copied()).unwrap_or_default());
        }
    }
}

/// [`everything`], and every check on the path of other devices too.
///
/// # Panics
/// When a check fails.
pub fn everything_on_both_paths(method: &dyn Method) {
    everything(method);
    as_on_device(|| everything(method));
}

/// Codes are u8 below 2^k in the input's shape, survive packing, and the host's table decodes them to the very
/// values that the device computes.
fn codes_fit_and_decode_exactly(method: &dyn Method) {
    cases(method, &Role::ALL, |mut case| {
        let codes = case.quantizer.quantize(&case.input, &EVALUATION).unwrap();
        let name = &case.name;
        assert_eq!((codes.codes.kind(), codes.codes.size()), (Kind::Uint8, case.input.size()), "{name}");
        let flat = bytes(&codes);
        let bits = codes.levels.bits();
        assert_eq!(bits, case.quantizer.site().bits, "{name}");
        if let Support::No(reason) = codes.levels.on_bit_planes() {
            let told = method.deployable(&default_options(method));
            assert!(!told.is_yes(), "{name}: the method must not say that it is deployable: {reason}");
        }
        let packed = BitPlanes::pack(bits, 1, flat.len(), &flat).unwrap_or_else(|e| panic!("{name}: {e}"));
        assert_eq!(packed.unpack(), flat, "{name}");
        let table = codes.levels.to_table().unwrap().unwrap_or_else(|| panic!("{name}: levels are not finite"));
        let rows = case.input.size()[0] as usize;
        assert!(table.groups() == 1 || table.groups() == rows, "{name}: {} groups", table.groups());
        let decoded: Vec<f32> = flat
            .iter()
            .enumerate()
            .map(|(i, &code)| table.level(if table.groups() == 1 { 0 } else { i / (flat.len() / rows) }, code))
            .collect();
        let expected = Tensor::from_slice(&decoded).view_as(&case.input);
        let expected =
            codes.kept.as_ref().map_or_else(|| expected.shallow_clone(), |kept| case.input.where_self(kept, &expected));
        assert_same(&codes.dequantize(&case.input).unwrap(), &expected, name);
    });
}

/// Fake quantization gives the levels of the codes, to the bit; for gradients, the backward pass does.
fn forward_is_the_levels(method: &dyn Method) {
    for ctx in [TRAINING, EVALUATION] {
        cases(method, &FORWARD, |mut case| {
            // In training the running statistics move with every call, so each of the two gets its own copy.
            let (mut twin, _store) = copy(method, &case);
            let values = case.quantizer.forward(&case.input, &ctx).unwrap();
            let codes = twin.quantize(&case.input, &ctx).unwrap();
            assert_same(&values, &codes.dequantize(&case.input).unwrap(), &case.name);
        });
        cases(method, &[Role::Gradient], |mut case| {
            let x = case.input.ones_like().set_requires_grad(true);
            let y = case.quantizer.forward(&x, &ctx).unwrap();
            assert_same(&y, &x, &format!("{}: the value must pass unchanged", case.name));
            (y * &case.input).sum(Kind::Float).backward();
            let codes = case.quantizer.quantize(&case.input, &ctx).unwrap();
            assert_same(&x.grad(), &codes.dequantize(&case.input).unwrap(), &case.name);
        });
    }
}

/// The gradient of [`Quantizer::forward`] is that of [`Quantizer::surrogate`], and finite.
fn gradient_is_the_surrogates(method: &dyn Method) {
    cases(method, &FORWARD, |mut case| {
        let upstream = normal(&case.input.size(), 77);
        let gradient = |y: Tensor, x: &Tensor| {
            (y * &upstream).sum(Kind::Float).backward();
            x.grad()
        };
        let (mut twin, _store) = copy(method, &case);
        let x = case.input.copy().set_requires_grad(true);
        let found = gradient(case.quantizer.forward(&x, &EVALUATION).unwrap(), &x);
        let z = case.input.copy().set_requires_grad(true);
        let _ = twin.forward(&z, &EVALUATION).unwrap();
        let expected = gradient(twin.surrogate(&z).unwrap(), &z);
        assert_eq!(i64::try_from(found.isfinite().sum(Kind::Int64)).unwrap(), found.numel() as i64, "{}", case.name);
        let scale = f64::try_from(expected.abs().max()).unwrap().max(1e-30);
        let error = f64::try_from((&found - &expected).abs().max()).unwrap();
        assert!(error <= 1e-6 * scale, "{}: gradients differ by {error:e} of {scale:e}", case.name);
    });
}

/// The path of the CPU and that of other devices give the same codes, levels, values and gradients, to the bit but for
/// the sign of zero. Gradients, those of learned parameters included, may differ by [`Method::gradient_tolerance`].
fn both_paths_agree(method: &dyn Method) {
    for ctx in [TRAINING, EVALUATION] {
        cases(method, &Role::ALL, |case| {
            let upstream = normal(&case.input.size(), 77);
            let run = || {
                let (mut quantizer, store) = copy(method, &case);
                let codes = quantizer.quantize(&case.input, &ctx).unwrap();
                drop(store);
                let (mut quantizer, store) = copy(method, &case);
                let x = case.input.copy().set_requires_grad(true);
                let y = quantizer.forward(&x, &ctx).unwrap();
                (&y * &upstream).sum(Kind::Float).backward();
                let learned = store.variables().into_iter().filter(|(_, variable)| variable.grad().defined());
                let learned: BTreeMap<String, Tensor> = learned.map(|(name, v)| (name, v.grad())).collect();
                (codes, y, x.grad(), learned, variables(&store))
            };
            let name = &case.name;
            let (host, device) = (run(), as_on_device(run));
            assert_eq!(bytes(&host.0), bytes(&device.0), "{name}: codes");
            let values = |codes: &Codes| codes.dequantize(&case.input).unwrap();
            assert_same(&values(&host.0), &values(&device.0), &format!("{name}: levels"));
            assert_same(&host.1, &device.1, &format!("{name}: values"));
            assert_eq!(host.4, device.4, "{name}: variables");
            assert_eq!(host.3.keys().collect::<Vec<_>>(), device.3.keys().collect::<Vec<_>>(), "{name}");
            for (a, b) in host.3.values().zip(device.3.values()).chain([(&host.2, &device.2)]) {
                assert_near(a, b, method.gradient_tolerance(), &format!("{name}: gradients on both paths"));
            }
        });
    }
}

/// NaN and infinities are refused with a count; fake quantization lets a NaN through instead of hiding it.
fn what_is_not_finite_is_refused(method: &dyn Method) {
    cases(method, &Role::ALL, |mut case| {
        for bad in [f64::NAN, f64::INFINITY, f64::NEG_INFINITY] {
            let input = case.input.copy();
            let _ = input.view([-1]).get(0).fill_(bad);
            match case.quantizer.quantize(&input, &EVALUATION) {
                Err(MethodError::NotFinite { count: 1, .. }) => {}
                other => panic!("{}: {bad} gave {other:?}", case.name),
            }
        }
        if case.quantizer.site().role != Role::Gradient {
            let input = case.input.copy();
            let _ = input.view([-1]).get(0).fill_(f64::NAN);
            let first = case.quantizer.forward(&input, &EVALUATION).unwrap().view([-1]).double_value(&[0]);
            assert!(first.is_nan(), "{}: a NaN became {first}", case.name);
        }
    });
}

/// Codes are a function of input, state and [`StepContext`]; a different seed may give others, the same never does.
fn the_same_step_gives_the_same_codes(method: &dyn Method) {
    cases(method, &Role::ALL, |case| {
        let (mut one, _a) = copy(method, &case);
        let (mut two, _b) = copy(method, &case);
        let first = one.quantize(&case.input, &TRAINING).unwrap();
        let second = two.quantize(&case.input, &TRAINING).unwrap();
        assert_eq!(bytes(&first), bytes(&second), "{}", case.name);
        assert_same(&first.dequantize(&case.input).unwrap(), &second.dequantize(&case.input).unwrap(), &case.name);
    });
}

/// Evaluation twice is evaluation once, and leaves every variable as it was.
fn evaluation_changes_nothing(method: &dyn Method) {
    cases(method, &Role::ALL, |mut case| {
        let before = variables(&case.store);
        let first = bytes(&case.quantizer.quantize(&case.input, &EVALUATION).unwrap());
        let _ = case.quantizer.forward(&(&case.input * 3.0), &EVALUATION).unwrap();
        let second = bytes(&case.quantizer.quantize(&case.input, &EVALUATION).unwrap());
        assert_eq!(first, second, "{}", case.name);
        assert_eq!(before, variables(&case.store), "{}", case.name);
    });
}

/// A second quantizer given the variables of the first goes on exactly like it: nothing is kept anywhere else.
fn variables_carry_the_state(method: &dyn Method) {
    cases(method, &Role::ALL, |mut case| {
        let (mut twin, _store) = copy(method, &case);
        let other = &case.input * 0.5;
        for ctx in [EVALUATION, TRAINING, EVALUATION] {
            let expected = case.quantizer.quantize(&other, &ctx).unwrap();
            let found = twin.quantize(&other, &ctx).unwrap();
            assert_eq!(bytes(&expected), bytes(&found), "{}", case.name);
        }
    });
}

/// Where a code depends on its element alone, it does: the code in a batch is the code of the element by itself,
/// and codes never decrease from lesser to greater values, so that thresholds can stand for them.
fn elements_stand_alone_where_promised(method: &dyn Method) {
    cases(method, &[Role::Activation], |mut case| {
        if case.quantizer.dependence() != Dependence::Element {
            return;
        }
        let whole = bytes(&case.quantizer.quantize(&case.input, &EVALUATION).unwrap());
        let flat = case.input.view([-1]);
        for i in (0..flat.size()[0]).step_by(7) {
            let single = flat.narrow(0, i, 1).view([1, 1]);
            assert_eq!(
                bytes(&case.quantizer.quantize(&single, &EVALUATION).unwrap()),
                [whole[i as usize]],
                "{}",
                case.name
            );
        }
        let codes = case.quantizer.quantize(&case.input, &EVALUATION).unwrap();
        let levels = codes.levels.to_table().unwrap().unwrap().row(0);
        let (_, order) = flat.sort(0, false);
        let order = Vec::<i64>::try_from(order).unwrap();
        let sorted: Vec<f32> = order.iter().map(|&i| levels[usize::from(whole[i as usize])]).collect();
        assert!(sorted.is_sorted(), "{}: levels decrease", case.name);
    });
}

/// Name, paper, reasons and options are written down, and every default is one of its option's own values.
fn documentation_is_complete(method: &dyn Method) {
    let about = method.about();
    assert!(!about.about.name.is_empty() && !about.about.summary.is_empty());
    assert!(about.bits.is_none_or(|(min, max)| 1 <= min && min <= max && max <= 8));
    for option in about.about.options {
        assert!(!option.doc.is_empty(), "{}", option.name);
        if let Some(default) = option.default.value() {
            let given = BTreeMap::from([(option.name.to_owned(), default)]);
            Options::resolve(about.about.options, &given).unwrap();
        }
    }
}

/// A role that the method does not have is refused by `check` and by `quantizer`, with a reason.
fn unsupported_roles_are_refused(method: &dyn Method) {
    let (min, _) = method.about().bits.unwrap_or((1, 1));
    let store = nn::VarStore::new(Device::Cpu);
    for role in Role::ALL {
        let site = site(role, Bits::new(min).unwrap(), &normal(&[2, 3], 1));
        let supported = method.about().support(role).is_yes();
        assert_eq!(method.check(&site, &default_options(method)).is_ok(), supported, "{role}");
        let built = method.quantizer(&site, &default_options(method), &(store.root() / role.to_string()));
        if !supported {
            assert!(matches!(built, Err(MethodError::Unsupported { .. })), "{role}");
        }
    }
}
