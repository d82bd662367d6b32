//! Tests of the public interface: one file a subject.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod dependencies;
mod display_names;
mod hostile;
mod ids;
mod leases;
mod listing;
mod malformed;
mod old_files;
mod schemas;
mod stores;
mod support;
mod sweeps;
