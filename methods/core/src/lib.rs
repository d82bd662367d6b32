//! What a quantization method is.
//!
//! A method implements two traits: [`Method`], one `static` that is found by name, and [`Quantizer`], one value per
//! place in a network. Every listed method is held to the shared tests in [`conformance`]. A method never sees a model, a data set or
//! a file; what it sees is tensors, its [`Site`] and the [`StepContext`].
//!
//! | module | what |
//! | --- | --- |
//! | [`method`] | [`Method`] and what it says about itself |
//! | [`site`] | [`Site`], [`Role`], [`StepContext`]: where and when |
//! | [`quantizer`] | [`Quantizer`]: codes, backward rule, fake quantization |
//! | [`codes`] | [`Codes`] and [`Levels`]: the one place where values become integers, and back |
//! | [`batch_norm`] | [`BatchNormFolder`]: batch normalization as integers |
//! | [`support`] | [`Support`]: yes, or no with a reason |
//! | [`statistics`] | error, entropy and populations of codes |
//! | [`calibration`] | what a quantizer may see of the training set before the first step |
//! | [`rows`] | reductions per tensor, channel or sample |
//! | [`base`] | binary and ternary quantizers that several methods start from |

#![cfg_attr(test, allow(clippy::unwrap_used, clippy::expect_used, clippy::panic))]

pub mod base;
pub mod batch_norm;
pub mod calibration;
pub mod codes;
pub mod conformance;
pub mod error;
mod list;
pub mod method;
pub mod quantizer;
pub mod rows;
pub mod site;
pub mod statistics;
pub mod support;

pub use batch_norm::{BatchNormChannel, BatchNormFolder, FolderAbout, IntegerBatchNorm, NormLayer};
pub use calibration::{ActivationCalibration, RangeRule, WeightCalibration};
pub use codes::{Codes, Levels};
pub use error::MethodError;
pub use harness_kernels::levels::{Bits, LevelTable};
pub use harness_records::config::{KeyDefault, KeyDoc, KeyKind};
pub use harness_records::options::{About, OptionValue, Options};
pub use list::joined;
pub use method::{Method, MethodAbout, Nonlinearity};
pub use quantizer::{Dependence, Quantizer, straight_through};
pub use site::{Role, Site, StepContext};
pub use support::Support;
