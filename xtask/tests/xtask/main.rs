//! The binary, run as a user runs it.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::print_stderr)]

#[cfg(unix)]
mod setup;
