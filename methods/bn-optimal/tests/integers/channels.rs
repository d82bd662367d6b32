//! Channels to try: random, and chosen to be awkward.

use harness_method_bn_optimal::BnOptimal;
use harness_method_core::{BatchNormChannel, BatchNormFolder, Bits, IntegerBatchNorm, MethodError, NormLayer, Options};

/// A small generator, so that a failure is reproduced by its seed.
pub(crate) struct Random(pub(crate) u64);

impl Random {
    pub(crate) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let z = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// In [low, high).
    pub(crate) fn real(&mut self, low: f64, high: f64) -> f64 {
        low + (high - low) * (self.next() >> 11) as f64 / (1u64 << 53) as f64
    }

    /// In low..=high.
    pub(crate) fn integer(&mut self, low: i64, high: i64) -> i64 {
        low + (self.next() % (high - low + 1) as u64) as i64
    }
}

/// One channel, its epsilon and range.
pub(crate) struct Case {
    pub(crate) channel: BatchNormChannel,
    pub(crate) eps: f64,
    pub(crate) range: (i64, i64),
    pub(crate) bits: Bits,
}

impl Case {
    pub(crate) fn layer(&self) -> NormLayer {
        NormLayer {
            name: String::new(),
            channels: vec![self.channel],
            eps: self.eps,
            range: self.range,
            bits: self.bits,
        }
    }
}

/// The case of number `index`: an accumulator of `n` bits (signed or not), a code of `k`. Every kind of awkwardness
/// comes by in turn.
pub(crate) fn case(random: &mut Random, index: usize, n: u32, k: u8) -> Case {
    let bits = Bits::new(k).unwrap();
    let values = 1i64 << n;
    let low = [-values / 2, 0, -values / 3][index / 16 % 3];
    let range = (low, low + values - 1);
    let unit = BatchNormChannel { gamma: 1.0, beta: 0.0, mean: 0.0, var: 1.0, input_scale: 1.0, output_scale: 1.0 };
    // A slope that spreads the codes over 10 to 100% of the range, and a middle inside it.
    let slope = f64::from(bits.max_code()) / (random.real(0.1, 1.0) * values as f64);
    let middle = random.real(low as f64, (low + values) as f64);
    let centre = f64::from(bits.max_code()) / 2.0;
    let sign = if random.next() & 1 == 0 { 1.0 } else { -1.0 };
    let through = |slope: f64, x: f64, code: f64| BatchNormChannel { gamma: slope, beta: code - slope * x, ..unit };
    let q = random.integer(1, values) as f64;
    let near = (slope * q).round().max(1.0) / q;
    let integral = random.integer(-2, i64::from(bits.max_code()) + 2) as f64 - 0.5;
    let (channel, eps) = match index % 16 {
        // As trained networks have them, with real scales.
        0..6 => {
            let (var, input_scale, output_scale) =
                (random.real(0.1, 400.0), random.real(1e-4, 0.1), random.real(0.01, 1.0));
            let deviation = f64::sqrt(var + 1e-5);
            let gamma = sign * slope * output_scale * deviation / input_scale;
            let mean = middle * input_scale;
            let beta = output_scale * centre + random.real(-0.5, 0.5);
            (BatchNormChannel { gamma, beta, mean, var, input_scale, output_scale }, 1e-5)
        }
        6 => (BatchNormChannel { gamma: 0.0, beta: random.real(-2.0, 20.0), ..unit }, 1e-5),
        7 => (BatchNormChannel { gamma: 0.0, beta: integral, ..unit }, 0.0),
        // Epsilon is the whole variance; the slope is steep.
        8 => (BatchNormChannel { gamma: sign * random.real(0.0, 2.0), mean: middle, var: 0.0, ..unit }, 1e-12),
        9 => (BatchNormChannel { gamma: sign * slope * 1e-4, mean: middle, var: 1e-30, ..unit }, 1e-8),
        // On integers at x = 0 and at every multiple of a power of two.
        10 => (BatchNormChannel { gamma: sign * slope.log2().round().exp2(), beta: integral, ..unit }, 0.0),
        11 => (BatchNormChannel { gamma: sign, beta: integral, ..unit }, 0.0),
        // On, or an ulp beside, integers at every multiple of q.
        12 => (through(sign * near, 0.0, integral), 0.0),
        13 => (through(sign * near.next_up(), middle.round(), integral), 0.0),
        14 => (through(sign * near.next_down(), middle.round(), integral), 0.0),
        // Saturated nearly everywhere, or so flat that no code changes.
        _ => (through(sign * slope * 2f64.powi(random.integer(-20, 20) as i32), middle, centre), 0.0),
    };
    Case { channel, eps, range, bits }
}

/// The integers of a network of one layer.
pub(crate) fn fold_one(layer: &NormLayer, options: &Options) -> Result<IntegerBatchNorm, MethodError> {
    BnOptimal.fold(std::slice::from_ref(layer), options).map(|mut folded| folded.remove(0))
}
