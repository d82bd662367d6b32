//! The suite that every method passes: `conformance!(METHOD);` in its tests, with its *default* options, and
//! [`everything`] for [`Variant`]s of it with others.
//!
//! Each check goes over every role the method has, every bit width, and inputs chosen to be awkward: zeros,
//! constants of both signs, ties, one and two elements, 1x1 filters, a single output channel.

// Called from tests only; a failed check is a panic.
#![allow(clippy::panic, clippy::unwrap_used, clippy::expect_used)]

use std::collections::BTreeMap;

use harness_kernels::planes::BitPlanes;
use harness_torch::random;
use tch::{Device, Kind, Tensor, nn};

use crate::{
    About, Bits, Codes, Dependence, Method, MethodAbout, MethodError, Nonlinearity, OptionDefault, OptionDoc,
    OptionValue, Options, Quantizer, Role, Site, StepContext, Support,
};

/// Makes one test out of every check for `$method`, a value that is [`Method`].
#[macro_export]
macro_rules! conformance {
    ($method:expr) => {
        $crate::conformance!(@ $method =>
            codes_fit_and_decode_exactly
            forward_is_the_levels
            gradient_is_the_surrogates
            what_is_not_finite_is_refused
            the_same_step_gives_the_same_codes
            evaluation_changes_nothing
            variables_carry_the_state
            elements_stand_alone_where_promised
            documentation_is_complete
            unsupported_roles_are_refused
        );
    };
    (@ $method:expr => $($check:ident)*) => {
        $(
            #[test]
            fn $check() {
                $crate::conformance::$check(&$method);
            }
        )*
    };
}

/// Every check for one method.
pub fn everything(method: &dyn Method) {
    let checks: [fn(&dyn Method); 10] = [
        codes_fit_and_decode_exactly,
        forward_is_the_levels,
        gradient_is_the_surrogates,
        what_is_not_finite_is_refused,
        the_same_step_gives_the_same_codes,
        evaluation_changes_nothing,
        variables_carry_the_state,
        elements_stand_alone_where_promised,
        documentation_is_complete,
        unsupported_roles_are_refused,
    ];
    for check in checks {
        check(method);
    }
}

/// A method with other defaults, so that the suite runs with other options than the method's own.
#[derive(Debug)]
pub struct Variant<'a, M> {
    method: &'a M,
    about: &'static MethodAbout,
}

impl<'a, M: Method> Variant<'a, M> {
    /// `method` with the defaults of `given` replaced, each of which it must document. `bits` narrows its widths.
    /// Leaks a little, as suits a test.
    pub fn new(method: &'a M, bits: Option<(u8, u8)>, given: &[(&str, OptionValue)]) -> Variant<'a, M> {
        let about = method.about();
        let given = given.iter().map(|(name, value)| ((*name).to_owned(), value.clone())).collect();
        let options = Options::resolve(about.about.options, &given).unwrap();
        let options: Vec<OptionDoc> = about
            .about
            .options
            .iter()
            .map(|doc| {
                let value = options.iter().find(|(name, _)| *name == doc.name).map(|(_, value)| value.clone());
                OptionDoc { default: value.map_or(OptionDefault::Absent, default), ..*doc }
            })
            .collect();
        let about = MethodAbout {
            about: About { options: options.leak(), ..about.about },
            bits: bits.or(about.bits),
            ..*about
        };
        Variant { method, about: Box::leak(Box::new(about)) }
    }
}

fn default(value: OptionValue) -> OptionDefault {
    match value {
        OptionValue::Bool(v) => OptionDefault::Bool(v),
        OptionValue::Int(v) => OptionDefault::Int(v),
        OptionValue::Float(v) => OptionDefault::Float(v),
        OptionValue::Text(v) => OptionDefault::Text(v.leak()),
    }
}

impl<M: Method> Method for Variant<'_, M> {
    fn about(&self) -> &'static MethodAbout {
        self.about
    }

    fn check(&self, site: &Site, options: &Options) -> Result<(), MethodError> {
        self.method.check(site, options)
    }

    fn quantizer(
        &self,
        site: &Site,
        options: &Options,
        vars: &nn::Path<'_>,
    ) -> Result<Box<dyn Quantizer>, MethodError> {
        self.method.quantizer(site, options, vars)
    }

    fn deployable(&self, options: &Options) -> Support {
        self.method.deployable(options)
    }

    fn nonlinearity(&self) -> Nonlinearity {
        self.method.nonlinearity()
    }
}

/// A method with some of its options given, so that the suite can be run on more than the defaults:
/// `conformance!(With::options(&METHOD, &[("noise", OptionValue::Bool(false))]))`.
#[derive(Clone)]
pub struct With {
    method: &'static dyn Method,
    options: Options,
}

impl With {
    /// # Panics
    /// When an option is unknown or its value is refused.
    #[must_use]
    pub fn options(method: &'static dyn Method, given: &[(&str, OptionValue)]) -> With {
        let given = given.iter().map(|(name, value)| ((*name).to_owned(), value.clone())).collect();
        With { method, options: Options::resolve(method.about().about.options, &given).unwrap() }
    }
}

impl Method for With {
    fn about(&self) -> &'static MethodAbout {
        self.method.about()
    }

    fn check(&self, site: &Site, _: &Options) -> Result<(), MethodError> {
        self.method.check(site, &self.options)
    }

    fn quantizer(&self, site: &Site, _: &Options, vars: &nn::Path<'_>) -> Result<Box<dyn Quantizer>, MethodError> {
        self.method.quantizer(site, &self.options, vars)
    }
}

const TRAINING: StepContext = StepContext { step: 3, total: 10, seed: 42, training: true };
const EVALUATION: StepContext = StepContext { step: 10, total: 10, seed: 42, training: false };

/// A quantizer with everything it hangs on.
struct Case {
    name: String,
    store: nn::VarStore,
    quantizer: Box<dyn Quantizer>,
    input: Tensor,
}

fn options(method: &dyn Method) -> Options {
    Options::defaults(method.about().about.options)
}

fn normal(shape: &[i64], seed: u64) -> Tensor {
    // Box and Muller on keyed uniform numbers, so that no test touches the default generator.
    let (u, v) =
        (random::uniform(shape, seed, Device::Cpu).unwrap(), random::uniform(shape, seed + 1, Device::Cpu).unwrap());
    ((u + 1e-7).log() * -2.0).sqrt() * (v * std::f64::consts::TAU).cos()
}

/// Awkward inputs by name.
fn inputs(role: Role) -> Vec<(&'static str, Tensor)> {
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

fn site(role: Role, bits: Bits, input: &Tensor) -> Site {
    let shape = if role == Role::Weight { input.size() } else { input.size()[1..].to_vec() };
    Site { layer: "layer".to_owned(), index: 1, role, shape, bits, device: Device::Cpu }
}

/// Every role x bit width x input, each with a fresh quantizer that has seen one training step. A width that the
/// options exclude is passed over.
fn cases(method: &dyn Method, roles: &[Role], mut check: impl FnMut(Case)) {
    let about = method.about();
    let Some((min, max)) = about.bits else { return };
    let mut checked = 0;
    for &role in roles.iter().filter(|&&role| about.support(role).is_yes()) {
        for bits in (min..=max).filter_map(Bits::new) {
            for (name, input) in inputs(role) {
                let store = nn::VarStore::new(Device::Cpu);
                let site = site(role, bits, &input);
                if method.check(&site, &options(method)).is_err() {
                    continue;
                }
                let mut quantizer = method.quantizer(&site, &options(method), &store.root()).unwrap();
                let _ = quantizer.forward(&input, &TRAINING).unwrap();
                check(Case { name: format!("{role} {bits} bits, {name}"), store, quantizer, input });
                checked += 1;
            }
        }
    }
    assert!(checked > 0 || roles.iter().all(|&role| !about.support(role).is_yes()), "nothing was checked");
}

const FORWARD: [Role; 2] = [Role::Weight, Role::Activation];
const ALL: [Role; 3] = [Role::Weight, Role::Activation, Role::Gradient];

/// Bit patterns, so that a difference of one ulp or of the sign of a NaN shows.
fn patterns(x: &Tensor) -> Vec<u32> {
    Vec::<f32>::try_from(&x.detach().reshape([-1])).unwrap().into_iter().map(f32::to_bits).collect()
}

/// Equal as numbers, to the bit but for the sign of zero.
fn assert_same(a: &Tensor, b: &Tensor, what: &str) {
    let zero = |x: &Tensor| x.detach() + 0.0;
    assert_eq!(a.size(), b.size(), "{what}: shapes");
    assert_eq!(patterns(&zero(a)), patterns(&zero(b)), "{what}");
}

fn bytes(codes: &Codes) -> Vec<u8> {
    Vec::try_from(&codes.codes.reshape([-1])).unwrap()
}

/// Codes are u8 below 2^k in the input's shape, survive packing, and the host's table decodes them to the very
/// values that the device computes.
pub fn codes_fit_and_decode_exactly(method: &dyn Method) {
    cases(method, &ALL, |mut case| {
        let codes = case.quantizer.quantize(&case.input, &EVALUATION).unwrap();
        let name = &case.name;
        assert_eq!((codes.codes.kind(), codes.codes.size()), (Kind::Uint8, case.input.size()), "{name}");
        let flat = bytes(&codes);
        let bits = codes.levels.bits();
        assert_eq!(bits, case.quantizer.site().bits, "{name}");
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
pub fn forward_is_the_levels(method: &dyn Method) {
    for step in [TRAINING, EVALUATION] {
        cases(method, &FORWARD, |mut case| {
            // In training the running statistics move with every call, so each of the two gets its own copy.
            let (mut twin, _store) = copy(method, &case);
            let values = case.quantizer.forward(&case.input, &step).unwrap();
            let codes = twin.quantize(&case.input, &step).unwrap();
            assert_same(&values, &codes.dequantize(&case.input).unwrap(), &case.name);
        });
        cases(method, &[Role::Gradient], |mut case| {
            let x = case.input.ones_like().set_requires_grad(true);
            let y = case.quantizer.forward(&x, &step).unwrap();
            assert_same(&y, &x, &format!("{}: the value must pass unchanged", case.name));
            (y * &case.input).sum(Kind::Float).backward();
            let codes = case.quantizer.quantize(&case.input, &step).unwrap();
            assert_same(&x.grad(), &codes.dequantize(&case.input).unwrap(), &case.name);
        });
    }
}

/// The gradient of [`Quantizer::forward`] is that of [`Quantizer::surrogate`], and finite.
pub fn gradient_is_the_surrogates(method: &dyn Method) {
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

/// NaN and infinities are refused with a count; fake quantization lets a NaN through instead of hiding it.
pub fn what_is_not_finite_is_refused(method: &dyn Method) {
    cases(method, &ALL, |mut case| {
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
pub fn the_same_step_gives_the_same_codes(method: &dyn Method) {
    cases(method, &ALL, |case| {
        let (mut one, _a) = copy(method, &case);
        let (mut two, _b) = copy(method, &case);
        let first = one.quantize(&case.input, &TRAINING).unwrap();
        let second = two.quantize(&case.input, &TRAINING).unwrap();
        assert_eq!(bytes(&first), bytes(&second), "{}", case.name);
        assert_same(&first.dequantize(&case.input).unwrap(), &second.dequantize(&case.input).unwrap(), &case.name);
    });
}

/// Evaluation twice is evaluation once, and leaves every variable as it was.
pub fn evaluation_changes_nothing(method: &dyn Method) {
    cases(method, &ALL, |mut case| {
        let before = variables(&case.store);
        let first = bytes(&case.quantizer.quantize(&case.input, &EVALUATION).unwrap());
        let _ = case.quantizer.forward(&(&case.input * 3.0), &EVALUATION).unwrap();
        let second = bytes(&case.quantizer.quantize(&case.input, &EVALUATION).unwrap());
        assert_eq!(first, second, "{}", case.name);
        assert_eq!(before, variables(&case.store), "{}", case.name);
    });
}

/// A second quantizer given the variables of the first goes on exactly like it: nothing is kept anywhere else.
pub fn variables_carry_the_state(method: &dyn Method) {
    cases(method, &ALL, |mut case| {
        let (mut twin, _store) = copy(method, &case);
        let other = &case.input * 0.5;
        for step in [EVALUATION, TRAINING, EVALUATION] {
            let expected = case.quantizer.quantize(&other, &step).unwrap();
            let found = twin.quantize(&other, &step).unwrap();
            assert_eq!(bytes(&expected), bytes(&found), "{}", case.name);
        }
    });
}

/// Where a code depends on its element alone, it does: the code in a batch is the code of the element by itself,
/// and codes never decrease from lesser to greater values, so that thresholds can stand for them.
pub fn elements_stand_alone_where_promised(method: &dyn Method) {
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
pub fn documentation_is_complete(method: &dyn Method) {
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
pub fn unsupported_roles_are_refused(method: &dyn Method) {
    let (min, _) = method.about().bits.unwrap_or((1, 1));
    let store = nn::VarStore::new(Device::Cpu);
    for role in ALL {
        let site = site(role, Bits::new(min).unwrap(), &normal(&[2, 3], 1));
        let supported = method.about().support(role).is_yes();
        assert_eq!(method.check(&site, &options(method)).is_ok(), supported, "{role}");
        let built = method.quantizer(&site, &options(method), &(store.root() / role.to_string()));
        if !supported {
            assert!(matches!(built, Err(MethodError::Unsupported { .. })), "{role}");
        }
    }
}

/// A fresh quantizer of the same site with copies of all variables.
fn copy(method: &dyn Method, case: &Case) -> (Box<dyn Quantizer>, nn::VarStore) {
    let mut store = nn::VarStore::new(Device::Cpu);
    let quantizer = method.quantizer(case.quantizer.site(), &options(method), &store.root()).unwrap();
    store.copy(&case.store).unwrap();
    (quantizer, store)
}

fn variables(store: &nn::VarStore) -> BTreeMap<String, Vec<u32>> {
    store.variables().iter().map(|(name, value)| (name.clone(), patterns(&value.to_kind(Kind::Float)))).collect()
}
