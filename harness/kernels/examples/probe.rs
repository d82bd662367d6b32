use harness_kernels::{levels::Bits, limits::Limit, *};
use std::time::Instant;
fn main() {
    let threads: usize = std::env::args().nth(1).map_or(1, |a| a.parse().unwrap());
    let pool = Pool::new(threads);
    let shapes = [
        ("gemm256", Conv2d::matrix(256, 256, 2304)),
        ("gemm1k", Conv2d::matrix(1024, 1024, 1024)),
        ("gemv4k", Conv2d::matrix(1, 4096, 4096)),
        ("conv56", Conv2d::same(1, 56, 64, 64, 3)),
        ("conv14", Conv2d::same(1, 14, 256, 256, 3)),
        ("conv7", Conv2d::same(1, 7, 512, 512, 3)),
    ];
    let float = Limit::float().unwrap();
    for (name, shape) in shapes {
        for (w, a) in [(1, 1), (1, 2), (2, 2), (1, 4), (2, 4), (4, 4), (1, 8), (2, 8), (4, 8), (8, 8)] {
            let (wb, ab) = (Bits::new(w).unwrap(), Bits::new(a).unwrap());
            print!("{name} w{w}a{a}:");
            for route in Route::available().filter(|r| r.isa == Isa::best()) {
                if route.family == Family::Popcount && w * a > 4 {
                    continue;
                }
                if route.family == Family::Table && (w > 4) {
                    continue;
                }
                let weights = vec![1u8; shape.outputs * shape.depth()];
                let product = Product::new(shape, &weights, wb, ab, route, &Grid::symmetric_weights(wb)).unwrap();
                let mut packed = product.activations();
                let n = shape.batch * shape.height * shape.width * shape.channels;
                let values: Vec<f32> = (0..n).map(|i| (i * 7 % 13) as f32 / 12.0).collect();
                let q = Quantize::Uniform { bits: ab, inverse: ab.max_code() as f32 };
                let [h, wd] = product.output();
                let mut out = vec![0f32; shape.batch * h * wd * shape.outputs];
                let limit = Limit::of(route, wb, ab).unwrap();
                let (mut best, mut best_pack, mut lim, mut fl) = (f64::MAX, f64::MAX, 0f64, 0f64);
                for _ in 0..12 {
                    let t = Instant::now();
                    packed.fill(&values, &q).unwrap();
                    best_pack = best_pack.min(t.elapsed().as_secs_f64());
                    let t = Instant::now();
                    product
                        .run(&packed, Output::Scaled { out: &mut out, scale: &[1.0], bias: &[], relu: false }, &pool)
                        .unwrap();
                    best = best.min(t.elapsed().as_secs_f64());
                    let t = Instant::now();
                    lim = lim.max(limit.run(20000) / t.elapsed().as_secs_f64());
                    let t = Instant::now();
                    fl = fl.max(float.run(50000) / t.elapsed().as_secs_f64());
                }
                let rate = product.macs() as f64 / best;
                print!(
                    "  {} {:.0} {:.2} ({:.1}x, {:.0}% pack)",
                    route,
                    2e-9 * rate,
                    rate / lim,
                    rate / fl,
                    100.0 * best_pack / (best + best_pack)
                );
            }
            println!("  float {:.0}", 0);
        }
    }
}
