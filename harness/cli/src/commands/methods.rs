//! `harness methods`.

use harness_methods::METHODS;
use harness_methods::core::{Method, Role, Support};
use harness_records::options::OptionDoc;
use serde_json::{Value, json};

use crate::arguments::Listing;
use crate::exit::Outcome;
use crate::output::{columns, print, print_json};

const ROLES: [Role; 3] = [Role::Weight, Role::Activation, Role::Gradient];

pub(crate) fn run(listing: &Listing) -> Outcome {
    if listing.json {
        return Ok(print_json(&METHODS.iter().map(|method| as_json(*method)).collect::<Vec<_>>())?);
    }
    let rows: Vec<Vec<String>> = METHODS.iter().map(|method| row(*method)).collect();
    print(columns(&["method", "bits", "quantizes", "what it is"], &rows))?;
    for method in METHODS {
        let about = method.about();
        let reasons = ROLES.into_iter().filter_map(|role| match about.support(role) {
            Support::Yes => None,
            Support::No(reason) => Some(format!("  no {role} quantization: {reason}")),
        });
        let lines: Vec<String> = about.about.options.iter().map(option_line).chain(reasons).collect();
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

fn row(method: &dyn Method) -> Vec<String> {
    let about = method.about();
    let bits = about.bits.map_or_else(|| "32".to_owned(), |(least, greatest)| range(least, greatest));
    let roles: Vec<String> = ROLES.iter().filter(|role| about.support(**role).is_yes()).map(Role::to_string).collect();
    vec![about.about.name.to_owned(), bits, roles.join(", "), about.about.summary.to_owned()]
}

fn range(least: u8, greatest: u8) -> String {
    if least == greatest { least.to_string() } else { format!("{least}-{greatest}") }
}

/// One line of an option: name, what it may be, default, what it does.
pub(super) fn option_line(option: &OptionDoc) -> String {
    let default = option.default.value().map_or_else(|| "optional".to_owned(), |value| format!("default {value}"));
    format!("  {}: {} ({default}): {}", option.name, option.kind, option.doc)
}

/// An option for scripts.
pub(super) fn option_json(option: &OptionDoc) -> Value {
    json!({
        "name": option.name,
        "values": option.kind.to_string(),
        "default": option.default.value(),
        "doc": option.doc,
    })
}

fn as_json(method: &dyn Method) -> Value {
    let about = method.about();
    let support = |role| match about.support(role) {
        Support::Yes => json!({"supported": true}),
        Support::No(reason) => json!({"supported": false, "reason": reason}),
    };
    json!({
        "name": about.about.name,
        "summary": about.about.summary,
        "paper": about.about.source,
        "bits": about.bits.map(|(least, greatest)| json!({"min": least, "max": greatest})),
        "roles": {
            "weight": support(Role::Weight),
            "activation": support(Role::Activation),
            "gradient": support(Role::Gradient),
        },
        "options": about.about.options.iter().map(option_json).collect::<Vec<_>>(),
    })
}
