//! That every option of a method changes something.

use super::cases::{ALL, EVALUATION, TRAINING, bytes, inputs, patterns, site, variables};
use crate::{Bits, KeyDoc, KeyKind, Method, MethodError, OptionValue, Options, Role};
use std::collections::BTreeMap;
use std::fmt::{Debug, Write};
use tch::{Device, Kind, nn};

/// For each option there are two values that make a difference to codes, levels, gradients, or what the method says
/// about itself, alone or with one other option away from its default. An option that nobody reads makes none.
///
/// # Panics
/// When an option makes no difference.
pub fn every_option_has_an_effect(method: &dyn Method) {
    let idle = without_effect(method.about().about.options, |options| behaviour(method, options));
    assert!(idle.is_empty(), "{}: no value of {idle:?} changes anything", method.about().about.name);
}

/// The options of `docs` that never change `behaviour`. For whatever else is described by a table of options.
pub fn without_effect(docs: &[KeyDoc], behaviour: impl Fn(&Options) -> String) -> Vec<&'static str> {
    let resolved = |given: &BTreeMap<String, OptionValue>| Options::resolve(docs, given).ok();
    let changes = |doc: &KeyDoc| {
        let others = docs.iter().filter(|other| other.name != doc.name);
        let others = others.flat_map(|other| values(other.kind).into_iter().map(|value| (other.name, value)));
        let contexts = std::iter::once(BTreeMap::new())
            .chain(others.map(|(name, value)| BTreeMap::from([(name.to_owned(), value)])));
        contexts.into_iter().any(|context| {
            let Some(base) = resolved(&context).map(|options| behaviour(&options)) else { return false };
            values(doc.kind).into_iter().any(|value| {
                let mut given = context.clone();
                given.insert(doc.name.to_owned(), value);
                resolved(&given).is_some_and(|options| behaviour(&options) != base)
            })
        })
    };
    docs.iter().filter(|doc| !changes(doc)).map(|doc| doc.name).collect()
}

/// Values to try: all where they are few.
fn values(kind: KeyKind) -> Vec<OptionValue> {
    match kind {
        KeyKind::Bool => [false, true].map(OptionValue::Bool).to_vec(),
        KeyKind::Int { min, max } => [min, min.saturating_add(1), max].map(OptionValue::Int).to_vec(),
        KeyKind::Float { min, max } => [min, min.midpoint(max), max].map(OptionValue::Float).to_vec(),
        KeyKind::Choice(words) => words.iter().map(|word| OptionValue::Text((*word).to_owned())).collect(),
        KeyKind::Text | KeyKind::Path => {
            ["0.5, 1", "5, 1, 1, 1"].map(|text| OptionValue::Text(text.to_owned())).to_vec()
        }
        KeyKind::Unsigned { min } => i64::try_from(min)
            .map_or_else(|_| Vec::new(), |min| [min, min.saturating_add(1)].map(OptionValue::Int).to_vec()),
        KeyKind::PositiveFloat => [0.5, 1.0, 2.0].map(OptionValue::Float).to_vec(),
        KeyKind::FractionBelowOne => [0.0, 0.5, 0.9].map(OptionValue::Float).to_vec(),
        // No option is a list.
        KeyKind::FractionPair | KeyKind::AscendingInts => Vec::new(),
    }
}

/// Whatever can be seen of a method with these options, as text.
fn behaviour(method: &dyn Method, options: &Options) -> String {
    let mut seen = format!("{:?} {:?}", method.nonlinearity(), method.deployable(options));
    let (min, max) = method.about().bits.unwrap_or((1, 1));
    for role in ALL.into_iter().filter(|&role| method.about().support(role).is_yes()) {
        // The widest codes of a few widths; wider ones take longer and show no more.
        for bits in (min..=max.min(4)).filter_map(Bits::new) {
            let of_width = at_width(method, options, role, bits);
            let of_width: &dyn Debug = match &of_width {
                Ok(found) => found,
                Err(error) => error,
            };
            let _ = write!(seen, "{role} {bits} {of_width:?}");
        }
    }
    seen
}

/// Codes, levels and gradients of a first and a second training step and of an evaluation, on ordinary numbers.
fn at_width(method: &dyn Method, options: &Options, role: Role, bits: Bits) -> Result<Vec<u32>, MethodError> {
    let inputs = inputs(role);
    let x = &inputs[0].1;
    let store = nn::VarStore::new(Device::Cpu);
    let mut quantizer = method.quantizer(&site(role, bits, x), options, &store.root())?;
    let mut seen = Vec::new();
    for (factor, ctx) in [(1.0, TRAINING), (0.5, TRAINING), (3.0, EVALUATION)] {
        let input = (x * factor).set_requires_grad(true);
        let y = quantizer.forward(&input, &ctx)?;
        (&y * x).sum(Kind::Float).f_backward()?;
        let codes = quantizer.quantize(&input.detach(), &ctx)?;
        seen.extend(patterns(&y));
        seen.extend(patterns(&input.grad()));
        seen.extend(patterns(&codes.dequantize(&input.detach())?));
        seen.extend(bytes(&codes).into_iter().map(u32::from));
        seen.extend(variables(&store).into_values().flatten());
    }
    Ok(seen)
}
