//! The native kernels beside libtorch and beside the processor's limits.

use std::fs;
use std::io::IsTerminal;
use std::path::{Path, PathBuf};

use anyhow::Context;
use harness_bench::pairs::Pair;
use harness_bench::report::{Cell, Peer, Report};
use harness_bench::run::{self, Request};
use harness_bench::timing::Measured;
use harness_bench::{BenchError, shapes};
use harness_engine::environment::{Revision, environment};
use harness_kernels::Route;
use harness_records::record::Environment;
use harness_reports::{Format, Kernels, write_kernels};
use indicatif::{ProgressBar, ProgressStyle};
use serde::Serialize;
use tch::Device;

use super::Arguments;
use crate::arguments::Volume;
use crate::exit::{Outcome, Stop, refuse};
use crate::output::{columns, print, print_json, talk};

/// What `--json` prints and `bench.json` holds.
#[derive(Serialize)]
struct Result<'a> {
    environment: &'a Environment,
    #[serde(flatten)]
    report: &'a Report,
}

pub(super) fn run(arguments: &Arguments, volume: Volume) -> Outcome {
    let request = request(arguments).map_err(refuse)?;
    let progress = Progress::new(volume);
    let report = run::run(&request, &mut |done, of, next| progress.tell(done, of, next)).map_err(stop)?;
    progress.finish();
    let environment = environment(&Revision::here(), Device::Cpu, u32::from(arguments.threads.unwrap_or(1)));
    let result = Result { environment: &environment, report: &report };
    if let Some(folder) = &arguments.out {
        let file = write(folder, &result)?;
        let drawn = Kernels::read(&file).and_then(|kernels| write_kernels(&kernels, folder, Format::ALL));
        let drawn = drawn.with_context(|| format!("the numbers are in {}", file.display()))?;
        if !volume.quiet {
            let pictures = drawn.iter().filter(|file| file.extension().is_some_and(|extension| extension == "png"));
            [&file].into_iter().chain(pictures).for_each(|file| talk(format_args!("bench: {}", file.display())));
        }
    }
    if arguments.json {
        return Ok(print_json(&result)?);
    }
    Ok(print(text(&report, &environment))?)
}

fn request(arguments: &Arguments) -> std::result::Result<Request, BenchError> {
    let mut layers = Vec::new();
    for name in &arguments.shapes {
        layers.extend(shapes::parse(name)?);
    }
    let pairs = arguments.bits.iter().map(|bits| bits.parse::<Pair>()).collect::<std::result::Result<_, _>>()?;
    let routes = match arguments.routes.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        ["best"] => None,
        ["all"] => Some(Route::available().collect()),
        ref names => Some(names.iter().map(|name| route(name)).collect::<std::result::Result<_, _>>()?),
    };
    let threads = usize::from(arguments.threads.unwrap_or(1));
    Ok(Request { shapes: layers, pairs, routes, threads, rounds: usize::from(arguments.rounds) })
}

fn route(name: &str) -> std::result::Result<Route, BenchError> {
    let route: Route = name.parse()?;
    if route.is_available() { Ok(route) } else { Err(run::unavailable(route)) }
}

/// A wrong result ran and did not hold; everything else that can be said no to is the request's fault.
fn stop(error: BenchError) -> Stop {
    match error {
        BenchError::Wrong { .. } | BenchError::Torch(_) => Stop::Broken(error.into()),
        _ => refuse(error),
    }
}

/// Writes the result for `harness report` and for the user's own scripts, whole or not at all.
fn write(folder: &Path, result: &Result<'_>) -> anyhow::Result<PathBuf> {
    fs::create_dir_all(folder).with_context(|| format!("cannot create {}", folder.display()))?;
    let (file, partial) = (folder.join("bench.json"), folder.join(".bench.json.partial"));
    let text = serde_json::to_string_pretty(result)?;
    fs::write(&partial, text + "\n").with_context(|| format!("cannot write {}", partial.display()))?;
    fs::rename(&partial, &file).with_context(|| format!("cannot write {}", file.display()))?;
    Ok(file)
}

/// A bar on a terminal, a line a shape elsewhere.
struct Progress {
    bar: Option<ProgressBar>,
    quiet: bool,
}

impl Progress {
    fn new(volume: Volume) -> Progress {
        let terminal = !volume.quiet && std::io::stderr().is_terminal();
        let style = ProgressStyle::with_template("{bar:30} {pos}/{len} {wide_msg}");
        let bar = style.ok().filter(|_| terminal).map(|style| ProgressBar::new(0).with_style(style));
        Progress { bar, quiet: volume.quiet }
    }

    fn tell(&self, done: usize, of: usize, next: &str) {
        match &self.bar {
            Some(bar) => {
                bar.set_length(of as u64);
                bar.set_position(done as u64);
                bar.set_message(next.to_owned());
            }
            None if !self.quiet && !next.is_empty() => talk(format_args!("[{}/{of}] {next}", done + 1)),
            None => {}
        }
    }

    fn finish(&self) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
    }
}

fn text(report: &Report, environment: &Environment) -> String {
    let header = ["shape", "bits", "route", "us", "GOP/s", "x f32", "x int8", "of limit", "packing", ""];
    let rows: Vec<Vec<String>> = report.cells.iter().map(cell).collect();
    let peers: Vec<Vec<String>> = report.peers.iter().map(peer).collect();
    let peer_header = ["shape", "libtorch", "us", "GOP/s", "of limit", ""];
    let memory: Vec<String> =
        report.memory.iter().map(|memory| format!("{} {:.0} GB/s", size(memory.bytes), memory.gb_per_s)).collect();
    format!(
        "{}, {} thread{}, libtorch {} ({}), medians of {} rounds\nreading: {}\n\n{}\n\n{}\n\n{}",
        environment.cpu,
        report.threads,
        if report.threads == 1 { "" } else { "s" },
        environment.libtorch,
        environment.cpu_capability,
        report.rounds,
        memory.join(", "),
        columns(&peer_header, &peers),
        columns(&header, &rows),
        "us and GOP/s: on packed activations. x f32, x int8: speed against the fastest form of libtorch marked *, \
         quantizing and\npacking included on our side, libtorch's int8 input being quantized already. of limit: share of \
         the rate of the route's\ninnermost instructions alone, or of reading the weights (mem). packing: its share of \
         both. noisy: the middle half of the\ntimes is more than 10% apart."
    )
}

fn cell(cell: &Cell) -> Vec<String> {
    let ratio = |ratio: Option<Measured>| ratio.map_or_else(|| "-".to_owned(), |ratio| format!("{:.2}", ratio.median));
    vec![
        cell.shape.clone(),
        cell.bits.clone(),
        cell.route.clone(),
        format!("{:.1}", cell.time_s * 1e6),
        format!("{:.0}", cell.gops),
        ratio(cell.ratio_f32),
        ratio(cell.ratio_int8),
        format!("{:.2}{}", cell.fraction_of_limit, if cell.bound == "memory" { " mem" } else { "" }),
        format!("{:.0}%", cell.packing_share * 100.0),
        if cell.noisy { "noisy".to_owned() } else { String::new() },
    ]
}

fn peer(peer: &Peer) -> Vec<String> {
    vec![
        peer.shape.clone(),
        format!("{} {}{}", peer.kind, peer.operator, if peer.fastest { " *" } else { "" }),
        format!("{:.1}", peer.time_s * 1e6),
        format!("{:.0}", peer.gops),
        peer.fraction_of_limit.map_or_else(String::new, |fraction| format!("{fraction:.2}")),
        if peer.spread > harness_bench::report::NOISY { "noisy".to_owned() } else { String::new() },
    ]
}

fn size(bytes: usize) -> String {
    if bytes >= 1 << 20 { format!("{} MiB", bytes >> 20) } else { format!("{} KiB", bytes >> 10) }
}
