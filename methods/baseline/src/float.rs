//! Full precision: the absence of a quantizer, under a name.

use harness_method_core::{About, Method, MethodAbout, MethodError, Options, Quantizer, Site, Support};
use tch::nn;

/// Full precision.
#[derive(Debug)]
pub struct Float;

static ABOUT: MethodAbout = MethodAbout {
    about: About { name: "float", summary: "full precision: no quantizer, ReLU activations", source: "", options: &[] },
    bits: None,
    weights: Support::Yes,
    activations: Support::Yes,
    gradients: Support::Yes,
};

impl Method for Float {
    fn about(&self) -> &'static MethodAbout {
        &ABOUT
    }

    fn quantizer(&self, _: &Site, _: &Options, _: &nn::Path<'_>) -> Result<Box<dyn Quantizer>, MethodError> {
        Err(self.unsupported("quantizer: a site in full precision is left alone"))
    }

    fn deployable(&self, _: &Options) -> Support {
        Support::No("full precision has no codes")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use harness_method_core::{Bits, Role};
    use tch::Device;

    #[test]
    fn there_is_no_quantizer() {
        let site = Site {
            layer: "fc".to_owned(),
            index: 0,
            role: Role::Weight,
            shape: vec![2, 2],
            bits: Bits::new(8).unwrap(),
            device: Device::Cpu,
        };
        let store = nn::VarStore::new(Device::Cpu);
        let error = Float.quantizer(&site, &Options::default(), &store.root()).unwrap_err();
        assert!(matches!(error, MethodError::Unsupported { method: "float", .. }));
    }
}
