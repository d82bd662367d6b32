//! Which setting each layer gets: that of the network, changed by the entries of `quant.layers` that fit the layer, in
//! their order, unless the layer is kept in full precision.

use harness_methods::core::{Bits, Method, Options, Role, Site};
use harness_records::config::layers::fits;
use harness_records::config::{LayerRule, MethodChoice, MethodFacts, QuantConfig};
use harness_records::problem::suggest;
use tch::Device;

use super::QuantizerPlan;
use crate::ModelError;
use crate::layer::Layer;

/// A layer with weights.
struct Known<'a> {
    name: &'a str,
    kind: &'static str,
    on_shortcut: bool,
    /// Whether a quantizer can stand before it: not where it reads the data.
    has_activation: bool,
}

/// The setting of one role in one layer.
pub(super) struct Choice {
    pub(super) method: &'static dyn Method,
    pub(super) bits: Option<Bits>,
    options: Options,
    /// The entries of `quant.layers` that it comes from, besides the setting of the network.
    rules: Vec<usize>,
}

impl Choice {
    fn new(choice: &MethodChoice, rules: Vec<usize>) -> Result<Choice, ModelError> {
        let method = found(&choice.method)?;
        let bits = method.about().bits.and(choice.bits).and_then(Bits::new);
        let options = choice.options.with_defaults(method.about().about.options);
        Ok(Choice { method, bits, options, rules })
    }

    /// The quantizer that stands at a site, `None` in full precision.
    pub(super) fn at(
        &self,
        layer: &str,
        index: u64,
        role: Role,
        shape: &[i64],
    ) -> Result<Option<QuantizerPlan>, ModelError> {
        let Some(bits) = self.bits else { return Ok(None) };
        let site = Site { layer: layer.to_owned(), index, role, shape: shape.to_vec(), bits, device: Device::Cpu };
        self.method
            .check(&site, &self.options)
            .map_err(|source| ModelError::Site { layer: layer.to_owned(), source })?;
        let (options, rules) = (self.options.clone(), self.rules.clone());
        Ok(Some(QuantizerPlan { method: self.method, site, options, rules }))
    }
}

/// The setting of one layer.
pub(super) struct Setting {
    choices: [Choice; 3],
    /// Weights, input and gradients stay in full precision (`keep_float`).
    pub(super) is_kept: bool,
}

impl Setting {
    pub(super) fn of(&self, role: Role) -> &Choice {
        let [weights, activations, gradients] = &self.choices;
        match role {
            Role::Weight => weights,
            Role::Activation => activations,
            Role::Gradient => gradients,
        }
    }
}

/// The settings of all layers with weights.
pub(super) struct Settings {
    layers: Vec<(String, Setting)>,
    /// That of the network.
    network: Setting,
}

impl Settings {
    pub(super) fn new(layers: &[Layer], quant: &QuantConfig) -> Result<Settings, ModelError> {
        let known = known(layers);
        let kept = kept_in_float(&known, &quant.keep_float)?;
        let mut fitting: Vec<Vec<usize>> = vec![Vec::new(); known.len()];
        for (index, rule) in quant.layers.iter().enumerate() {
            let places = matching(&known, rule)?;
            check_effect(rule, places.iter().map(|&place| &known[place]), &kept)?;
            places.into_iter().for_each(|place| fitting[place].push(index));
        }
        let of_layer = |(layer, rules): (&Known<'_>, &Vec<usize>)| {
            let is_kept = kept.contains(&layer.name);
            Ok((layer.name.to_owned(), setting(layer.name, quant, rules, is_kept)?))
        };
        let layers: Vec<_> = known.iter().zip(&fitting).map(of_layer).collect::<Result<_, ModelError>>()?;
        Ok(Settings { layers, network: setting("", quant, &[], false)? })
    }

    /// The setting of the layer of this name; that of the network for anything else.
    pub(super) fn get(&self, layer: &str) -> &Setting {
        self.layers.iter().find(|(name, _)| name == layer).map_or(&self.network, |(_, setting)| setting)
    }
}

/// The setting of a layer that these entries fit.
fn setting(layer: &str, quant: &QuantConfig, rules: &[usize], is_kept: bool) -> Result<Setting, ModelError> {
    let [weights, activations, gradients] = Role::ALL.map(|role| {
        let mut choice = quant.choice(role).clone();
        let mut changed_by = Vec::new();
        for &index in rules {
            let rule = &quant.layers[index];
            if let Some(change) = rule.change(role) {
                choice = change.apply(&choice, facts).map_err(|source| ModelError::Change {
                    layer: layer.to_owned(),
                    pattern: rule.pattern.clone(),
                    role,
                    source: Box::new(source),
                })?;
                changed_by.push(index);
            }
        }
        Choice::new(&choice, changed_by)
    });
    Ok(Setting { choices: [weights?, activations?, gradients?], is_kept })
}

fn found(name: &str) -> Result<&'static dyn Method, ModelError> {
    harness_methods::find(name).ok_or_else(|| ModelError::UnknownMethod(name.to_owned()))
}

fn facts(name: &str) -> Option<MethodFacts> {
    harness_methods::find(name).map(|method| {
        let about = method.about();
        MethodFacts { bits: about.bits, options: about.about.options }
    })
}

fn known(layers: &[Layer]) -> Vec<Known<'_>> {
    let mut known: Vec<Known<'_>> = Vec::new();
    let (mut shortcuts, mut fed): (Vec<&str>, Vec<&str>) = (Vec::new(), Vec::new());
    for layer in layers {
        layer.each(&mut |layer| {
            if let Some(name) = layer.weighted() {
                let kind = match layer {
                    Layer::Conv { .. } => "conv",
                    Layer::Linear { .. } => "linear",
                    _ => "recurrent",
                };
                known.push(Known { name, kind, on_shortcut: false, has_activation: kind == "recurrent" });
            }
            if let Layer::Activation { of, .. } = layer {
                fed.push(of);
            }
            if let Layer::Residual { shortcut, .. } = layer {
                shortcuts.extend(shortcut.iter().filter_map(Layer::weighted));
            }
        });
    }
    for layer in &mut known {
        layer.on_shortcut = shortcuts.contains(&layer.name);
        layer.has_activation |= fed.contains(&layer.name);
    }
    known
}

/// Refuses a change for which there is no place in any of the layers: it would be ignored.
fn check_effect<'a>(
    rule: &LayerRule,
    layers: impl Iterator<Item = &'a Known<'a>> + Clone,
    kept: &[&str],
) -> Result<(), ModelError> {
    for role in Role::ALL.into_iter().filter(|&role| rule.change(role).is_some()) {
        let mut open = layers.clone().filter(|layer| !kept.contains(&layer.name));
        let reason = match (open.clone().next(), role) {
            (None, _) => "`keep_float` keeps these layers in full precision, take them out of it (`keep_float: []`)",
            (Some(_), Role::Activation) if !open.any(|layer| layer.has_activation) => {
                "no quantizer stands before a layer that reads the data, write `quant.input: bytes` to count its input as \
                 8 bits"
            }
            _ => continue,
        };
        return Err(ModelError::NoPlace { pattern: rule.pattern.clone(), role, reason });
    }
    Ok(())
}

/// The layers that an entry is about, by their places. A layer of exactly this name comes before any other meaning.
fn matching(known: &[Known<'_>], rule: &LayerRule) -> Result<Vec<usize>, ModelError> {
    let pattern = rule.pattern.as_str();
    let of = |is: &dyn Fn(&Known<'_>) -> bool| -> Vec<usize> {
        known.iter().enumerate().filter(|(_, layer)| is(layer)).map(|(place, _)| place).collect()
    };
    let exact = of(&|layer| layer.name == pattern);
    let found = match pattern {
        _ if !exact.is_empty() => exact,
        "first" => (0..known.len().min(1)).collect(),
        "last" => known.len().checked_sub(1).into_iter().collect(),
        "downsample" | "shortcuts" => of(&|layer| layer.on_shortcut),
        "conv" | "linear" | "recurrent" => of(&|layer| layer.kind == pattern),
        _ => of(&|layer| fits(pattern, layer.name)),
    };
    if found.is_empty() {
        let mut names = vec!["first", "last"];
        names.extend(["conv", "linear", "recurrent"].into_iter().filter(|kind| known.iter().any(|k| k.kind == *kind)));
        names.extend(known.iter().any(|layer| layer.on_shortcut).then_some("downsample"));
        let hint = suggest(pattern, known.iter().map(|layer| layer.name).chain(names));
        return Err(ModelError::UnknownPattern { pattern: pattern.to_owned(), hint });
    }
    Ok(found)
}

/// Names of the layers that stay in full precision: each a layer, the `first`, the `last`, or all on `shortcuts`.
fn kept_in_float<'a>(known: &[Known<'a>], names: &[String]) -> Result<Vec<&'a str>, ModelError> {
    let shortcuts: Vec<&str> = known.iter().filter(|layer| layer.on_shortcut).map(|layer| layer.name).collect();
    let all = (!shortcuts.is_empty()).then_some("shortcuts");
    let listed = || {
        let names = all.into_iter().chain(known.iter().map(|layer| layer.name));
        names.map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", ")
    };
    let mut kept = Vec::new();
    for name in names {
        let found: Vec<&str> = match name.as_str() {
            "first" => known.first().map(|layer| layer.name).into_iter().collect(),
            "last" => known.last().map(|layer| layer.name).into_iter().collect(),
            "shortcuts" => shortcuts.clone(),
            _ => known.iter().map(|layer| layer.name).filter(|layer| layer == name).take(1).collect(),
        };
        if found.is_empty() {
            return Err(ModelError::UnknownLayer { name: name.clone(), layers: listed() });
        }
        kept.extend(found);
    }
    Ok(kept)
}
