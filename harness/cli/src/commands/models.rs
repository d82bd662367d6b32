//! `harness models`.

use harness_models::MODELS;
use serde_json::json;

use super::methods::{option_json, option_line};
use crate::exit::Outcome;
use crate::output::{columns, print, print_json};
use crate::shared_arguments::Listing;

pub(crate) fn run(listing: &Listing) -> Outcome {
    if listing.json {
        let all = MODELS.iter().map(|model| {
            let about = model.about();
            let options: Vec<_> = about.options.iter().map(option_json).collect();
            json!({"name": about.name, "summary": about.summary, "source": about.source, "options": options})
        });
        return Ok(print_json(&all.collect::<Vec<_>>())?);
    }
    let rows: Vec<Vec<String>> =
        MODELS.iter().map(|model| vec![model.about().name.to_owned(), model.about().summary.to_owned()]).collect();
    print(columns(&["model", "what it is"], &rows))?;
    for model in MODELS {
        print(format_args!("\n{}", model.about().name))?;
        for option in model.about().options {
            print(option_line(option))?;
        }
    }
    Ok(())
}
