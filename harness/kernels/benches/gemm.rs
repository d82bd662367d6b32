//! Matrix products: `cargo bench -p harness-kernels --bench gemm`.
#![allow(clippy::unwrap_used, clippy::expect_used, missing_docs)]

mod common;

use harness_kernels::Conv2d;

fn main() {
    common::products::run(&[
        ("256x256x2304", Conv2d::matrix(256, 256, 2304)),
        ("1024x1024x1024", Conv2d::matrix(1024, 1024, 1024)),
        ("1x4096x4096", Conv2d::matrix(1, 4096, 4096)),
    ]);
}
