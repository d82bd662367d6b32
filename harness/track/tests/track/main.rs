//! Tracking as its users see it: histories on disk, real repositories, and what checks conclude from noise.

#![allow(unreachable_pub, clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod checks;
mod histories;
mod hostile;
mod noise;
mod repositories;
mod support;
