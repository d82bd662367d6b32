//! Runs one small convolution a given number of times, for `cargo xtask instructions`, which counts the instructions.
//!
//! `cargo run -p harness-kernels --example instructions -- table-avx2 w2a3 5`
#![allow(clippy::print_stderr)]

use std::process::ExitCode;

use harness_kernels::levels::Bits;
use harness_kernels::{Conv2d, Grid, Output, Pool, Product, Route};

fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().skip(1).collect();
    match run(&args) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error}, expected ROUTE wNaN TIMES");
            ExitCode::from(2)
        }
    }
}

fn run(args: &[String]) -> Result<(), Box<dyn std::error::Error>> {
    let [route, pair, times] = args else { return Err(format!("{} arguments", args.len()).into()) };
    let widths = pair.strip_prefix('w').and_then(|pair| pair.split_once('a')).ok_or("no pair of widths")?;
    let bits = |width: &str| width.parse().ok().and_then(Bits::new).ok_or("no width of 1 to 8 bits");
    let (w, a): (Bits, Bits) = (bits(widths.0)?, bits(widths.1)?);
    let route: Route = route.parse()?;
    // Tails in channels and pixels, padding, and a correction by the sums of codes.
    let shape = Conv2d::same(1, 5, 70, 37, 3);
    let codes = |count: usize, bits: Bits| -> Vec<u8> { (0..count).map(|i| (i * 37 % bits.codes()) as u8).collect() };
    let weights = codes(shape.outputs * shape.depth(), w);
    let product = Product::new(shape, &weights, w, a, route, &Grid::symmetric_weights(w))?;
    let mut packed = product.activations();
    let inputs = codes(packed.shape().iter().product(), a);
    let mut sums = vec![0; product.macs() as usize / shape.depth()];
    let pool = Pool::new(1);
    for _ in 0..times.parse::<usize>()? {
        packed.fill_codes(&inputs)?;
        product.run(&packed, Output::Sums(&mut sums), &pool)?;
    }
    std::hint::black_box(sums);
    Ok(())
}
