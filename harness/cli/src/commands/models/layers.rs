//! `harness models NAME --layers`.

use harness_models::{Input, LayerSummary, Model, Plan};
use harness_records::config::{MethodChoice, ModelChoice, QuantConfig};
use serde_json::json;

use super::ModelsArguments;
use crate::chosen::options;
use crate::exit::{Outcome, refuse};
use crate::output::{columns, print, print_json};

/// `3x32x32` as channels, height and width.
pub(super) fn shape(text: &str) -> Result<[i64; 3], String> {
    let sides: Vec<i64> = text.split('x').filter_map(|side| side.parse().ok()).collect();
    match (sides.as_slice(), text.split('x').count()) {
        (&[channels, height, width], 3)
            if [channels, height, width].iter().all(|side| (1..=1 << 16).contains(side)) =>
        {
            Ok([channels, height, width])
        }
        _ => Err(format!("`{text}` is no shape of an image, expected one such as 3x32x32")),
    }
}

pub(super) fn run(model: &dyn Model, arguments: &ModelsArguments) -> Outcome {
    let name = model.about().name;
    let sets: Vec<String> =
        arguments.sets.iter().map(|set| set.strip_prefix("model.").unwrap_or(set).to_owned()).collect();
    let choice = ModelChoice { name: name.to_owned(), options: options(model.about(), &sets)? };
    let float = MethodChoice::float;
    let quant = QuantConfig::of(float(), float(), float(), Vec::new());
    let input = if model.reads_tokens() { Input::Tokens } else { Input::Image(arguments.input) };
    let plan = Plan::new(&choice, &quant, input, arguments.classes).map_err(refuse)?;
    let layers = plan.layer_summaries();
    let total = |of: fn(&LayerSummary) -> u64| layers.iter().map(of).sum::<u64>();
    if arguments.json {
        let shape = if model.reads_tokens() { Vec::new() } else { arguments.input.to_vec() };
        let object = json!({"model": name, "input": shape, "classes": arguments.classes, "layers": layers,
            "macs": total(|layer| layer.macs), "parameters": plan.size.parameters});
        return Ok(print_json(&object)?);
    }
    let [channels, height, width] = arguments.input;
    let of = if model.reads_tokens() { "tokens".to_owned() } else { format!("{channels}x{height}x{width}") };
    print(format_args!("{name} on {of}, {} classes", arguments.classes))?;
    let rows: Vec<Vec<String>> = layers.iter().map(row).collect();
    print(columns(&["layer", "kind", "weights", "input", "output", "MACs", "parameters"], &rows))?;
    let rest = plan.size.parameters - total(|layer| layer.parameters);
    Ok(print(format_args!(
        "{} MACs, {} parameters, {rest} of them in layers without weights (normalization)",
        total(|layer| layer.macs),
        plan.size.parameters
    ))?)
}

fn row(layer: &LayerSummary) -> Vec<String> {
    let shape = |shape: &[i64]| shape.iter().map(i64::to_string).collect::<Vec<_>>().join("x");
    vec![
        layer.layer.clone(),
        if layer.downsample { format!("{}, downsample", layer.kind) } else { layer.kind.to_owned() },
        layer.weights.iter().map(|weights| shape(weights)).collect::<Vec<_>>().join(", "),
        shape(&layer.input),
        shape(&layer.output),
        layer.macs.to_string(),
        layer.parameters.to_string(),
    ]
}
