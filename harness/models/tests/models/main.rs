//! Models as plans and as networks.

#![allow(clippy::unwrap_used, clippy::panic, clippy::print_stdout)]

mod integer;
mod language;
mod networks;
mod support;
mod torchvision;
mod weights;
mod zoo;
