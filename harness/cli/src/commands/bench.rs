//! `harness bench`: how fast the native kernels are, and with `--training` what quantized training costs.

mod kernels;
mod training;

use std::path::PathBuf;

use clap::{Args, ValueEnum};

use crate::arguments::Volume;
use crate::exit::Outcome;

#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  harness bench\n  harness bench --shapes resnet18,1x4096x4096 --bits w1a1,w2a2,w8a8 --threads 2\n  harness bench --shapes gemm --bits w2a2 --routes all --json\n  harness bench --training --suite methods --rounds 15"
)]
pub(crate) struct Arguments {
    /// Layers: gemm, resnet18, alexnet, vgg9, googlenet, lstm, or MxNxK
    #[arg(long, value_delimiter = ',', default_value = "gemm,resnet18", conflicts_with = "training")]
    shapes: Vec<String>,
    /// Widths of weights and activations, w1a1 to w8a8
    #[arg(
        long,
        value_delimiter = ',',
        default_value = "w1a1,w1a2,w2a2,w1a4,w4a4,w2a8,w4a8,w8a8",
        conflicts_with = "training"
    )]
    bits: Vec<String>,
    /// Loops to time: best (the one that runs by itself), all, or names such as popcount-avx2
    #[arg(long, value_delimiter = ',', default_value = "best", conflicts_with = "training")]
    routes: Vec<String>,
    /// Write bench.json and the tables and figures into this folder
    #[arg(long, value_name = "DIR", conflicts_with = "training")]
    out: Option<PathBuf>,
    /// Time training steps instead: forward, backward and update
    #[arg(long)]
    training: bool,
    /// What training times: networks (LeNet and the small VGG, float and DoReFa) or methods (all, on ResNet-20's layers)
    #[arg(long, default_value = "networks", requires = "training")]
    suite: SuiteChoice,
    /// Images a training step
    #[arg(long, default_value_t = 128, value_parser = clap::value_parser!(u16).range(2..), requires = "training")]
    batch: u16,
    /// Threads [default: 1, training 2]
    #[arg(long, value_parser = clap::value_parser!(u16).range(1..))]
    threads: Option<u16>,
    /// Times everything is timed, in turn
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
    if arguments.training { training::run(arguments, volume) } else { kernels::run(arguments, volume) }
}
