//! Calibration: ranges and weights set from images of the training set, without a training step, and the statistics of
//! batch normalization estimated again.

use harness_methods::core::{ActivationCalibration, MethodError, RangeRule, Role, StepContext, WeightCalibration};
use tch::Tensor;

use super::placed::PlacedQuantizer;
use super::{Network, Observer, Product};
use crate::ModelError;

/// What a calibration did.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Calibrated {
    /// Layers whose input quantizer was set.
    pub activations: Vec<String>,
    /// Layers whose input quantizer has nothing to set: its range is fixed, or each sample has its own.
    pub fixed: Vec<String>,
    /// Layers whose weights were changed in view of their inputs.
    pub weights: Vec<String>,
}

/// A site in the order of the data.
#[derive(Debug, Clone, PartialEq, Eq)]
struct SiteName {
    layer: String,
    role: Role,
}

/// Lists the sites that can be calibrated.
#[derive(Default)]
struct List(Vec<SiteName>);

impl Observer for List {
    fn watches(&self) -> bool {
        true
    }

    fn see(&mut self, placed: &mut PlacedQuantizer, _: &Tensor, _: &Tensor) -> Result<(), ModelError> {
        let site = placed.quantizer.site();
        if site.role == Role::Activation || placed.quantizer.uses_layer_inputs() {
            self.0.push(SiteName { layer: site.layer.clone(), role: site.role });
        }
        Ok(())
    }
}

/// Collects what reaches one site, and calibrates it with the last batch.
struct Collect<'a> {
    site: &'a SiteName,
    rule: RangeRule,
    inputs: Vec<Tensor>,
    /// Batches that are still to come after this one.
    left: usize,
    done: bool,
}

impl Collect<'_> {
    fn is_it(&self, placed: &PlacedQuantizer, role: Role) -> bool {
        let site = placed.quantizer.site();
        self.site.role == role && site.role == role && site.layer == self.site.layer
    }

    fn failed(&self, source: MethodError) -> ModelError {
        ModelError::Site { layer: self.site.layer.clone(), source }
    }
}

impl Observer for Collect<'_> {
    fn watches(&self) -> bool {
        true
    }

    fn see(&mut self, placed: &mut PlacedQuantizer, x: &Tensor, _: &Tensor) -> Result<(), ModelError> {
        if !self.is_it(placed, Role::Activation) {
            return Ok(());
        }
        self.inputs.push(x.shallow_clone());
        if self.left == 0 {
            let calibration = ActivationCalibration { inputs: &self.inputs, rule: self.rule };
            self.done = placed.quantizer.calibrate(&calibration).map_err(|source| self.failed(source))?;
        }
        Ok(())
    }

    fn product(
        &mut self,
        placed: &mut PlacedQuantizer,
        weights: &Tensor,
        x: &Tensor,
        product: Product<'_>,
    ) -> Result<(), ModelError> {
        if !self.is_it(placed, Role::Weight) {
            return Ok(());
        }
        self.inputs.push(x.shallow_clone());
        if self.left == 0 {
            let product = |weights: &Tensor, x: &Tensor| product(x, weights, None);
            let layer = WeightCalibration { inputs: &self.inputs, product: &product };
            placed.quantizer.calibrate_weights(&weights.f_detach()?, &layer).map_err(|source| self.failed(source))?;
            self.done = true;
        }
        Ok(())
    }
}

impl Network {
    /// Calibrates every site in the order of the data with batches of images, f32 `[n, c, h, w]`. Each site takes a pass
    /// over all batches, whose inputs of that one site are in memory together.
    ///
    /// # Errors
    /// As [`Network::forward`].
    pub fn calibrate(
        &mut self,
        batches: &[Tensor],
        rule: RangeRule,
        ctx: &StepContext,
    ) -> Result<Calibrated, ModelError> {
        let ctx = StepContext { training: false, ..*ctx };
        let mut sites = List::default();
        let Some(first) = batches.first() else { return Ok(Calibrated::default()) };
        let _logits = tch::no_grad(|| self.run(&first.f_narrow(0, 0, 1)?, &[], &ctx, &mut sites))?;
        let mut calibrated = Calibrated::default();
        for site in &sites.0 {
            let mut collect = Collect { site, rule, inputs: Vec::new(), left: batches.len(), done: false };
            for batch in batches {
                collect.left -= 1;
                let _logits = tch::no_grad(|| self.run(batch, &[], &ctx, &mut collect))?;
            }
            let list = match (site.role, collect.done) {
                (Role::Activation, true) => &mut calibrated.activations,
                (Role::Activation, false) => &mut calibrated.fixed,
                _ => &mut calibrated.weights,
            };
            list.push(site.layer.clone());
        }
        Ok(calibrated)
    }

    /// Estimates the statistics of every batch normalization again, as the mean over these batches: with the weights and
    /// quantizers as they are, which are used as in an evaluation.
    ///
    /// # Errors
    /// As [`Network::forward`].
    pub fn estimate_batch_norm(&mut self, batches: &[Tensor], ctx: &StepContext) -> Result<(), ModelError> {
        let ctx = StepContext { training: false, ..*ctx };
        for (before, batch) in batches.iter().enumerate() {
            tch::no_grad(|| self.run_estimating(batch, &ctx, before))?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};

    use harness_methods::core::{Codes, Quantizer, Site};
    use harness_records::config::{MethodChoice, QuantConfig};
    use tch::{Device, Kind, nn};

    use super::super::module::Module;
    use super::*;
    use crate::Plan;
    use crate::layer::Layer;

    const CTX: StepContext = StepContext { step: 0, total: 1, seed: 0, training: false };

    fn choice(method: &str, bits: u8) -> MethodChoice {
        let docs = harness_methods::find(method).unwrap().about().about.options;
        let options = harness_records::options::Options::defaults(docs);
        MethodChoice { method: method.to_owned(), bits: Some(bits), options }
    }

    fn layers() -> Vec<Layer> {
        vec![
            Layer::conv("a", 4, 3, 1),
            Layer::norm("a_norm"),
            Layer::activation("b"),
            Layer::conv("b", 4, 3, 1),
            Layer::norm("b_norm"),
            Layer::activation("c"),
            Layer::Flatten,
            Layer::classifier("c", 3),
        ]
    }

    fn network(store: &nn::VarStore) -> Network {
        let quant = QuantConfig::of(choice("bwn", 1), choice("uniform", 3), MethodChoice::float(), Vec::new());
        let plan = Plan::of_layers(layers(), &quant, [2, 5, 5]).unwrap();
        tch::manual_seed(5);
        Network::new(&plan, &store.root()).unwrap()
    }

    fn batches() -> Vec<Tensor> {
        tch::manual_seed(6);
        [4, 4, 3].map(|n| Tensor::randn([n, 2, 5, 5], (Kind::Float, Device::Cpu)) * 2.0 + 0.5).into()
    }

    /// The inputs of a layer, batch by batch, and the product of the first batch.
    type Seen = (Vec<Tensor>, Tensor);

    /// Keeps what it is shown, and halves the weights.
    #[derive(Debug)]
    struct Halving {
        inner: Box<dyn Quantizer>,
        seen: Arc<Mutex<Vec<Seen>>>,
    }

    impl Quantizer for Halving {
        fn site(&self) -> &Site {
            self.inner.site()
        }

        fn assign(&mut self, x: &Tensor, ctx: &StepContext) -> Result<Codes, MethodError> {
            self.inner.assign(x, ctx)
        }

        fn uses_layer_inputs(&self) -> bool {
            true
        }

        fn calibrate_weights(&mut self, weights: &Tensor, layer: &WeightCalibration<'_>) -> Result<(), MethodError> {
            let inputs: Vec<Tensor> = layer.inputs.iter().map(Tensor::copy).collect();
            let output = (layer.product)(weights, &inputs[0])?;
            self.seen.lock().unwrap().push((inputs, output));
            let _ = weights.shallow_clone().f_mul_scalar_(0.5)?;
            Ok(())
        }
    }

    #[test]
    fn a_method_sees_the_inputs_of_its_layer_after_the_layers_before_it_are_calibrated() {
        let store = nn::VarStore::new(Device::Cpu);
        let mut network = network(&store);
        let seen = Arc::new(Mutex::new(Vec::new()));
        for module in &mut network.modules {
            if let Module::Conv { weight, .. } = module {
                let PlacedQuantizer { method, quantizer } = weight.quantizer.take().unwrap();
                let quantizer = Box::new(Halving { inner: quantizer, seen: Arc::clone(&seen) });
                weight.quantizer = Some(PlacedQuantizer { method, quantizer });
            }
        }
        let before: Vec<Tensor> = ["a", "b"].map(|name| store.variables()[&format!("{name}.weight")].copy()).into();
        let batches = batches();
        let done = network.calibrate(&batches, RangeRule::Max, &CTX).unwrap();
        assert_eq!(done.activations, ["b", "c"]);
        assert_eq!(done.weights, ["a", "b"]);
        assert!(done.fixed.is_empty());
        let seen = seen.lock().unwrap();
        let [(first, first_output), (second, second_output)] = seen.as_slice() else { panic!("two layers") };
        assert_eq!(first.as_slice(), batches.as_slice(), "the first layer reads the images");
        assert_eq!(*first_output, batches[0].conv2d(&before[0], None::<Tensor>, [1, 1], [1, 1], [1, 1], 1));
        // The second layer's inputs come through the first one's new weights and the calibrated range.
        let now = |name: &str| store.variables()[name].copy();
        assert_eq!(now("a.weight"), &before[0] * 0.5);
        let is_range = |name: &String| name.starts_with("b.") && name.ends_with("maximum");
        let range = store.variables().into_keys().find(is_range).unwrap();
        let maximum = f64::try_from(now(&range)).unwrap();
        let all = Tensor::cat(second, 0);
        assert!((f64::try_from(all.max()).unwrap() - maximum).abs() < 1e-6, "the largest level is the largest input");
        assert_eq!(*second_output, second[0].conv2d(&before[1], None::<Tensor>, [1, 1], [1, 1], [1, 1], 1));
    }

    #[test]
    fn the_statistics_of_normalization_are_the_mean_over_the_batches() {
        let store = nn::VarStore::new(Device::Cpu);
        let mut network = network(&store);
        let batches = batches();
        network.estimate_batch_norm(&batches, &CTX).unwrap();
        let variables = store.variables();
        let weights = &variables["a.weight"];
        let scale = weights.abs().mean_dim(&[1i64, 2, 3][..], true, Kind::Float);
        let sign = weights.ge(0.0).to_kind(Kind::Float) * 2.0 - 1.0;
        let outputs = batches.iter().map(|x| x.conv2d(&(&sign * &scale), None::<Tensor>, [1, 1], [1, 1], [1, 1], 1));
        let channels = |y: &Tensor| y.transpose(0, 1).reshape([4, -1]);
        let (mut mean, mut var) =
            (Tensor::zeros([4], (Kind::Float, Device::Cpu)), Tensor::zeros([4], (Kind::Float, Device::Cpu)));
        for y in outputs {
            mean += channels(&y).mean_dim(1i64, false, Kind::Float) / 3.0;
            var += channels(&y).var_dim(1i64, true, false) / 3.0;
        }
        let close = |found: &Tensor, expected: &Tensor| f64::try_from((found - expected).abs().max()).unwrap() < 1e-5;
        assert!(close(&variables["a_norm.running_mean"], &mean), "{:?}", variables["a_norm.running_mean"]);
        assert!(close(&variables["a_norm.running_var"], &var), "{:?}", variables["a_norm.running_var"]);
    }
}
