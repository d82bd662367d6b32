//! What a trial is: its configuration, the keys and options that make it up, and the id that follows from it.

pub mod catalog;
pub mod effects;
pub mod key;
pub(crate) mod keys;
pub mod options;
pub mod trial;
pub mod trial_config;
pub mod value;

pub use key::{KeyDefault, KeyDoc, KeyKind};
pub use trial_config::*;
