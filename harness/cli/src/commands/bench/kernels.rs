//! `harness bench` without `--training`: the native kernels beside libtorch and beside the processor's limits.

use std::collections::BTreeMap;
use std::io::IsTerminal;
use std::path::{Path, PathBuf};

use anyhow::Context;
use harness_bench::pairs::Pair;
use harness_bench::run::{self, NOISY, Request};
use harness_bench::{BenchError, chain, shapes};
use harness_engine::environment::{Revision, environment};
use harness_kernels::{Family, Isa, PlanCache, PlanCacheError, Route};
use harness_records::atomic;
use harness_records::bench_report::{BenchReport, Bound, ChainResult, KernelResult, LibtorchResult};
use harness_reports::{Format, Kernels, write_kernels};
use indicatif::{ProgressBar, ProgressStyle};
use tch::Device;

use super::BenchArguments;
use crate::exit::{Outcome, Stop, refuse};
use crate::output::{columns, print, print_json, talk};
use crate::shared_arguments::Volume;

pub(super) fn run(arguments: &BenchArguments, volume: Volume) -> Outcome {
    let request = request(arguments).map_err(refuse)?;
    let progress = Progress::new(volume);
    let environment = environment(&Revision::here(), Device::Cpu, u32::from(arguments.threads.unwrap_or(1)));
    let mut plans = arguments.tune.as_deref().map(|file| Plans::load(&environment.cpu, file)).transpose()?;
    let kept = plans.as_mut().map(|plans| &mut plans.cache);
    let ran = run::run(&request, environment, kept, &mut |done, of, next| progress.tell(done, of, next));
    progress.finish();
    // What was measured is kept even if a later product fails.
    if let Some(plans) = &plans {
        plans.save(volume)?;
    }
    let report = ran.map_err(stop)?;
    if let Some(folder) = &arguments.out {
        let file = write(folder, &report)?;
        let kernels = Kernels::of(report.clone());
        let drawn =
            if report.kernels.is_empty() { Ok(Vec::new()) } else { write_kernels(&kernels, folder, Format::ALL) };
        let drawn = drawn.with_context(|| format!("the numbers are in {}", file.display()))?;
        if !volume.quiet {
            let pictures = drawn.iter().filter(|file| file.extension().is_some_and(|extension| extension == "png"));
            [&file].into_iter().chain(pictures).for_each(|file| talk(format_args!("bench: {}", file.display())));
        }
    }
    if arguments.json {
        return Ok(print_json(&report)?);
    }
    Ok(print(text(&report))?)
}

fn request(arguments: &BenchArguments) -> Result<Request, BenchError> {
    let mut layers = Vec::new();
    let mut chains = Vec::new();
    for name in &arguments.shapes {
        if name == shapes::CHAIN { chains.extend(chain::resnet18()) } else { layers.extend(shapes::parse(name)?) }
    }
    let pairs = arguments.bits.iter().map(|bits| bits.parse::<Pair>()).collect::<Result<_, _>>()?;
    let routes = match arguments.routes.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        ["best"] => None,
        ["all"] => Some(Family::ALL.map(|family| Route { family, isa: Isa::best() }).to_vec()),
        ref names => Some(names.iter().map(|name| route(name)).collect::<Result<_, _>>()?),
    };
    let threads = usize::from(arguments.threads.unwrap_or(1));
    Ok(Request { shapes: layers, chains, pairs, routes, threads, rounds: usize::from(arguments.rounds) })
}

fn route(name: &str) -> Result<Route, BenchError> {
    let route: Route = name.parse()?;
    if route.is_available() { Ok(route) } else { Err(run::unavailable(route)) }
}

/// A kernel with a wrong result and a failure of libtorch end with the exit code of a failed run; every other error is a
/// mistake in the arguments.
fn stop(error: BenchError) -> Stop {
    match error {
        BenchError::Wrong { .. } | BenchError::WrongCodes { .. } | BenchError::Torch(_) => Stop::Broken(error.into()),
        _ => refuse(error),
    }
}

/// The measured routes and the file that they are kept in.
struct Plans<'a> {
    cache: PlanCache,
    file: &'a Path,
    /// Products that were in the file.
    found: usize,
}

impl<'a> Plans<'a> {
    fn load(processor: &str, file: &'a Path) -> Result<Plans<'a>, Stop> {
        let cache =
            PlanCache::load(processor, file).map_err(|error| refuse(Unreadable { file: file.to_owned(), error }))?;
        Ok(Plans { found: cache.len(), cache, file })
    }

    fn save(&self, volume: Volume) -> anyhow::Result<()> {
        atomic::write(self.file, self.cache.text().as_bytes())
            .with_context(|| format!("cannot write {}", self.file.display()))?;
        if !volume.quiet {
            let measured = self.cache.len() - self.found;
            talk(format_args!("bench: {measured} products measured, plans in {}", self.file.display()));
        }
        Ok(())
    }
}

/// A file of plans that cannot be used.
#[derive(Debug, thiserror::Error)]
#[error("--tune {}: {error}", file.display())]
struct Unreadable {
    file: PathBuf,
    error: PlanCacheError,
}

/// Writes `bench.json` into the folder and returns its path. A crash leaves the old file or the new one.
fn write(folder: &Path, report: &BenchReport) -> anyhow::Result<PathBuf> {
    std::fs::create_dir_all(folder).with_context(|| format!("cannot create {}", folder.display()))?;
    let file = folder.join("bench.json");
    let text = report.to_json()?;
    atomic::write(&file, text.as_bytes()).with_context(|| format!("cannot write {}", file.display()))?;
    Ok(file)
}

/// A progress bar on a terminal, one line per shape elsewhere.
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

fn text(report: &BenchReport) -> String {
    let environment = &report.environment;
    let memory: Vec<String> =
        report.memory.iter().map(|memory| format!("{} {:.0} GB/s", size(memory.bytes), memory.gb_per_s)).collect();
    let mut parts = vec![format!(
        "{}, {} thread{}{}, libtorch {} ({}), medians of {} rounds\nreading: {}",
        environment.cpu,
        report.threads,
        if report.threads == 1 { "" } else { "s" },
        pinned(report),
        environment.libtorch,
        environment.cpu_capability,
        report.rounds,
        memory.join(", "),
    )];
    if !report.kernels.is_empty() {
        let header = ["shape", "bits", "route", "us", "GOP/s", "x f32", "x int8", "of limit", "packing", ""];
        let rows: Vec<Vec<String>> = report.kernels.iter().map(kernel).collect();
        let libtorch: Vec<Vec<String>> = report.libtorch.iter().map(libtorch).collect();
        parts.push(columns(&["shape", "libtorch", "us", "GOP/s", "of limit", ""], &libtorch));
        parts.push(columns(&header, &rows));
        parts.push(choices(&report.kernels) + EXPLAINED);
    }
    if !report.chains.is_empty() {
        let header = ["chain", "bits", "routes", "us", "products us", "times", "x f32", "x int8", ""];
        let rows: Vec<Vec<String>> = report.chains.iter().map(chain_row).collect();
        parts.push(columns(&header, &rows));
        parts.push(CHAINS_EXPLAINED.to_owned());
    }
    parts.join("\n\n")
}

const EXPLAINED: &str = "us, GOP/s: time and speed on packed activations. x f32, x int8: speed over the fastest libtorch operator (marked \
     *),\nwith quantizing and packing included for the native kernel; libtorch's int8 input is quantized already. of limit: \
     fraction\nof the rate of the route's innermost instructions alone, or of reading the weights (mem). packing: its fraction \
     of the\ntime of packing and product. *: the route that a product takes by default. +: the route that was measured to be \
     the\nfastest, from the file of --tune. Every measurement starts when no other\nthread of the process runs. noisy: the \
     interquartile range is above 10% of the median.";

const CHAINS_EXPLAINED: &str = "A chain is convolution, batch normalization and activation codes, twice, from packed codes to packed codes. All \
     times are the\nshortest of the rounds. products us: its two products alone, with integer sums as results; times: time of \
     the chain over theirs.\nx f32, x int8: speed over the fastest form of the same chain in libtorch (batch normalization by \
     itself or folded), and over\nits int8 convolutions. noisy: the interquartile range is above 10% of the median.";

fn chain_row(chain: &ChainResult) -> Vec<String> {
    let ratio = |ratio: Option<f64>| ratio.map_or_else(|| "-".to_owned(), |ratio| format!("{ratio:.2}"));
    let [first, second] = &chain.routes;
    vec![
        chain.name.clone(),
        chain.bits.clone(),
        if first == second { first.clone() } else { format!("{first}, {second}") },
        format!("{:.1}", chain.time_s * 1e6),
        format!("{:.1}", chain.products_s * 1e6),
        format!("{:.3}", chain.over_products),
        ratio(chain.ratio_f32),
        ratio(chain.ratio_int8),
        if chain.spread > NOISY { "noisy".to_owned() } else { String::new() },
    ]
}

/// The cores that threads were pinned to, in words.
fn pinned(report: &BenchReport) -> String {
    let cores: Vec<String> = report.cores.iter().map(usize::to_string).collect();
    match (&cores[..], report.threads) {
        ([], _) => ", not pinned".to_owned(),
        ([core], _) => format!(" on core {core}"),
        (_, 2) => format!(" on cores {}", cores.join(", ")),
        _ => format!(" on cores {} (those of libtorch anywhere)", cores.join(", ")),
    }
}

/// What the chosen routes lose against the fastest that were timed, packing included; nothing where no other was timed.
fn choices(kernels: &[KernelResult]) -> String {
    let mut cells: BTreeMap<(&str, &str), Vec<&KernelResult>> = BTreeMap::new();
    for kernel in kernels {
        cells.entry((&kernel.shape, &kernel.bits)).or_default().push(kernel);
    }
    let total = |kernel: &KernelResult| kernel.time_s + kernel.pack_s;
    let loss = |(&(shape, bits), kernels): (&(&str, &str), &Vec<&KernelResult>)| {
        let chosen = kernels.iter().find(|kernel| kernel.chosen)?;
        let best = kernels.iter().min_by(|a, b| total(a).total_cmp(&total(b)))?;
        (kernels.len() > 1)
            .then(|| (total(chosen) / total(best), [shape, bits, &chosen.route, &best.route].map(str::to_owned)))
    };
    let mut losses: Vec<(f64, [String; 4])> = cells.iter().filter_map(loss).collect();
    if losses.is_empty() {
        return String::new();
    }
    let count = losses.len();
    losses.retain(|(loss, _)| *loss > MUCH);
    losses.sort_by(|a, b| b.0.total_cmp(&a.0));
    let worst: Vec<Vec<String>> = losses
        .iter()
        .map(|(loss, [shape, bits, chosen, best])| {
            vec![shape.clone(), bits.clone(), chosen.clone(), best.clone(), format!("{loss:.2}")]
        })
        .collect();
    let said = format!(
        "The chosen route takes over {MUCH:.2} times the time of the best one, packing included, for {} of {count} pairs of shape \
         and bits.\n",
        losses.len()
    );
    if worst.is_empty() {
        said + "\n"
    } else {
        format!("{said}{}\n\n", columns(&["shape", "bits", "chosen", "best", "times"], &worst))
    }
}

/// A choice that takes this many times as long as the best one counts as a loss.
const MUCH: f64 = 1.1;

fn kernel(kernel: &KernelResult) -> Vec<String> {
    let ratio = |ratio: Option<f64>| ratio.map_or_else(|| "-".to_owned(), |ratio| format!("{ratio:.2}"));
    vec![
        kernel.shape.clone(),
        kernel.bits.clone(),
        format!("{}{}{}", kernel.route, if kernel.chosen { " *" } else { "" }, if kernel.planned { " +" } else { "" }),
        format!("{:.1}", kernel.time_s * 1e6),
        format!("{:.0}", kernel.gops),
        ratio(kernel.speedup_f32()),
        ratio(kernel.speedup_int8()),
        format!("{:.2}{}", kernel.fraction_of_limit, if kernel.bound == Bound::Memory { " mem" } else { "" }),
        format!("{:.0}%", kernel.packing_share * 100.0),
        if kernel.noisy { "noisy".to_owned() } else { String::new() },
    ]
}

fn libtorch(result: &LibtorchResult) -> Vec<String> {
    vec![
        result.shape.clone(),
        format!("{} {}{}", result.kind, result.operator, if result.fastest { " *" } else { "" }),
        format!("{:.1}", result.time_s * 1e6),
        format!("{:.0}", result.gops),
        result.fraction_of_limit.map_or_else(String::new, |fraction| format!("{fraction:.2}")),
        if result.spread > NOISY { "noisy".to_owned() } else { String::new() },
    ]
}

fn size(bytes: u64) -> String {
    if bytes >= 1 << 20 { format!("{} MiB", bytes >> 20) } else { format!("{} KiB", bytes >> 10) }
}
