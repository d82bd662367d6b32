//! Once a product is set up it allocates nothing: checked for every output, on every route of this processor, on one thread
//! and on two.

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::sync::atomic::{AtomicUsize, Ordering};

use harness_kernels::levels::{Bits, LevelTable};
use harness_kernels::thresholds::Thresholds;
use harness_kernels::{
    Clip, CodePooling, CodesOut, Conv2d, Grid, LayerCodes, LayerOutput, Output, PlaneProduct, Pool, Pooling, Product,
    Quantize, Requantize, Residual, Route, Rows, WideProduct,
};

/// The system's allocator, counting the requests of threads for which counting is switched on.
struct Counting;

static COUNT: AtomicUsize = AtomicUsize::new(0);

thread_local! {
    /// Off for other threads, such as those of the test runner, which may allocate at any time.
    static COUNTED: Cell<bool> = const { Cell::new(false) };
}

fn count() {
    if COUNTED.with(Cell::get) {
        COUNT.fetch_add(1, Ordering::Relaxed);
    }
}

// SAFETY: every request is handed on as it came.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        count();
        // SAFETY: the caller's promise.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        count();
        // SAFETY: the caller's promise.
        unsafe { System.dealloc(pointer, layout) }
    }

    unsafe fn realloc(&self, pointer: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        count();
        // SAFETY: the caller's promise.
        unsafe { System.realloc(pointer, layout, size) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

fn allocations(work: impl FnOnce()) -> usize {
    let before = COUNT.load(Ordering::Relaxed);
    work();
    COUNT.load(Ordering::Relaxed) - before
}

fn pool(threads: usize) -> Pool {
    let pool = Pool::with_start(threads, |_| COUNTED.with(|counted| counted.set(true)));
    assert_eq!(pool.threads(), threads);
    pool
}

fn bits(k: u8) -> Bits {
    Bits::new(k).unwrap()
}

fn codes(count: usize, bits: Bits) -> Vec<u8> {
    (0..count).map(|i| (i * 37 % bits.codes()) as u8).collect()
}

/// Runs everything that a product does between set-up and result.
fn products(pool: &Pool) {
    // Padding, groups and more channels than are finished at a time.
    for shape in [Conv2d::same(1, 4, 40, 70, 3), Conv2d { groups: 2, ..Conv2d::same(1, 2, 1800, 800, 1) }] {
        for route in Route::available() {
            for (w, a) in [(1, 1), (2, 3), (8, 8)] {
                products_of(shape, bits(w), bits(a), route, pool);
            }
        }
    }
}

fn products_of(shape: Conv2d, w: Bits, a: Bits, route: Route, pool: &Pool) {
    // Every correction: by the sums of codes and by the place of the window.
    let grid = Grid { activation_zero: 1, ..Grid::symmetric_weights(w) };
    let product = Product::new(shape, &codes(shape.outputs * shape.depth(), w), w, a, route, &grid).unwrap();
    let mut packed = product.activations();
    let inputs = codes(packed.shape().iter().product(), a);
    let values: Vec<f32> = inputs.iter().map(|&code| f32::from(code)).collect();
    let uniform = Quantize::Uniform { bits: a, inverse: 1.0 };
    let boundaries = Thresholds::of(a, |x| uniform.code(x));
    let measured = Quantize::Thresholds { bits: a, boundaries };
    let channels = shape.outputs;
    let next = bits(2);
    let rules = [
        Requantize::batch_norm(next, &vec![(1, 0); channels], 3, 1 << 20).unwrap(),
        Requantize::batch_norm(next, &vec![(1 << 30, 0); channels], 33, 1 << 20).unwrap(),
        Requantize::thresholds(next, &vec![5; 3 * channels], &vec![false; channels]).unwrap(),
    ];
    let following = Conv2d { channels, outputs: 8, groups: 1, ..Conv2d::same(1, shape.height, channels, 8, 3) };
    let weights = codes(following.outputs * following.depth(), w);
    let mut after = Product::new(following, &weights, w, next, route, &Grid::codes()).unwrap().activations();
    let count = shape.batch * product.output()[0] * product.output()[1] * channels;
    let (mut sums, mut scaled, mut small) = (vec![0; count], vec![0.0; count], vec![0; count]);
    let (scale, bias) = (vec![0.5; channels], vec![0.25; channels]);
    let [height, width] = product.output();
    let pooling = Pooling {
        batch: shape.batch,
        height,
        width,
        channels,
        kernel: [2; 2],
        stride: [1; 2],
        padding: [1; 2],
        ceil: false,
    };
    let pooling = CodePooling::new(pooling, &vec![true; channels], route.isa).unwrap();
    let mut pooled = vec![0; shape.batch * pooling.output().iter().product::<usize>() * channels];
    let next_uniform = Quantize::UniformTiesToZero { bits: next, inverse: 0.3 };
    let found = allocations(|| {
        packed.fill_codes(&inputs).unwrap();
        packed.fill(&values, &uniform, pool).unwrap();
        packed.fill(&values, &measured, pool).unwrap();
        let codes = |out| Some(LayerCodes { scale: &scale, bias: &bias, quantize: &next_uniform, out });
        let layer = LayerOutput {
            scale: &scale,
            bias: &bias,
            residual: Residual::InPlace,
            clip: Clip::Relu,
            values: Some(Rows { data: &mut scaled, stride: channels, first: 0 }),
            codes: [codes(CodesOut::Packed(&mut after)), codes(CodesOut::Bytes(&mut small))],
        };
        product.run(&packed, Output::Layer(layer), pool).unwrap();
        pooling.run(&small, CodesOut::Bytes(&mut pooled), pool).unwrap();
        after.read_codes(&mut small).unwrap();
        product.run(&packed, Output::Sums(&mut sums), pool).unwrap();
        let out = Output::Scaled { out: &mut scaled, scale: &scale, bias: &bias, relu: true };
        product.run(&packed, out, pool).unwrap();
        for requantize in &rules {
            product.run(&packed, Output::Codes { out: &mut small, requantize }, pool).unwrap();
            product.run(&packed, Output::Packed { out: &mut after, requantize }, pool).unwrap();
        }
    });
    assert_eq!(found, 0, "{route} w{w}a{a} {shape:?}, {pool:?}");
}

/// The same for the products that are made of others.
fn compounds(pool: &Pool) {
    let shape = Conv2d::same(2, 3, 20, 9, 3);
    let inputs = codes(2 * 9 * 20, bits(2));
    let weights = codes(shape.outputs * shape.depth(), bits(2));
    let values: Vec<f32> = inputs.iter().map(|&code| f32::from(code)).collect();
    let quantize = Quantize::Uniform { bits: bits(2), inverse: 1.0 };
    let weight_levels = LevelTable::planes(bits(2), vec![-0.5; 9], vec![0.3; 18]).unwrap();
    let levels = LevelTable::planes(bits(2), vec![-0.5; 2], vec![0.3; 4]).unwrap();
    let deep = Conv2d::matrix(2, 3, 40_000);
    let (deep_inputs, deep_weights) = (codes(80_000, bits(8)), codes(120_000, bits(8)));
    for route in Route::available() {
        let product = PlaneProduct::new(shape, &weights, &weight_levels, bits(2), route).unwrap();
        let (mut packed, mut out) = (product.activations(), vec![0.0; 2 * 9 * 9]);
        let found = allocations(|| {
            packed.fill_codes(&inputs).unwrap();
            packed.fill(&values, &quantize, pool).unwrap();
            product.run(&packed, &levels, &mut out, pool).unwrap();
        });
        assert_eq!(found, 0, "planes, {route}, {pool:?}");
        let wide = WideProduct::new(deep, &deep_weights, bits(8), bits(8), route, &Grid::codes()).unwrap();
        let (mut packed, mut sums) = (wide.activations(), vec![0; 6]);
        let found = allocations(|| {
            packed.fill_codes(&deep_inputs).unwrap();
            wide.run(&packed, &mut sums, pool).unwrap();
        });
        assert_eq!(found, 0, "64 bits, {route}, {pool:?}");
    }
}

#[test]
fn a_product_that_is_set_up_allocates_nothing() {
    COUNTED.with(|counted| counted.set(true));
    // The counter counts, here and on the threads of a pool.
    assert_eq!(allocations(|| drop(std::hint::black_box(Vec::<u8>::with_capacity(10)))), 2);
    let two = pool(2);
    let both = std::sync::Barrier::new(2);
    let found = allocations(|| {
        two.run(2, &|_| {
            both.wait();
            drop(std::hint::black_box(Vec::<u8>::with_capacity(10)));
        });
    });
    assert_eq!(found, 4);
    for pool in [pool(1), two] {
        products(&pool);
        compounds(&pool);
    }
}
