//! `harness bench`: the speed of the native kernels, and with `--training` the cost of quantized training steps.

mod kernels;
mod training;

use std::path::PathBuf;

use clap::{Args, ValueEnum};

use crate::exit::Outcome;
use crate::shared_arguments::Volume;

#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  harness bench\n  harness bench --shapes resnet18,1x4096x4096 --bits w1a1,w2a2,w8a8 --threads 2\n  harness bench --shapes gemm --bits w2a2 --routes all --json\n  harness bench --shapes chain --bits w1a1,w2a2,w4a4,w8a8\n  harness bench --shapes resnet18 --tune plans.txt\n  harness bench --training --suite methods --rounds 15"
)]
pub(crate) struct BenchArguments {
    /// Layers to time: gemm, resnet18, alexnet, vgg9, googlenet, lstm, or a matrix product MxNxK; or chain (the blocks of ResNet-18: convolution, batch normalization and activation codes, twice)
    #[arg(long, value_delimiter = ',', default_value = "gemm,resnet18", conflicts_with = "training")]
    shapes: Vec<String>,
    /// Bit widths of weights and activations, w1a1 to w8a8
    #[arg(
        long,
        value_delimiter = ',',
        default_value = "w1a1,w1a2,w2a2,w1a4,w4a4,w2a8,w4a8,w8a8",
        conflicts_with = "training"
    )]
    bits: Vec<String>,
    /// Routes to time: best (the one that a product takes by default), all (every family on the widest instruction set), or names such as popcount-avx2
    #[arg(long, value_delimiter = ',', default_value = "best", conflicts_with = "training")]
    routes: Vec<String>,
    /// Measure which route is the fastest for each product, all threads and packing included, unless FILE has it already from this processor and this version of the kernels; keep it in FILE, and time that route beside the default one
    #[arg(long, value_name = "FILE", conflicts_with_all = ["training", "routes"])]
    tune: Option<PathBuf>,
    /// Write bench.json, tables and figures into this folder
    #[arg(long, value_name = "DIR", conflicts_with = "training")]
    out: Option<PathBuf>,
    /// Time training steps (forward, backward and update) instead of kernels
    #[arg(long)]
    training: bool,
    /// Training steps to time: networks (LeNet and the small VGG, float and DoReFa) or methods (every method, on the layers of ResNet-20)
    #[arg(long, default_value = "networks", requires = "training")]
    suite: SuiteChoice,
    /// Images per training step
    #[arg(long, default_value_t = 128, value_parser = clap::value_parser!(u16).range(2..), requires = "training")]
    batch: u16,
    /// Number of threads [default: 1, with --training 2]
    #[arg(long, value_parser = clap::value_parser!(u16).range(1..))]
    threads: Option<u16>,
    /// Number of measurement rounds; every candidate is timed once per round
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

pub(crate) fn run(arguments: &BenchArguments, volume: Volume) -> Outcome {
    if arguments.training { training::run(arguments, volume) } else { kernels::run(arguments, volume) }
}
