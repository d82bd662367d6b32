//! Chains of layers: convolution, batch normalization and quantizer, twice, from packed codes to packed codes, beside their
//! products alone and beside the same chain in libtorch.

use harness_kernels::{
    Activations, Clip, CodesOut, Conv2d, Grid, KernelError, LayerCodes, LayerOutput, Output, PlanCache, Pool, Product,
    Quantize, Residual, Route, Source, Tuning,
};
use harness_records::bench_report::ChainResult;
use tch::TchError;

use crate::BenchError;
use crate::candidate::kernel_failed;
use crate::pairs::Pair;
use crate::planned::plan;
use crate::timing::{Candidate, in_turn, quartiles, spread};
use crate::torch_chain::TorchChain;

/// Two convolutions, of which the second reads what the first one writes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Chain {
    /// Name in the result, such as `resnet18 layer2 28x28x128`.
    pub name: String,
    /// Both convolutions.
    pub convs: [Conv2d; 2],
}

/// The residual blocks of ResNet-18 at 224x224, one of each kind, without what is added to their results.
#[must_use]
pub fn resnet18() -> Vec<Chain> {
    let mut chains = Vec::new();
    for (number, size, channels) in [(1, 56, 64), (2, 28, 128), (3, 14, 256), (4, 7, 512)] {
        let conv = Conv2d::same(1, size, channels, channels, 3);
        if number > 1 {
            let first = Conv2d { stride: [2; 2], ..Conv2d::same(1, 2 * size, channels / 2, channels, 3) };
            let name = format!("resnet18 layer{number} /2 {0}x{0}x{1}", 2 * size, channels / 2);
            chains.push(Chain { name, convs: [first, conv] });
        }
        let name = format!("resnet18 layer{number} {size}x{size}x{channels}");
        chains.push(Chain { name, convs: [conv, conv] });
    }
    chains
}

/// One of the two layers: a product, and the line and quantizer that make codes of its sums.
struct Layer {
    product: Product,
    scale: Vec<f32>,
    bias: Vec<f32>,
    quantize: Quantize,
}

impl Layer {
    /// The line maps the bulk of the sums of `input` to the range of the codes, a little differently for each channel.
    fn new(product: Product, input: &Activations, bits: Pair, pool: &Pool) -> Result<Layer, KernelError> {
        let shape = product.shape();
        let mut sums = vec![0; shape.pixels() * shape.outputs];
        product.run(input, Output::Sums(&mut sums), pool)?;
        let count = sums.len() as f64;
        let mean = sums.iter().map(|&sum| f64::from(sum)).sum::<f64>() / count;
        let variance = sums.iter().map(|&sum| (f64::from(sum) - mean).powi(2)).sum::<f64>() / count;
        let step = (variance.sqrt() * 4.0).max(1.0);
        let scale = (0..shape.outputs).map(|n| ((1.0 + (n % 7) as f64 * 0.01) / step) as f32).collect();
        let bias = (0..shape.outputs).map(|n| (0.5 - mean / step + (n % 5) as f64 * 0.01) as f32).collect();
        let inverse = f32::from(bits.activations.max_code());
        Ok(Layer { product, scale, bias, quantize: Quantize::Uniform { bits: bits.activations, inverse } })
    }

    fn run(&self, input: &Activations, out: &mut Activations, pool: &Pool) -> Result<(), KernelError> {
        let codes = LayerCodes { scale: &[], bias: &[], quantize: &self.quantize, out: CodesOut::Packed(out) };
        let output = LayerOutput {
            scale: &self.scale,
            bias: &self.bias,
            residual: Residual::None,
            // The quantizer clips.
            clip: Clip::None,
            values: None,
            codes: [Some(codes), None],
        };
        self.product.run(input, Output::Layer(output), pool)
    }
}

/// A chain on one route for each convolution.
struct Setup {
    pair: Pair,
    layers: [Layer; 2],
    input: Activations,
    between: Activations,
    output: Activations,
    label: String,
}

impl Setup {
    fn new(chain: &Chain, pair: Pair, routes: [Route; 2], pool: &Pool) -> Result<Setup, BenchError> {
        let label = format!("{} {pair}", chain.name);
        let failed = |source| BenchError::Kernel { kernel: label.clone(), source };
        let first = product(chain.convs[0], pair, routes[0]).map_err(failed)?;
        let second = product(chain.convs[1], pair, routes[1]).map_err(failed)?;
        let mut input = first.activations();
        input.fill_codes(&codes(input.shape().iter().product(), pair)).map_err(failed)?;
        let first = Layer::new(first, &input, pair, pool).map_err(failed)?;
        let mut between = second.activations();
        first.run(&input, &mut between, pool).map_err(failed)?;
        let second = Layer::new(second, &between, pair, pool).map_err(failed)?;
        // The next block reads the same shape as the second convolution.
        let mut output = between.clone();
        second.run(&between, &mut output, pool).map_err(failed)?;
        Ok(Setup { pair, layers: [first, second], input, between, output, label })
    }

    /// Compares the codes of both layers with the plain arithmetic on the sums.
    fn check(&self, pool: &Pool) -> Result<(), BenchError> {
        let failed = |source| BenchError::Kernel { kernel: self.label.clone(), source };
        for (layer, input, output) in
            [(&self.layers[0], &self.input, &self.between), (&self.layers[1], &self.between, &self.output)]
        {
            let outputs = layer.product.shape().outputs;
            let mut sums = vec![0; output.shape().iter().product()];
            layer.product.run(input, Output::Sums(&mut sums), pool).map_err(failed)?;
            let mut codes = vec![0; sums.len()];
            output.read_codes(&mut codes).map_err(failed)?;
            let expected = |(at, &sum): (usize, &i32)| {
                let scaled = sum as f32 * layer.scale[at % outputs];
                layer.quantize.code(scaled + layer.bias[at % outputs])
            };
            let differing = sums.iter().enumerate().map(expected).zip(&codes).filter(|(a, b)| a != *b).count();
            if differing > 0 {
                return Err(BenchError::WrongCodes { chain: self.label.clone(), differing, outputs: sums.len() });
            }
        }
        Ok(())
    }
}

/// A product with pseudo-random weights.
fn product(conv: Conv2d, pair: Pair, route: Route) -> Result<Product, KernelError> {
    let count = (conv.outputs * conv.depth()) as u32;
    let codes: Vec<u8> =
        (0..count).map(|i| (i.wrapping_mul(2_246_822_519) >> 24) as u8 & pair.weights.max_code()).collect();
    Product::new(conv, &codes, pair.weights, pair.activations, route, &Grid::symmetric_weights(pair.weights))
}

/// `count` pseudo-random activation codes.
fn codes(count: usize, pair: Pair) -> Vec<u8> {
    (0..count as u32).map(|i| (i.wrapping_mul(2_654_435_761) >> 13) as u8 & pair.activations.max_code()).collect()
}

/// The chain, as it runs in a network.
struct NativeChain<'a> {
    layers: &'a [Layer; 2],
    input: &'a Activations,
    between: Activations,
    output: Activations,
    pool: &'a Pool,
}

impl Candidate for NativeChain<'_> {
    fn call(&mut self) -> Result<(), TchError> {
        let [first, second] = self.layers;
        first
            .run(self.input, &mut self.between, self.pool)
            .and_then(|()| second.run(&self.between, &mut self.output, self.pool))
            .map_err(|error| kernel_failed(&error))
    }
}

/// Both products alone, with integer sums as their results.
struct Products<'a> {
    layers: &'a [Layer; 2],
    inputs: [&'a Activations; 2],
    sums: [Vec<i32>; 2],
    pool: &'a Pool,
}

impl Candidate for Products<'_> {
    fn call(&mut self) -> Result<(), TchError> {
        for ((layer, input), sums) in self.layers.iter().zip(self.inputs).zip(&mut self.sums) {
            layer.product.run(input, Output::Sums(sums), self.pool).map_err(|error| kernel_failed(&error))?;
        }
        Ok(())
    }
}

/// Times a chain at every pair of widths, on `routes`, on those of `plans` or on those that it takes by itself, in
/// turn with libtorch's forms of it.
///
/// # Errors
/// When a product cannot be set up, a code is wrong, or libtorch fails.
pub(crate) fn time(
    chain: &Chain,
    pairs: &[Pair],
    routes: Option<&[Route]>,
    rounds: usize,
    mut plans: Option<&mut PlanCache>,
    pool: &Pool,
) -> Result<Vec<ChainResult>, BenchError> {
    let mut setups = Vec::new();
    for &pair in pairs {
        let Pair { weights, activations } = pair;
        let mut own = Vec::new();
        for shape in chain.convs {
            let tuning = Tuning { shape, weights, activations, source: Source::Codes };
            own.push(plan(plans.as_deref_mut(), &tuning, &chain.name, pool)?.unwrap_or_else(|| tuning.choose()));
        }
        let own = [[own[0], own[1]]];
        let listed: Option<Vec<[Route; 2]>> = routes.map(|routes| routes.iter().map(|&route| [route; 2]).collect());
        for &routes in listed.as_deref().unwrap_or(&own) {
            let setup = Setup::new(chain, pair, routes, pool)?;
            setup.check(pool)?;
            setups.push(setup);
        }
    }
    let floats = TorchChain::floats(&chain.convs)?;
    let int8 = TorchChain::int8(&chain.convs);
    let mut candidates: Vec<Box<dyn Candidate + '_>> = Vec::new();
    let float_count = floats.len();
    candidates.extend(floats.into_iter().map(|form| Box::new(form) as Box<dyn Candidate>));
    candidates.extend(int8.map(|form| Box::new(form) as Box<dyn Candidate>));
    let first = candidates.len();
    for setup in &setups {
        let (between, output) = (setup.between.clone(), setup.output.clone());
        candidates.push(Box::new(NativeChain { layers: &setup.layers, input: &setup.input, between, output, pool }));
        let sums = setup.layers.each_ref().map(|layer| {
            let shape = layer.product.shape();
            vec![0; shape.pixels() * shape.outputs]
        });
        let inputs = [&setup.input, &setup.between];
        candidates.push(Box::new(Products { layers: &setup.layers, inputs, sums, pool }));
    }
    let seconds = in_turn(&mut candidates, rounds)?;
    let shortest = |at: usize| seconds[at].iter().copied().fold(f64::INFINITY, f64::min);
    let float = (0..float_count).map(shortest).min_by(f64::total_cmp);
    let int8 = (first > float_count).then(|| shortest(float_count));
    let result = |(index, setup): (usize, &Setup)| {
        let at = first + 2 * index;
        let (time_s, products_s) = (shortest(at), shortest(at + 1));
        Some(ChainResult {
            name: chain.name.clone(),
            bits: setup.pair.to_string(),
            routes: setup.layers.each_ref().map(|layer| layer.product.route().to_string()),
            time_s,
            products_s,
            over_products: time_s / products_s,
            ratio_f32: float.map(|float| float / time_s),
            ratio_int8: int8.map(|int8| int8 / time_s),
            spread: spread(quartiles(seconds[at].iter().copied())?),
        })
    };
    Ok(setups.iter().enumerate().filter_map(result).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn chains_fit_together() {
        for Chain { name, convs: [first, second] } in resnet18() {
            let [height, width] = first.output().unwrap();
            assert_eq!([first.outputs, height, width], [second.channels, second.height, second.width], "{name}");
        }
        assert_eq!(resnet18().len(), 7);
    }

    /// Every route of the processor on a small chain with a stride: codes are right, and every number is there.
    #[test]
    fn every_route_is_timed_and_right() {
        let first = Conv2d { stride: [2; 2], ..Conv2d::same(1, 6, 20, 70, 3) };
        let chain = Chain { name: "small".to_owned(), convs: [first, Conv2d::same(1, 3, 70, 70, 3)] };
        let pairs = ["w1a1", "w2a3"].map(|pair| pair.parse().unwrap());
        let routes: Vec<Route> = Route::available().collect();
        let results = time(&chain, &pairs, Some(&routes), 3, None, &Pool::new(1)).unwrap();
        assert_eq!(results.len(), 2 * routes.len());
        for result in results {
            assert!(result.time_s > 0.0 && result.products_s > 0.0 && result.ratio_f32.is_some(), "{result:?}");
            assert!(result.over_products > 0.0, "{result:?}");
        }
        // A plan is made once for each product and is followed.
        let (mut plans, pool) = (PlanCache::new("Example CPU"), Pool::new(2));
        let planned = time(&chain, &pairs, None, 3, Some(&mut plans), &pool).unwrap();
        assert_eq!((planned.len(), plans.text().lines().count()), (2, 1 + 4));
        let text = plans.text();
        let again = time(&chain, &pairs, None, 3, Some(&mut plans), &pool).unwrap();
        assert_eq!((plans.text(), &again[0].routes), (text, &planned[0].routes));
    }
}
