//! Tests of the public interface: one file a subject.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod old_files;
