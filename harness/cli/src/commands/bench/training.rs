//! `harness bench --training`: the time of a quantized training step relative to the float step of the same network.

use harness_engine::environment::{Revision, environment};
use harness_engine::training_cost::{self, Row, Suite};
use serde_json::json;
use tch::Device;

use super::{BenchArguments, SuiteChoice};
use crate::exit::Outcome;
use crate::output::{columns, print, print_json, talk};
use crate::shared_arguments::Volume;

pub(super) fn run(arguments: &BenchArguments, volume: Volume) -> Outcome {
    harness_torch::keep_freed_memory();
    let cases = training_cost::cases(match arguments.suite {
        SuiteChoice::Networks => Suite::Networks,
        SuiteChoice::Methods => Suite::Methods,
    })?;
    let threads = arguments.threads.unwrap_or(2);
    if !volume.quiet {
        talk(format_args!(
            "timing {} cases in {} rounds, batch {}, {threads} threads",
            cases.len(),
            arguments.rounds,
            arguments.batch,
        ));
    }
    let rounds = u32::from(arguments.rounds);
    let rows = training_cost::run(&cases, i64::from(arguments.batch), i32::from(threads.cast_signed()), rounds)?;
    if arguments.json {
        let environment = environment(&Revision::here(), Device::Cpu, u32::from(threads));
        let result = json!({"batch": arguments.batch, "rounds": rounds, "environment": environment, "rows": rows});
        return Ok(print_json(&result)?);
    }
    let cells: Vec<Vec<String>> = rows.iter().map(cells).collect();
    Ok(print(columns(&["network", "quantization", "images/s", "time over float (min-max)"], &cells))?)
}

fn cells(row: &Row) -> Vec<String> {
    let (min, max) = row.ratio_range;
    vec![
        row.network.to_owned(),
        row.quantization.to_owned(),
        format!("{:.0}", row.images_per_second),
        format!("{:.3} ({min:.3}-{max:.3})", row.ratio_to_float),
    ]
}
