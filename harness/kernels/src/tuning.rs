//! Routes by measurement: the candidates of a product are timed on its real shape, packing included.

use std::time::{Duration, Instant};

use crate::activations::Activations;
use crate::epilogue::{Grid, Output};
use crate::error::KernelError;
use crate::geometry::Conv2d;
use crate::levels::Bits;
use crate::pack::Quantize;
use crate::pool::Pool;
use crate::product::Product;
use crate::route::Route;

/// A product for which a route is wanted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Tuning {
    /// The shape of the product.
    pub shape: Conv2d,
    /// Bits of the weights.
    pub weights: Bits,
    /// Bits of the activations.
    pub activations: Bits,
    /// Where its activations come from.
    pub source: Source,
}

/// Where the activations of a product come from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Source {
    /// They are packed already, so that packing costs nothing.
    Packed,
    /// They are packed from codes, as by the epilogue of the product before.
    Codes,
    /// They are quantized and packed from f32 values.
    Values,
}

/// What a route takes.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Timed {
    /// The route.
    pub route: Route,
    /// Seconds of the product: the shortest of several measurements.
    pub product: f64,
    /// Seconds of making its activations, 0 for [`Source::Packed`]: the shortest of several measurements.
    pub packing: f64,
}

impl Timed {
    /// Seconds of both.
    #[must_use]
    pub fn total(&self) -> f64 {
        self.product + self.packing
    }
}

/// A candidate, set up.
struct Candidate {
    product: Product,
    activations: Activations,
    timed: Timed,
    /// Calls of the product and of packing in one measurement.
    calls: [u32; 2],
}

/// What a measurement calls, and how its input looks.
struct Work<'a> {
    codes: &'a [u8],
    values: &'a [f32],
    quantize: &'a Quantize,
    source: Source,
    pool: &'a Pool,
}

impl Tuning {
    /// Times the product on each of `routes`, on the threads of `pool`, and gives the times from the shortest total to the
    /// longest. The routes take turns for `rounds` rounds of about a millisecond each, and the shortest time of each counts,
    /// because whatever else the machine does can only add to it.
    ///
    /// # Errors
    /// When a product cannot be set up, see [`Product::new`].
    pub fn measure(&self, routes: &[Route], rounds: usize, pool: &Pool) -> Result<Vec<Timed>, KernelError> {
        let Tuning { shape, weights, activations, source } = *self;
        shape.output()?;
        let code = |i: usize, bits: Bits| (i.wrapping_mul(0x9e37_79b9) >> 13) as u8 & bits.max_code();
        let weight_codes: Vec<u8> = (0..shape.outputs * shape.depth()).map(|i| code(i, weights)).collect();
        let count = shape.batch * shape.height * shape.width * shape.channels;
        let codes: Vec<u8> = (0..count).map(|i| code(i, activations)).collect();
        let values: Vec<f32> = codes.iter().map(|&code| f32::from(code)).collect();
        let quantize = Quantize::Uniform { bits: activations, inverse: 1.0 };
        let work = Work { codes: &codes, values: &values, quantize: &quantize, source, pool };
        let mut out = vec![0.0; shape.pixels() * shape.outputs];
        let candidate = |&route: &Route| {
            let product =
                Product::new(shape, &weight_codes, weights, activations, route, &Grid::symmetric_weights(weights))?;
            let mut packed = product.activations();
            packed.fill_codes(&codes)?;
            let timed = Timed { route, product: f64::INFINITY, packing: f64::INFINITY };
            Ok(Candidate { activations: packed, product, timed, calls: [1; 2] })
        };
        let mut candidates: Vec<Candidate> = routes.iter().map(candidate).collect::<Result<_, KernelError>>()?;
        for candidate in &mut candidates {
            // Once to warm up, and once to see how many calls fill a measurement.
            candidate.measure(&work, &mut out)?;
            candidate.measure(&work, &mut out)?;
            let calls = |seconds: f64| (MEASUREMENT_SECONDS / seconds.max(1e-9)).ceil().clamp(1.0, 1e5) as u32;
            candidate.calls = [calls(candidate.timed.product), calls(candidate.timed.packing)];
        }
        for _ in 0..rounds.max(1) {
            for candidate in &mut candidates {
                candidate.measure(&work, &mut out)?;
            }
        }
        let mut timed: Vec<Timed> = candidates.into_iter().map(|candidate| candidate.timed).collect();
        timed.sort_by(|a, b| a.total().total_cmp(&b.total()));
        Ok(timed)
    }
}

/// Seconds of one measurement.
const MEASUREMENT_SECONDS: f64 = 0.0005;

impl Candidate {
    /// Measures the product and its packing once each, and keeps the shortest times.
    fn measure(&mut self, work: &Work<'_>, out: &mut [f32]) -> Result<(), KernelError> {
        let [calls, packings] = self.calls;
        let began = Instant::now();
        for _ in 0..calls {
            let output = Output::Scaled { out, scale: &[0.01], bias: &[], relu: false };
            self.product.run(&self.activations, output, work.pool)?;
        }
        self.timed.product = self.timed.product.min(seconds(began.elapsed(), calls));
        let began = Instant::now();
        for _ in 0..packings {
            match work.source {
                Source::Packed => {}
                Source::Codes => self.activations.fill_codes(work.codes)?,
                Source::Values => self.activations.fill(work.values, work.quantize, work.pool)?,
            }
        }
        let packing = if work.source == Source::Packed { 0.0 } else { seconds(began.elapsed(), packings) };
        self.timed.packing = self.timed.packing.min(packing);
        Ok(())
    }
}

fn seconds(elapsed: Duration, calls: u32) -> f64 {
    elapsed.as_secs_f64() / f64::from(calls)
}
