//! Shorthands of this crate's tests.

use harness_method_core::{Bits, Method, Options, Quantizer, Role, Site, StepContext};
use tch::{Device, Tensor, nn};

pub(crate) const STEP: StepContext = StepContext { step: 0, total: 10, seed: 7, training: true };

pub(crate) fn site(role: Role, bits: u8, shape: &[i64]) -> Site {
    let bits = Bits::new(bits).unwrap();
    Site { layer: "layer".to_owned(), index: 0, role, shape: shape.to_vec(), bits, device: Device::Cpu }
}

pub(crate) fn quantizer(method: &dyn Method, site: &Site, options: &Options) -> (Box<dyn Quantizer>, nn::VarStore) {
    let store = nn::VarStore::new(Device::Cpu);
    (method.quantizer(site, options, &store.root()).unwrap(), store)
}

pub(crate) fn floats(x: &Tensor) -> Vec<f32> {
    Vec::try_from(&x.detach().reshape([-1])).unwrap()
}
