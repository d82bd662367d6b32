//! `harness bench --training`: what a quantized training step costs against the float step of the same network.

use clap::{Args, ValueEnum};
use harness_engine::bench::{self, Row, Suite};
use harness_engine::environment::{Revision, environment};
use serde_json::json;
use tch::Device;

use crate::arguments::Volume;
use crate::exit::Outcome;
use crate::output::{columns, print, print_json, talk};

#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  harness bench --training\n  harness bench --training --suite methods --rounds 15 --json"
)]
pub(crate) struct Arguments {
    /// Time training steps: forward, backward and update
    #[arg(long, required = true)]
    training: bool,
    /// What is timed: networks (LeNet and the small VGG, float and DoReFa) or methods (all, on ResNet-20's layers)
    #[arg(long, default_value = "networks")]
    suite: SuiteChoice,
    /// Images a step
    #[arg(long, default_value_t = 128, value_parser = clap::value_parser!(u16).range(2..))]
    batch: u16,
    /// Threads
    #[arg(long, default_value_t = 2, value_parser = clap::value_parser!(u16).range(1..))]
    threads: u16,
    /// Times every case is timed, in turn with all others
    #[arg(long, default_value_t = 9, value_parser = clap::value_parser!(u16).range(3..))]
    rounds: u16,
    /// Print JSON instead of a table
    #[arg(long)]
    json: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum SuiteChoice {
    Networks,
    Methods,
}

pub(crate) fn run(arguments: &Arguments, volume: Volume) -> Outcome {
    harness_torch::keep_freed_memory();
    let cases = bench::cases(match arguments.suite {
        SuiteChoice::Networks => Suite::Networks,
        SuiteChoice::Methods => Suite::Methods,
    });
    if !volume.quiet {
        talk(format_args!(
            "timing {} cases {} times in turn, batch {}, {} threads",
            cases.len(),
            arguments.rounds,
            arguments.batch,
            arguments.threads
        ));
    }
    let (threads, rounds) = (u32::from(arguments.threads), u32::from(arguments.rounds));
    let rows = bench::run(&cases, i64::from(arguments.batch), i32::from(arguments.threads.cast_signed()), rounds)?;
    if arguments.json {
        let environment = environment(&Revision::here(), Device::Cpu, threads);
        let result = json!({"batch": arguments.batch, "rounds": rounds, "environment": environment, "rows": rows});
        return Ok(print_json(&result)?);
    }
    let cells: Vec<Vec<String>> = rows.iter().map(cells).collect();
    Ok(print(columns(&["network", "quantization", "images/s", "step against float (least-greatest)"], &cells))?)
}

fn cells(row: &Row) -> Vec<String> {
    let (least, greatest) = row.ratio_range;
    vec![
        row.network.to_owned(),
        row.quantization.to_owned(),
        format!("{:.0}", row.images_per_second),
        format!("{:.3} ({least:.3}-{greatest:.3})", row.ratio_to_float),
    ]
}
