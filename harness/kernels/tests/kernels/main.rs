//! The public interface of the kernels, in a process of its own: its allocator counts.
#![allow(unsafe_code)]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod allocations;
