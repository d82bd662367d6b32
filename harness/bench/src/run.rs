//! The benchmark: for every shape, the native kernels of each pair of bit widths and route, libtorch's operators, and the
//! limits of the roofline, timed together.

use harness_kernels::limits::Limit;
use harness_kernels::{Activations, Grid, Output, PlanCache, Pool, Product, Quantize, Route, Source, Tuning};
use harness_records::bench_report::{
    BenchReport, Bound, KernelResult, LibtorchResult, MemoryBandwidth, NumberType, Operation, VERSION,
};
use harness_records::record::Environment;

use crate::BenchError;
use crate::candidate::{NativeProduct, Packing, RooflineLimit, TorchOperator, filters, image};
use crate::chain::{self, Chain};
use crate::pairs::Pair;
use crate::planned::plan;
use crate::shapes::Shape;
use crate::timing::{Candidate, in_turn, quartiles, spread};

/// What to time.
#[derive(Debug, Clone)]
pub struct Request {
    /// Layers to time.
    pub shapes: Vec<Shape>,
    /// Chains of layers to time.
    pub chains: Vec<Chain>,
    /// Bit widths of weights and activations, each on every shape and chain.
    pub pairs: Vec<Pair>,
    /// Routes, each on every shape and pair; `None` for the route that a product takes when none is asked for.
    pub routes: Option<Vec<Route>>,
    /// Threads that every candidate runs on.
    pub threads: usize,
    /// Measurement rounds; every candidate is timed once per round.
    pub rounds: usize,
}

/// Steps of a limit's loop per call, which take some tens of microseconds.
const STEPS: usize = 20_000;

/// Buffer sizes in bytes at which memory bandwidth is measured, from the first-level cache to main memory.
const SIZES: [usize; 5] = [16 << 10, 256 << 10, 4 << 20, 16 << 20, 256 << 20];

/// A time is called noisy if its [`spread`] is above this.
pub const NOISY: f64 = 0.1;

/// Times everything that `request` asks for, on the machine that `environment` describes. With `plans`, products for which no
/// routes are asked run on the route that is kept there, or measured now and then kept, and on the one that they take by default. `progress` is called with the
/// number of shapes and chains that are done, their number, and the name of what is timed next.
///
/// # Errors
/// When the processor cannot run a route, a product cannot be set up, a result differs from libtorch's, or libtorch
/// fails.
pub fn run(
    request: &Request,
    environment: Environment,
    mut plans: Option<&mut PlanCache>,
    progress: &mut dyn FnMut(usize, usize, &str),
) -> Result<BenchReport, BenchError> {
    let threads = request.threads;
    let cores = core_affinity::get_core_ids().unwrap_or_default();
    // libtorch's threads inherit the cores of the one that starts them. A single one gets the second core; several can only be
    // left to the system, and are started before this one is pinned.
    if let (2, Some(&second)) = (threads, cores.get(1)) {
        core_affinity::set_for_current(second);
    }
    tch::set_num_threads(i32::try_from(threads).unwrap_or(i32::MAX));
    let warm = tch::Tensor::f_ones([512, 512], (tch::Kind::Float, tch::Device::Cpu))?;
    let _ = warm.f_matmul(&warm)?;
    let mut pinned = Vec::new();
    if let Some(&core) = cores.first()
        && core_affinity::set_for_current(core)
    {
        pinned.extend(cores.iter().take(threads).map(|core| core.id));
    }
    let pool = Pool::with_start(threads, move |index| {
        if let Some(&core) = cores.get(index) {
            core_affinity::set_for_current(core);
        }
    });
    let mut report = BenchReport {
        environment,
        version: VERSION,
        threads,
        rounds: request.rounds,
        cores: pinned,
        memory: Vec::new(),
        libtorch: Vec::new(),
        kernels: Vec::new(),
        chains: Vec::new(),
    };
    let count = request.shapes.len() + request.chains.len();
    progress(0, count, "memory");
    report.memory = memory(request.rounds)?;
    for (index, shape) in request.shapes.iter().enumerate() {
        progress(index, count, &shape.name);
        let (libtorch, kernels) = time_shape(request, shape, plans.as_deref_mut(), &pool)?;
        report.libtorch.extend(libtorch);
        report.kernels.extend(kernels);
    }
    for (index, chain) in request.chains.iter().enumerate() {
        progress(request.shapes.len() + index, count, &chain.name);
        let routes = request.routes.as_deref();
        report.chains.extend(chain::time(chain, &request.pairs, routes, request.rounds, plans.as_deref_mut(), &pool)?);
    }
    progress(count, count, "");
    Ok(report)
}

fn memory(rounds: usize) -> Result<Vec<MemoryBandwidth>, BenchError> {
    let limits: Vec<RooflineLimit> =
        SIZES.iter().map(|&bytes| RooflineLimit::new(Limit::read(bytes), bytes / 64)).collect();
    let work: Vec<f64> = limits.iter().map(RooflineLimit::work).collect();
    let mut candidates: Vec<Box<dyn Candidate>> =
        limits.into_iter().map(|limit| Box::new(limit) as Box<dyn Candidate>).collect();
    let seconds = in_turn(&mut candidates, rounds)?;
    let row = |((bytes, work), seconds): ((usize, f64), Vec<f64>)| {
        let rate = quartiles(seconds.into_iter().map(|s| work / s * 1e-9))?;
        Some(MemoryBandwidth { bytes: bytes as u64, gb_per_s: rate.median, spread: spread(rate) })
    };
    Ok(SIZES.into_iter().zip(work).zip(seconds).filter_map(row).collect())
}

/// A native kernel, ready to be timed.
struct Setup {
    pair: Pair,
    route: Route,
    /// Whether the route is that of a plan.
    planned: bool,
    product: Product,
    activations: Activations,
    quantize: Quantize,
    label: String,
}

impl Setup {
    fn new(
        shape: &Shape,
        pair: Pair,
        route: Route,
        planned: bool,
        values: &[f32],
        pool: &Pool,
    ) -> Result<Setup, BenchError> {
        let label = format!("{} {pair} {route}", shape.name);
        let failed = |source| BenchError::Kernel { kernel: label.clone(), source };
        let grid = Grid::symmetric_weights(pair.weights);
        let weights = weight_codes(shape, pair);
        let product =
            Product::new(shape.conv, &weights, pair.weights, pair.activations, route, &grid).map_err(failed)?;
        let inverse = f32::from(pair.activations.max_code());
        let quantize = Quantize::Uniform { bits: pair.activations, inverse };
        let mut activations = product.activations();
        activations.fill(values, &quantize, pool).map_err(failed)?;
        Ok(Setup { pair, route, planned, product, activations, quantize, label })
    }

    /// Compares all sums with libtorch's convolution of the same integers. Nothing is compared where the sums may be too
    /// large for f32 to hold them exactly.
    fn check(&self, shape: &Shape, values: &[f32], pool: &Pool) -> Result<(), BenchError> {
        let max = f64::from(self.pair.weights.max_code()) * f64::from(self.pair.activations.max_code());
        let [rows, columns, depth] = shape.matrix();
        if max * depth as f64 >= f64::from(1 << 24) {
            return Ok(());
        }
        let failed = |source| BenchError::Kernel { kernel: self.label.clone(), source };
        let mut sums = vec![0; rows * columns];
        self.product.run(&self.activations, Output::Sums(&mut sums), pool).map_err(failed)?;
        let codes: Vec<u8> = values.iter().map(|&x| self.quantize.code(x)).collect();
        let weights = filters(&weight_codes(shape, self.pair), shape)?;
        let weights = weights.f_mul_scalar(2)?.f_sub_scalar(i64::from(self.pair.weights.max_code()))?;
        let floats = TorchOperator::floats(shape, &image(&codes, shape)?, &weights)?;
        let Some((_, float)) = floats.first() else { return Ok(()) };
        let exact = float.forward()?;
        let exact = if shape.is_matrix() { exact } else { exact.f_permute([0, 2, 3, 1])?.f_contiguous()? };
        let exact = Vec::<f32>::try_from(exact.f_reshape([-1])?)?;
        let differing = exact.iter().zip(&sums).filter(|&(&exact, &sum)| exact != sum as f32).count();
        if differing > 0 || exact.len() != sums.len() {
            return Err(BenchError::Wrong { kernel: self.label.clone(), differing, outputs: sums.len() });
        }
        Ok(())
    }
}

/// `count` pseudo-random values from 0 to 1.
fn values(count: usize) -> Vec<f32> {
    (0..count as u32).map(|i| (i.wrapping_mul(2_654_435_761) >> 8) as f32 / (1 << 24) as f32).collect()
}

fn weight_codes(shape: &Shape, pair: Pair) -> Vec<u8> {
    let count = (shape.conv.outputs * shape.conv.depth()) as u32;
    (0..count).map(|i| (i.wrapping_mul(2_246_822_519) >> 24) as u8 & pair.weights.max_code()).collect()
}

fn time_shape(
    request: &Request,
    shape: &Shape,
    mut plans: Option<&mut PlanCache>,
    pool: &Pool,
) -> Result<(Vec<LibtorchResult>, Vec<KernelResult>), BenchError> {
    let conv = shape.conv;
    let values = values(conv.batch * conv.height * conv.width * conv.channels);
    let mut setups = Vec::new();
    for &pair in &request.pairs {
        let Pair { weights, activations } = pair;
        let tuning = Tuning { shape: conv, weights, activations, source: Source::Values };
        let (planned, default) = (plan(plans.as_deref_mut(), &tuning, &shape.name, pool)?, tuning.choose());
        let mut routes = vec![planned.unwrap_or(default)];
        routes.extend((routes[0] != default).then_some(default));
        for &route in request.routes.as_deref().unwrap_or(&routes) {
            let setup = Setup::new(shape, pair, route, planned == Some(route), &values, pool)?;
            setup.check(shape, &values, pool)?;
            setups.push(setup);
        }
    }

    // The same values in full precision, for libtorch.
    let sizes = [conv.batch, conv.height, conv.width, conv.channels].map(|size| size as i64);
    let x = tch::Tensor::f_from_slice(&values)?.f_reshape(sizes)?.f_permute([0, 3, 1, 2])?;
    let weight = filters(&weight_codes(shape, Pair { weights: EIGHT, activations: EIGHT }), shape)?;
    let weight = weight.f_sub_scalar(128)?.f_div_scalar(128)?;
    let floats = TorchOperator::floats(shape, &x, &weight)?;
    let int8s = TorchOperator::int8s(shape, &x, &weight);
    let names: Vec<(&'static str, NumberType)> = (floats.iter().map(|(name, _)| (*name, NumberType::F32)))
        .chain(int8s.iter().map(|(name, _)| (*name, NumberType::Int8)))
        .collect();

    let mut candidates: Vec<Box<dyn Candidate + '_>> = Vec::new();
    for (_, operator) in floats.into_iter().chain(int8s) {
        candidates.push(Box::new(operator));
    }
    let float_limit = Limit::float().map(|limit| RooflineLimit::new(limit, STEPS));
    let float_work = float_limit.as_ref().map(RooflineLimit::work);
    let float_at = candidates.len();
    candidates.extend(float_limit.map(|limit| Box::new(limit) as Box<dyn Candidate>));
    let first = candidates.len();
    let mut work = Vec::new();
    for setup in &setups {
        candidates.push(Box::new(NativeProduct::new(&setup.product, &setup.activations, pool)));
        candidates.push(Box::new(Packing::new(&setup.product, &values, setup.quantize.clone(), pool)));
        let compute = RooflineLimit::new(Limit::of_product(&setup.product), STEPS);
        // Each thread reads its share of the weights at least once.
        let bytes = setup.product.weight_bytes();
        let read = RooflineLimit::new(Limit::read(bytes), bytes / 64);
        work.push((compute.work(), read.work()));
        candidates.push(Box::new(compute));
        candidates.push(Box::new(read));
    }

    let seconds = in_turn(&mut candidates, request.rounds)?;
    let macs = shape.matrix().iter().product::<usize>() as f64;
    let limits = float_work.map(|work| (work, &seconds[float_at]));
    let libtorch = libtorch_results(shape, &names, &seconds, limits, macs, request.threads);
    let fastest = |kind: NumberType| {
        let index = libtorch.iter().position(|result| result.kind == kind && result.fastest)?;
        Some(&seconds[index])
    };
    let (float, int8) = (fastest(NumberType::F32), fastest(NumberType::Int8));
    let result = |(index, setup): (usize, &Setup)| {
        let at = first + 4 * index;
        let times =
            Times { run: &seconds[at], pack: &seconds[at + 1], compute: &seconds[at + 2], read: &seconds[at + 3] };
        kernel_result(shape, setup, &times, work[index], (float, int8), request.threads)
    };
    let kernels = setups.iter().enumerate().filter_map(result).collect();
    Ok((libtorch, kernels))
}

const EIGHT: harness_kernels::levels::Bits = match harness_kernels::levels::Bits::new(8) {
    Some(bits) => bits,
    None => unreachable!(),
};

/// The error for a route that this processor lacks.
#[must_use]
pub fn unavailable(route: Route) -> BenchError {
    let available = Route::available().map(|route| route.to_string()).collect::<Vec<_>>().join(", ");
    BenchError::Route { route, available }
}

fn libtorch_results(
    shape: &Shape,
    names: &[(&'static str, NumberType)],
    seconds: &[Vec<f64>],
    limit: Option<(f64, &Vec<f64>)>,
    macs: f64,
    threads: usize,
) -> Vec<LibtorchResult> {
    let row = |(&(operator, kind), seconds): (&(&'static str, NumberType), &Vec<f64>)| {
        let time = quartiles(seconds.iter().copied())?;
        let fraction = limit.filter(|_| kind == NumberType::F32).and_then(|(work, limit)| {
            let rates = seconds.iter().zip(limit).map(|(s, l)| macs / s / (work / l * threads as f64));
            quartiles(rates)
        });
        Some(LibtorchResult {
            shape: shape.name.clone(),
            operator: operator.to_owned(),
            kind,
            time_s: time.median,
            gops: 2e-9 * macs / time.median,
            fraction_of_limit: fraction.map(|fraction| fraction.median),
            spread: spread(time),
            fastest: false,
        })
    };
    let mut results: Vec<LibtorchResult> = names.iter().zip(seconds).filter_map(row).collect();
    for kind in [NumberType::F32, NumberType::Int8] {
        let of_kind = results.iter_mut().filter(|result| result.kind == kind);
        if let Some(result) = of_kind.min_by(|a, b| a.time_s.total_cmp(&b.time_s)) {
            result.fastest = true;
        }
    }
    results
}

/// Seconds per call in each round: of the product, of packing, and of the two limits.
struct Times<'a> {
    run: &'a [f64],
    pack: &'a [f64],
    compute: &'a [f64],
    read: &'a [f64],
}

fn kernel_result(
    shape: &Shape,
    setup: &Setup,
    times: &Times<'_>,
    (compute, read): (f64, f64),
    (float, int8): (Option<&Vec<f64>>, Option<&Vec<f64>>),
    threads: usize,
) -> Option<KernelResult> {
    let [m, n, k] = shape.matrix();
    let macs = (m * n * k) as f64;
    let (run, pack) = (quartiles(times.run.iter().copied())?, quartiles(times.pack.iter().copied())?);
    let both: Vec<f64> = times.run.iter().zip(times.pack).map(|(run, pack)| run + pack).collect();
    let total = quartiles(both.iter().copied())?;
    let ratio = |libtorch: Option<&Vec<f64>>| quartiles(libtorch?.iter().zip(&both).map(|(other, both)| other / both));
    // Seconds that the product would take at the limits, round by round.
    let by_compute = |round: usize| macs / (compute / times.compute[round] * threads as f64);
    let by_reading = |round: usize| times.read[round] * setup.product.weight_bytes() as f64 / read / threads as f64;
    let rounds = 0..times.run.len();
    let min: Vec<f64> = rounds.clone().map(|round| by_compute(round).max(by_reading(round))).collect();
    let fraction = quartiles(rounds.clone().map(|round| min[round] / times.run[round]))?;
    let limit = quartiles(min.iter().map(|seconds| 2e-9 * macs / seconds))?;
    let reading = rounds.clone().filter(|&round| by_reading(round) > by_compute(round)).count();
    let bytes = setup.product.weight_bytes() + setup.activations.bytes() + 4 * m * n;
    Some(KernelResult {
        shape: shape.name.clone(),
        op: if shape.is_matrix() { Operation::Gemm } else { Operation::Conv },
        m,
        n,
        k,
        bits: setup.pair.to_string(),
        weight_bits: setup.pair.weights.get(),
        activation_bits: setup.pair.activations.get(),
        route: setup.route.to_string(),
        chosen: setup.route == Route::choose(&shape.conv, setup.pair.weights, setup.pair.activations),
        planned: setup.planned,
        threads,
        time_s: run.median,
        pack_s: pack.median,
        gops: 2e-9 * macs / run.median,
        gops_packed: 2e-9 * macs / total.median,
        packing_share: pack.median / total.median,
        ratio_f32: ratio(float),
        ratio_int8: ratio(int8),
        fraction_of_limit: fraction.median,
        bound: if 2 * reading > times.run.len() { Bound::Memory } else { Bound::Compute },
        limit_gops: limit.median,
        intensity: macs / bytes as f64,
        spread: spread(run),
        noisy: spread(run) > NOISY,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::shapes;

    fn example_environment() -> Environment {
        Environment {
            commit: None,
            dirty: None,
            harness: "0.1.0".to_owned(),
            libtorch: "2".to_owned(),
            device: harness_records::record::RecordedDevice::Cpu,
            device_name: "Example CPU".to_owned(),
            cpu: "Example CPU".to_owned(),
            cpu_capability: "AVX2".to_owned(),
            threads: 1,
            host: "example".to_owned(),
            platform: "linux-x86_64".to_owned(),
        }
    }

    #[test]
    fn every_route_equals_libtorch_and_is_reported() {
        let routes: Vec<Route> = Route::available().collect();
        let request = Request {
            shapes: ["5x33x70", "1x40x65"].iter().flat_map(|name| shapes::parse(name).unwrap()).collect(),
            chains: Vec::new(),
            pairs: vec!["w1a1".parse().unwrap(), "w3a2".parse().unwrap()],
            routes: Some(routes.clone()),
            threads: 1,
            rounds: 3,
        };
        let mut seen = Vec::new();
        let report =
            run(&request, example_environment(), None, &mut |done, of, name| seen.push((done, of, name.to_owned())))
                .unwrap();
        assert_eq!(report.kernels.len(), 2 * 2 * routes.len());
        assert_eq!(seen.last(), Some(&(2, 2, String::new())));
        for kernel in &report.kernels {
            assert!(kernel.gops > 0.0 && kernel.fraction_of_limit > 0.0 && kernel.ratio_f32.is_some(), "{kernel:?}");
            assert!(kernel.packing_share > 0.0 && kernel.packing_share < 1.0, "{kernel:?}");
        }
        assert_eq!(report.libtorch.iter().filter(|result| result.kind == NumberType::F32 && result.fastest).count(), 2);
    }

    /// Strides, paddings, dilations, groups and windows of every kind, on every route.
    #[test]
    fn convolutions_equal_libtorch() {
        let square =
            |size, channels, outputs, kernel| harness_kernels::Conv2d::same(2, size, channels, outputs, kernel);
        let shapes = [
            square(7, 64, 33, 3),
            harness_kernels::Conv2d { stride: [2, 1], padding: [0, 2], ..square(8, 20, 40, 3) },
            harness_kernels::Conv2d { stride: [4, 4], padding: [2, 2], ..square(23, 3, 16, 11) },
            harness_kernels::Conv2d { dilation: [2, 3], padding: [4, 0], ..square(13, 10, 7, 5) },
            harness_kernels::Conv2d { groups: 4, ..square(6, 24, 36, 3) },
            harness_kernels::Conv2d { groups: 12, ..square(5, 12, 12, 7) },
        ];
        let pool = Pool::new(2);
        for conv in shapes {
            let shape = Shape { name: format!("{conv:?}"), conv };
            let values = values(conv.batch * conv.height * conv.width * conv.channels);
            for pair in ["w1a1", "w2a3", "w8a8"] {
                for route in Route::available() {
                    let setup = Setup::new(&shape, pair.parse().unwrap(), route, false, &values, &pool).unwrap();
                    setup.check(&shape, &values, &pool).unwrap();
                }
            }
        }
    }
}
