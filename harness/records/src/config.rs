//! What a trial is: its configuration, the keys and options that make it up, and the id that follows from it.

pub mod catalog;
pub mod choices;
pub mod effects;
pub mod key;
pub(crate) mod keys;
pub mod layers;
pub mod options;
pub mod role;
pub mod trial;
pub mod trial_config;
pub mod value;

pub use key::{KeyDefault, KeyDoc, KeyKind};
pub use layers::{LayerRule, MethodChange, MethodFacts};
pub use role::Role;
pub use trial_config::*;
