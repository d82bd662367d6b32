//! How fast photographs become training images on one core, and how fast they are only decoded; beside Pillow where
//! there is one.
//!
//! `HARNESS_PHOTOS=FOLDER cargo bench -p harness-datasets --bench photos`, where FOLDER has one folder a class.
//! `HARNESS_PYTHON` names a Python with torchvision, or with Pillow and NumPy, if it is not `python3`. Times are
//! processor time (Linux; wall time elsewhere), medians of interleaved rounds.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::print_stdout, missing_docs)]

use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::sync::Arc;
use std::time::Instant;

use harness_datasets::{Photos, Split, find};
use harness_records::options::{OptionValue, Options};
use zune_core::bytestream::ZCursor;
use zune_jpeg::JpegDecoder;

const ROUNDS: usize = 5;
/// Walks through all files in a round.
const WALKS: usize = 4;
/// The arm that does what Pillow does.
const TRAINING: usize = 1;

/// Seconds of processor time of this process so far, where the system tells; else of wall time.
fn seconds(since: Instant) -> f64 {
    let stat = fs::read_to_string("/proc/self/stat").ok();
    let ticks = stat.and_then(|stat| {
        let fields: Vec<f64> = stat.rsplit_once(')')?.1.split_whitespace().filter_map(|f| f.parse().ok()).collect();
        // User and system time in hundredths, the 14th and 15th field, counted without the two before and the letter.
        Some((fields.get(10)? + fields.get(11)?) / 100.0)
    });
    ticks.unwrap_or_else(|| since.elapsed().as_secs_f64())
}

fn photos(root: &Path, changed: &[(&str, OptionValue)], split: Split) -> Arc<Photos> {
    let dataset = find("imagenet").unwrap();
    let options = Options::defaults(dataset.about().options);
    let options: Options = (options.iter().map(|(name, value)| (name.to_owned(), value.clone())))
        .chain(changed.iter().map(|(name, value)| ((*name).to_owned(), value.clone())))
        .collect();
    Arc::new(dataset.load(Some(root), &options, split).unwrap().photos().unwrap())
}

/// Decodes everything once and normalises it, as f32; the sum keeps it from being left out.
fn walk(photos: &Arc<Photos>, key: Option<(u64, u64)>) -> f32 {
    let indices: Vec<u32> = (0..photos.len() as u32).collect();
    let batches = indices.chunks(16).map(<[u32]>::to_vec).collect();
    let (mean, std) = photos.normalisation();
    let plane = photos.side() * photos.side();
    let loader = photos.load(batches, key, 1, |bytes| Ok(vec![0u8; bytes])).unwrap();
    let mut sum = 0.0;
    for batch in loader {
        let batch = batch.unwrap();
        let mut normalised = vec![0f32; batch.labels.len() * 3 * plane];
        for (i, (to, from)) in normalised.chunks_exact_mut(plane).zip(batch.pixels.chunks_exact(plane)).enumerate() {
            let (shift, factor) = (mean[i % 3] * 255.0, 1.0 / (std[i % 3] * 255.0));
            to.iter_mut().zip(from).for_each(|(to, &from)| *to = (f32::from(from) - shift) * factor);
        }
        sum += normalised[plane / 2];
    }
    sum
}

/// A Python that does the same with Pillow, and tells its own processor time.
struct Pillow {
    process: Child,
    ask: ChildStdin,
    answers: BufReader<ChildStdout>,
}

impl Pillow {
    /// `None` where it cannot be had.
    fn start(folder: &Path) -> Option<Pillow> {
        let python = std::env::var_os("HARNESS_PYTHON").unwrap_or_else(|| "python3".into());
        let script = concat!(env!("CARGO_MANIFEST_DIR"), "/benches/pillow.py");
        let mut command = Command::new(python);
        command.arg(script).arg(folder).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null());
        let mut process = command.spawn().ok()?;
        let (ask, answers) = (process.stdin.take()?, BufReader::new(process.stdout.take()?));
        let mut pillow = Pillow { process, ask, answers };
        let versions = pillow.answer()?;
        println!("beside {versions}");
        Some(pillow)
    }

    fn answer(&mut self) -> Option<String> {
        let mut line = String::new();
        self.answers.read_line(&mut line).ok().filter(|&read| read > 0)?;
        Some(line.trim().to_owned())
    }

    /// Seconds of processor time to walk through all files `WALKS` times.
    fn seconds(&mut self, seed: usize) -> f64 {
        writeln!(self.ask, "{WALKS} {seed}").unwrap();
        self.answer().unwrap().parse().unwrap()
    }
}

impl Drop for Pillow {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// Median, least and largest.
fn spread(mut values: Vec<f64>) -> (f64, f64, f64) {
    values.sort_by(f64::total_cmp);
    (values[values.len() / 2], values[0], values[values.len() - 1])
}

fn main() {
    let Some(folder) = std::env::var_os("HARNESS_PHOTOS").map(PathBuf::from) else {
        println!("passed over: HARNESS_PHOTOS names no folder of photographs");
        return;
    };
    let root = tempfile::tempdir().unwrap();
    for part in ["train", "val"] {
        let inside = root.path().join(part);
        fs::create_dir(&inside).unwrap();
        for class in fs::read_dir(&folder).unwrap() {
            let class = class.unwrap();
            if class.path().is_dir() {
                copy(&class.path(), &inside.join(class.file_name()));
            }
        }
    }
    let train = photos(root.path(), &[], Split::Train);
    let whole = photos(root.path(), &[("scaled", OptionValue::Bool(false))], Split::Train);
    let test = photos(root.path(), &[], Split::Test);
    let files: Vec<Vec<u8>> = files(&root.path().join("train"));
    let bytes: usize = files.iter().map(Vec::len).sum();
    println!("{} photographs of {} bytes on average, images a second on one core:", files.len(), bytes / files.len());
    type Arm<'a> = (&'a str, Box<dyn Fn(u64) -> f32 + 'a>);
    let arms: [Arm; 4] = [
        (
            "whole files decoded by zune-jpeg, nothing more",
            Box::new(|_| {
                files.iter().map(|file| f32::from(JpegDecoder::new(ZCursor::new(&file[..])).decode().unwrap()[0])).sum()
            }),
        ),
        ("random crop 224, flip, normalise", Box::new(|epoch| walk(&train, Some((0, epoch))))),
        ("the same, never decoded smaller", Box::new(|epoch| walk(&whole, Some((0, epoch))))),
        ("resize 256, centre 224, normalise", Box::new(|_| walk(&test, None))),
    ];
    let mut pillow = Pillow::start(&root.path().join("train"));
    let began = Instant::now();
    let images = (WALKS * files.len()) as f64;
    let mut rates = vec![Vec::new(); arms.len()];
    let mut others = Vec::new();
    for round in 0..ROUNDS {
        for ((_, arm), rates) in arms.iter().zip(&mut rates) {
            let from = seconds(began);
            for pass in 0..WALKS {
                std::hint::black_box(arm((round * WALKS + pass) as u64));
            }
            rates.push(images / (seconds(began) - from));
        }
        others.extend(pillow.as_mut().map(|pillow| images / pillow.seconds(round)));
    }
    // Of each round, so that a slow minute of the machine slows both.
    let ratios: Vec<f64> = rates[TRAINING].iter().zip(&others).map(|(ours, other)| ours / other).collect();
    let line = |name: &str, rates: Vec<f64>| {
        let (median, min, max) = spread(rates);
        println!("{median:7.0}  ({min:.0} to {max:.0})  {name}");
    };
    for ((name, _), rates) in arms.iter().zip(rates) {
        line(name, rates);
    }
    if others.is_empty() {
        println!(
            "without a ratio: no Python with torchvision, or with Pillow and NumPy, was found, HARNESS_PYTHON names one"
        );
        return;
    }
    line("random crop 224, flip, normalise by Pillow", others);
    let (median, min, max) = spread(ratios);
    println!("{median:7.2}  ({min:.2} to {max:.2})  times Pillow");
}

fn copy(from: &Path, to: &Path) {
    fs::create_dir(to).unwrap();
    for file in fs::read_dir(from).unwrap() {
        let file = file.unwrap();
        fs::copy(file.path(), to.join(file.file_name())).unwrap();
    }
}

fn files(folder: &Path) -> Vec<Vec<u8>> {
    let mut paths: Vec<PathBuf> = fs::read_dir(folder).unwrap().map(|class| class.unwrap().path()).collect();
    paths.sort();
    paths
        .iter()
        .flat_map(|class| fs::read_dir(class).unwrap())
        .map(|file| fs::read(file.unwrap().path()).unwrap())
        .collect()
}
