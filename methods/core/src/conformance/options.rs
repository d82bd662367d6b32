//! That every option of a method changes something.

use super::cases::{EVALUATION, TRAINING, bytes, inputs, patterns, site, variables};
use crate::{Bits, Method, MethodError, Options, Role};
use harness_records::config::effects::without_effect;
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

/// Whatever can be seen of a method with these options, as text.
fn behaviour(method: &dyn Method, options: &Options) -> String {
    let mut seen = format!("{:?} {:?}", method.nonlinearity(), method.deployable(options));
    let (min, max) = method.about().bits.unwrap_or((1, 1));
    for role in Role::ALL.into_iter().filter(|&role| method.about().support(role).is_yes()) {
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
