//! The times of every route of this processor on the layers of the benchmark, as lines of numbers: what the coefficients of
//! `src/cost.rs` are fitted to. `cargo run --release -p harness-kernels --example routes [ROUNDS] > routes.csv`
#![allow(clippy::unwrap_used, clippy::print_stdout, missing_docs)]

use harness_kernels::levels::Bits;
use harness_kernels::{Conv2d, Pool, Route, Source, Tuning};

fn layers() -> Vec<Conv2d> {
    let matrix = |(m, n, k)| Conv2d::matrix(m, n, k);
    let gemm =
        [(256, 256, 2304), (1024, 1024, 1024), (3136, 64, 576), (196, 256, 2304), (49, 512, 4608), (1, 4096, 4096)];
    let more = [(4, 1000, 512), (20, 1200, 600), (8, 512, 1152), (64, 96, 192)];
    let mut layers: Vec<Conv2d> = gemm.into_iter().chain(more).map(matrix).collect();
    layers.push(Conv2d::same(1, 56, 64, 64, 3));
    for (size, channels) in [(56, 64), (28, 128), (14, 256)] {
        let stride = [2, 2];
        layers.push(Conv2d { stride, ..Conv2d::same(1, size, channels, 2 * channels, 3) });
        layers.push(Conv2d { stride, ..Conv2d::same(1, size, channels, 2 * channels, 1) });
        layers.push(Conv2d::same(1, size / 2, 2 * channels, 2 * channels, 3));
    }
    layers.extend([Conv2d::same(1, 32, 16, 16, 3), Conv2d::same(1, 8, 64, 64, 3), Conv2d::same(1, 27, 64, 192, 5)]);
    layers
}

fn main() {
    let rounds = std::env::args().nth(1).map_or(5, |rounds| rounds.parse().unwrap());
    let bits = |k| Bits::new(k).unwrap();
    let pool = Pool::new(1);
    let routes: Vec<Route> = Route::available().collect();
    println!("batch,height,width,channels,outputs,kernel,stride,padding,w,a,route,product_us,packing_us,estimate_us");
    for shape in layers() {
        for (w, a) in [(1, 1), (1, 2), (2, 2), (1, 4), (2, 4), (3, 3), (4, 4), (1, 8), (2, 8), (8, 8)] {
            let tuning = Tuning { shape, weights: bits(w), activations: bits(a), source: Source::Values };
            for timed in tuning.measure(&routes, rounds, &pool).unwrap() {
                let Conv2d { batch, height, width, channels, outputs, kernel, stride, padding, .. } = shape;
                println!(
                    "{batch},{height},{width},{channels},{outputs},{},{},{},{w},{a},{},{:.3},{:.3},{:.3}",
                    kernel[0],
                    stride[0],
                    padding[0],
                    timed.route,
                    timed.product * 1e6,
                    timed.packing * 1e6,
                    tuning.estimate(timed.route).unwrap_or(0.0) * 1e6
                );
            }
        }
    }
}
