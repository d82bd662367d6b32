//! `harness models`.

mod layers;

use clap::Args;
use harness_models::MODELS;
use serde_json::json;

use super::methods::{option_json, option_line};
use crate::exit::{Outcome, refuse};
use crate::output::{columns, print, print_json};

#[derive(Debug, Args)]
#[command(after_help = "Examples:
  harness models --json
  harness models resnet20 --layers
  harness models resnet18 --layers --input 3x224x224 --classes 1000")]
pub(crate) struct ModelsArguments {
    /// Only this model
    model: Option<String>,
    /// List its layers with their names, shapes, multiply-accumulates and parameters: what `quant.layers` can name
    #[arg(long, requires = "model")]
    layers: bool,
    /// Option of the model (repeatable)
    #[arg(long = "set", value_name = "[model.]OPTION=VALUE", requires = "layers")]
    sets: Vec<String>,
    /// Shape of an image
    #[arg(long, value_name = "CxHxW", default_value = "3x32x32", requires = "layers", value_parser = layers::shape)]
    input: [i64; 3],
    /// Number of classes, or words of a language model
    #[arg(long, value_name = "N", default_value_t = 10, requires = "layers",
          value_parser = clap::value_parser!(i64).range(2..=1 << 24))]
    classes: i64,
    /// Print JSON instead of a table
    #[arg(long)]
    json: bool,
}

pub(crate) fn run(arguments: &ModelsArguments) -> Outcome {
    let wanted = arguments.model.as_deref();
    let chosen = || MODELS.iter().filter(|model| wanted.is_none_or(|wanted| model.about().name == wanted));
    if let Some(wanted) = wanted {
        let Some(&model) = chosen().next() else {
            let hint = harness_records::problem::suggest(wanted, MODELS.iter().map(|model| model.about().name));
            return Err(refuse(format_args!("unknown model `{wanted}`; {hint}")));
        };
        if arguments.layers {
            return layers::run(model, arguments);
        }
    }
    if arguments.json {
        let all = chosen().map(|model| {
            let about = model.about();
            let options: Vec<_> = about.options.iter().map(option_json).collect();
            json!({"name": about.name, "summary": about.summary, "source": about.source, "options": options})
        });
        return Ok(print_json(&all.collect::<Vec<_>>())?);
    }
    let rows: Vec<Vec<String>> =
        chosen().map(|model| vec![model.about().name.to_owned(), model.about().summary.to_owned()]).collect();
    print(columns(&["model", "what it is"], &rows))?;
    for model in chosen() {
        print(format_args!("\n{}", model.about().name))?;
        for option in model.about().options {
            print(option_line(option))?;
        }
    }
    Ok(())
}
