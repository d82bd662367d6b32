//! The time that a product is expected to take on a route, packing included; and the route expected to be fastest.
//!
//! The model counts what a product does (calls of loops, columns, results, packed codes) and multiplies each count with a
//! coefficient that was fitted to measured times: see `examples/routes.rs`. Coefficients of another processor with the same
//! instruction set differ, but mostly by a factor that all of them share. What decides for certain is to measure
//! ([`crate::Tuning::measure`]) and to keep the choice ([`crate::PlanCache`]).

use crate::geometry::Conv2d;
use crate::inner_loop::LoopForm;
use crate::layout::Layout;
use crate::route::{Family, Isa, Route};
use crate::stored_pixels::StoredPixels;
use crate::tuning::{Source, Tuning};

/// Picoseconds for each thing that is done.
struct Coefficients {
    /// A K-step of a tile with a panel, however many columns the tile has.
    step: f64,
    /// A column of that.
    column_step: f64,
    /// A column of that where byte weights share bytes and are taken apart.
    shared_step: f64,
    /// A column of that for each digit of the activations.
    digit_step: f64,
    /// A sum of a pass that is stored or added.
    pass_sum: f64,
    /// A result.
    result: f64,
    /// An output pixel.
    pixel: f64,
    /// A call of the product.
    call: f64,
    /// A code that is packed.
    code: f64,
    /// A digit (bit-plane, table offset) of a code that is packed.
    digit: f64,
    /// A pixel that is packed.
    packed_pixel: f64,
    /// A call of packing.
    packing_call: f64,
}

/// Fitted on an Intel Xeon with AVX-512 (family 6, model 207): relative errors of all measured times, least squares without
/// negative coefficients. On 64-bit Arm only results were tested, so there are none.
fn coefficients(route: Route) -> Option<Coefficients> {
    let [
        step,
        column_step,
        shared_step,
        digit_step,
        pass_sum,
        result,
        pixel,
        call,
        code,
        digit,
        packed_pixel,
        packing_call,
    ] = match (route.isa, route.family) {
        (Isa::Portable, Family::Popcount) => {
            [0.0, 1210.0, 0.0, 0.0, 2170.0, 0.0, 151_820.0, 0.0, 269.0, 564.0, 11_370.0, 0.0]
        }
        (Isa::Portable, Family::Table) => [2150.0, 2200.0, 0.0, 3580.0, 0.0, 0.0, 0.0, 0.0, 637.0, 1280.0, 0.0, 0.0],
        (Isa::Portable, Family::Int8) => [16_570.0, 227.0, 4830.0, 0.0, 0.0, 0.0, 0.0, 0.0, 440.0, 0.0, 316.0, 0.0],
        (Isa::Avx2, Family::Popcount) => [665.0, 992.0, 0.0, 0.0, 92.1, 518.0, 16_500.0, 0.0, 208.0, 31.1, 2920.0, 0.0],
        (Isa::Avx2, Family::Table) => {
            [299.0, 0.0, 0.0, 263.0, 122.0, 51.9, 31_100.0, 19_700.0, 228.0, 32.6, 1120.0, 0.0]
        }
        (Isa::Avx2, Family::Int8) => [377.0, 218.0, 10.9, 0.0, 300.0, 0.0, 25_100.0, 0.0, 256.0, 0.0, 1060.0, 0.0],
        (Isa::Avx512, Family::Popcount) => {
            [694.0, 446.0, 0.0, 0.0, 18.7, 186.0, 17_800.0, 340_000.0, 115.0, 27.1, 1490.0, 0.0]
        }
        (Isa::Avx512, Family::Table) => {
            [1540.0, 0.0, 0.0, 128.0, 56.3, 27.0, 32_400.0, 201_000.0, 111.0, 48.0, 6120.0, 0.0]
        }
        (Isa::Avx512, Family::Int8) => [704.0, 78.1, 40.5, 0.0, 94.2, 0.0, 26_300.0, 0.0, 143.0, 0.0, 1510.0, 0.0],
        (Isa::Neon, _) => return None,
    };
    Some(Coefficients {
        step,
        column_step,
        shared_step,
        digit_step,
        pass_sum,
        result,
        pixel,
        call,
        code,
        digit,
        packed_pixel,
        packing_call,
    })
}

impl Tuning {
    /// Seconds that the product and the packing of its activations are expected to take on one thread; `None` for an
    /// instruction set on which nothing was measured.
    #[must_use]
    pub fn estimate(&self, route: Route) -> Option<f64> {
        let Tuning { shape, weights, activations, source } = *self;
        let costs = coefficients(route)?;
        let pixels = shape.pixels();
        let layout = Layout::new(route, weights, activations, pixels);
        let inner = layout.inner;
        let planes = match inner.form {
            LoopForm::Popcount | LoopForm::NibbleTable | LoopForm::NibbleTablePairs | LoopForm::SixBitTable => {
                usize::from(weights.get())
            }
            LoopForm::Int8Wide { .. } | LoopForm::Int8Narrow { .. } | LoopForm::Int8Shorts { .. } => 1,
        };
        let digits: usize = layout.bit_groups.iter().map(|group| group.digits()).sum();
        let groups = shape.groups.max(1);
        let panels = groups * (shape.outputs / groups).div_ceil(inner.lanes());
        let k_steps = (panels * planes * layout.k_steps(shape.channels / groups) * shape.taps()) as f64;
        let (passes, digits) = (layout.bit_groups.len() as f64, digits as f64);
        let tiles = pixels.div_ceil(inner.max_columns()) as f64;
        let columns = pixels as f64;
        let int8 = route.family == Family::Int8 && inner.k_steps_per_byte() > 1;
        let shared = if int8 { costs.shared_step } else { 0.0 };
        let product = costs.step * tiles * k_steps * passes
            + (costs.column_step + shared) * columns * k_steps * passes
            + costs.digit_step * columns * k_steps * digits
            + costs.pass_sum * columns * (panels * inner.lanes() * planes) as f64 * passes
            + costs.result * columns * shape.outputs as f64
            + costs.pixel * columns
            + costs.call;
        let packing = if source == Source::Packed { 0.0 } else { packing(&costs, &shape, digits) };
        Some((product + packing) * 1e-12)
    }

    /// The route expected to be fastest on this processor.
    #[must_use]
    pub fn choose(&self) -> Route {
        self.choose_on(Isa::best())
    }

    /// [`Tuning::choose`] on a given instruction set.
    #[must_use]
    pub fn choose_on(&self, isa: Isa) -> Route {
        let candidates = Family::ALL.map(|family| Route { family, isa });
        let estimate = |route: &Route| self.estimate(*route).unwrap_or(f64::INFINITY);
        let fastest = candidates.into_iter().min_by(|a, b| estimate(a).total_cmp(&estimate(b)));
        match fastest {
            Some(route) if self.estimate(route).is_some() => route,
            _ => Route { family: unmeasured(self.weights.get(), self.activations.get()), isa },
        }
    }
}

/// Picoseconds of packing.
fn packing(costs: &Coefficients, shape: &Conv2d, digits: f64) -> f64 {
    // A shape whose pixels cannot be counted makes no product either.
    let pixels = StoredPixels::of(shape).map_or(0, |stored| stored.inner()) as f64;
    let codes = pixels * shape.channels as f64;
    costs.code * codes + costs.digit * codes * digits + costs.packed_pixel * pixels + costs.packing_call
}

/// The family that does the least work by a count of its instructions: for 64-bit Arm, on which only results were tested.
fn unmeasured(weights: u8, activations: u8) -> Family {
    match (weights, activations) {
        (1, _) | (2, 1..=4) => Family::Table,
        _ => Family::Int8,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::levels::Bits;

    /// Times that were measured once, see the file.
    const MEASURED: &str = include_str!("tests/fixtures/routes.csv");

    /// `(instruction set, product, seconds of each family)`.
    fn measured() -> Vec<(Isa, Tuning, [f64; 3])> {
        let row = |line: &str| {
            let fields: Vec<&str> = line.split(',').collect();
            let number = |at: usize| fields[at].parse::<usize>().unwrap();
            let bits = |at: usize| Bits::new(fields[at].parse().unwrap()).unwrap();
            let isa = Isa::ALL.into_iter().find(|isa| isa.to_string() == fields[0]).unwrap();
            let shape = Conv2d {
                height: number(2),
                width: number(3),
                stride: [number(7); 2],
                padding: [number(8); 2],
                ..Conv2d::same(number(1), 1, number(4), number(5), number(6))
            };
            let tuning = Tuning { shape, weights: bits(9), activations: bits(10), source: Source::Values };
            (isa, tuning, [11, 12, 13].map(|at| fields[at].parse::<f64>().unwrap() * 1e-6))
        };
        MEASURED.lines().skip(3).map(row).collect()
    }

    #[test]
    #[cfg_attr(miri, ignore = "large")]
    fn at_most_one_choice_in_twenty_loses_a_tenth() {
        for isa in [Isa::Portable, Isa::Avx2, Isa::Avx512] {
            let rows: Vec<_> = measured().into_iter().filter(|row| row.0 == isa).collect();
            assert_eq!(rows.len(), 230);
            let loses = |(isa, tuning, seconds): &(Isa, Tuning, [f64; 3])| {
                let family = tuning.choose_on(*isa).family;
                let chosen = Family::ALL.iter().position(|&other| other == family).unwrap();
                seconds[chosen] > 1.1 * seconds.iter().copied().fold(f64::INFINITY, f64::min)
            };
            let lost = rows.iter().filter(|row| loses(row)).count();
            assert!(20 * lost <= rows.len(), "{isa}: {lost} of {} choices", rows.len());
        }
    }

    /// Every route's packing counts, and no family is chosen everywhere.
    #[test]
    #[cfg_attr(miri, ignore = "large")]
    fn packing_and_every_family_matter() {
        for (isa, tuning, _) in measured() {
            let packed = Tuning { source: Source::Packed, ..tuning };
            for route in Family::ALL.map(|family| Route { family, isa }) {
                assert!(packed.estimate(route).unwrap() < tuning.estimate(route).unwrap(), "{route} {tuning:?}");
            }
        }
        let chosen: Vec<Family> = measured().iter().map(|(isa, tuning, _)| tuning.choose_on(*isa).family).collect();
        assert!(Family::ALL.iter().all(|family| chosen.contains(family)));
    }

    #[test]
    fn what_is_chosen_can_run_and_nothing_is_made_up_for_arm() {
        for (w, a) in (1..=8).flat_map(|w| (1..=8).map(move |a| (Bits::new(w).unwrap(), Bits::new(a).unwrap()))) {
            for shape in [Conv2d::matrix(1, 70, 900), Conv2d::same(1, 14, 64, 64, 3)] {
                let tuning = Tuning { shape, weights: w, activations: a, source: Source::Codes };
                assert!(tuning.choose().is_available());
                assert_eq!(tuning.choose_on(Isa::Neon).isa, Isa::Neon);
                assert_eq!(tuning.estimate(tuning.choose_on(Isa::Neon)), None);
            }
        }
    }
}
