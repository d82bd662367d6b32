//! Models as plans and as networks.

#![allow(clippy::unwrap_used, clippy::panic)]

mod integer;
mod language;
mod networks;
mod support;
mod zoo;
