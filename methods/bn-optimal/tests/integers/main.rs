//! Integer batch normalization through the public interface of the crate.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod alternatives;
mod channels;
mod every_value;
mod smallest;
