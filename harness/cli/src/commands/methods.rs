//! `harness methods`.

use std::collections::BTreeMap;

use harness_methods::core::batch_norm::FOLDS_ONLY;
use harness_methods::core::{BatchNormFolder, Method, MethodAbout, Options, Role, Support};
use harness_methods::{BATCH_NORM_FOLDERS, METHODS};
use harness_records::config::{KeyDoc, KeyKind};
use harness_records::options::OptionValue;
use serde_json::{Value, json};

use crate::exit::Outcome;
use crate::output::{columns, print, print_json};
use crate::shared_arguments::Listing;

/// What the command lists: methods, which quantize, and folders, which rewrite batch normalization.
enum Listed {
    Method(&'static dyn Method),
    Folder(&'static dyn BatchNormFolder),
}

impl Listed {
    fn all() -> impl Iterator<Item = Listed> {
        let methods = METHODS.iter().copied().map(Listed::Method);
        methods.chain(BATCH_NORM_FOLDERS.iter().copied().map(Listed::Folder))
    }

    /// A folder is listed as a method that quantizes nothing.
    fn about(&self) -> MethodAbout {
        match self {
            Listed::Method(method) => *method.about(),
            Listed::Folder(folder) => {
                let (about, bits) = (folder.about().about, Some(folder.about().bits));
                let none = Support::No(FOLDS_ONLY);
                MethodAbout { about, bits, weights: none, activations: none, gradients: none }
            }
        }
    }
}

pub(crate) fn run(listing: &Listing) -> Outcome {
    if listing.json {
        return Ok(print_json(&Listed::all().map(|listed| as_json(&listed)).collect::<Vec<_>>())?);
    }
    let rows: Vec<Vec<String>> = Listed::all().map(|listed| row(&listed.about())).collect();
    print(columns(&["method", "bits", "quantizes", "what it is"], &rows))?;
    for listed in Listed::all() {
        let about = listed.about();
        let reasons = Role::ALL.into_iter().filter_map(|role| match about.support(role) {
            Support::Yes => None,
            Support::No(reason) => Some(format!("  no {role} quantization: {reason}")),
        });
        let lines: Vec<String> =
            about.about.options.iter().map(option_line).chain(reasons).chain(deployment_lines(&listed)).collect();
        let source = if about.about.source.is_empty() { String::new() } else { format!("\n  {}", about.about.source) };
        if !lines.is_empty() || !source.is_empty() {
            print(format_args!("\n{}{source}", about.about.name))?;
            for line in lines {
                print(line)?;
            }
        }
    }
    Ok(())
}

fn row(about: &MethodAbout) -> Vec<String> {
    let bits = about.bits.map_or_else(|| "32".to_owned(), |(min, max)| range(min, max));
    let roles: Vec<String> =
        Role::ALL.iter().filter(|role| about.support(**role).is_yes()).map(Role::to_string).collect();
    vec![about.about.name.to_owned(), bits, roles.join(", "), about.about.summary.to_owned()]
}

fn range(min: u8, max: u8) -> String {
    if min == max { min.to_string() } else { format!("{min}-{max}") }
}

/// One line of an option: name, what it may be, default, what it does.
pub(super) fn option_line(option: &KeyDoc) -> String {
    let default = option.default.value().map_or_else(|| "optional".to_owned(), |value| format!("default {value}"));
    format!("  {}: {} ({default}): {}", option.name, option.kind, option.doc)
}

/// An option for scripts.
pub(super) fn option_json(option: &KeyDoc) -> Value {
    json!({
        "name": option.name,
        "values": option.kind.to_string(),
        "default": option.default.value(),
        "doc": option.doc,
    })
}

/// One option away from its default, what keeps the method from being deployed.
struct Obstacle {
    option: &'static str,
    value: OptionValue,
    reason: &'static str,
}

/// The obstacles of a method that can be deployed with its default options.
fn obstacles(method: &dyn Method) -> Vec<Obstacle> {
    let docs = method.about().about.options;
    let tried = docs.iter().flat_map(|doc| values(doc.kind).into_iter().map(move |value| (doc.name, value)));
    let obstacle = |(option, value): (&'static str, OptionValue)| {
        let given = BTreeMap::from([(option.to_owned(), value.clone())]);
        match method.deployable(&Options::resolve(docs, &given).ok()?) {
            Support::Yes => None,
            Support::No(reason) => Some(Obstacle { option, value, reason }),
        }
    };
    tried.filter_map(obstacle).collect()
}

/// All values of an option that has few.
fn values(kind: KeyKind) -> Vec<OptionValue> {
    match kind {
        KeyKind::Bool => [false, true].map(OptionValue::Bool).to_vec(),
        KeyKind::Choice(words) => words.iter().map(|word| OptionValue::Text((*word).to_owned())).collect(),
        _ => Vec::new(),
    }
}

fn by_default(method: &dyn Method) -> Support {
    method.deployable(&Options::defaults(method.about().about.options))
}

fn deployment_lines(listed: &Listed) -> Vec<String> {
    let Listed::Method(method) = *listed else { return Vec::new() };
    if let Support::No(reason) = by_default(method) {
        return vec![format!("  cannot be stored as codes and levels: {reason}")];
    }
    let line = |obstacle: Obstacle| {
        let Obstacle { option, value, reason } = obstacle;
        format!("  cannot be stored as codes and levels with {option}: {value}: {reason}")
    };
    obstacles(method).into_iter().map(line).collect()
}

fn deployable_json(listed: &Listed) -> Value {
    let Listed::Method(method) = *listed else { return json!({"supported": true, "except": []}) };
    if let Support::No(reason) = by_default(method) {
        return json!({"supported": false, "reason": reason});
    }
    let except = obstacles(method).into_iter();
    let except = except.map(|o| json!({"option": o.option, "value": o.value, "reason": o.reason}));
    json!({"supported": true, "except": except.collect::<Vec<_>>()})
}

fn as_json(listed: &Listed) -> Value {
    let about = listed.about();
    let support = |role| match about.support(role) {
        Support::Yes => json!({"supported": true}),
        Support::No(reason) => json!({"supported": false, "reason": reason}),
    };
    json!({
        "name": about.about.name,
        "summary": about.about.summary,
        "paper": about.about.source,
        "bits": about.bits.map(|(min, max)| json!({"min": min, "max": max})),
        "roles": {
            "weight": support(Role::Weight),
            "activation": support(Role::Activation),
            "gradient": support(Role::Gradient),
        },
        "deployable": deployable_json(listed),
        "options": about.about.options.iter().map(option_json).collect::<Vec<_>>(),
    })
}
