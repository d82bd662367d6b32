//! The methods that others are compared with, one file each. A new one is a file and its lines here.

#![cfg_attr(test, allow(clippy::unwrap_used, clippy::expect_used, clippy::panic))]

mod binaryconnect;
mod bnn;
mod bwn;
mod dorefa;
mod float;
mod lsq;
mod pact;
mod sign;
#[cfg(test)]
mod testing;
mod twn;
mod uniform;
mod xnor;

pub use binaryconnect::BinaryConnect;
pub use bnn::Bnn;
pub use bwn::Bwn;
pub use dorefa::DoReFa;
pub use float::Float;
pub use lsq::Lsq;
pub use pact::Pact;
pub use twn::Twn;
pub use uniform::Uniform;
pub use xnor::Xnor;

harness_method_core::methods! {
    float: crate::Float,
    uniform: crate::Uniform,
    dorefa: crate::DoReFa,
    binaryconnect: crate::BinaryConnect,
    bnn: crate::Bnn,
    xnor: crate::Xnor,
    bwn: crate::Bwn,
    twn: crate::Twn,
    pact: crate::Pact,
    lsq: crate::Lsq,
}
