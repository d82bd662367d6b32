//! The 3x3 convolutions of ResNet-18 on one image of 224 x 224: `cargo bench -p harness-kernels --bench conv`.
#![allow(clippy::unwrap_used, clippy::expect_used, missing_docs)]

mod common;

use harness_kernels::Conv2d;

fn main() {
    common::products::run(&[
        ("56x56x64", Conv2d::same(1, 56, 64, 64, 3)),
        ("28x28x128", Conv2d::same(1, 28, 128, 128, 3)),
        ("14x14x256", Conv2d::same(1, 14, 256, 256, 3)),
        ("7x7x512", Conv2d::same(1, 7, 512, 512, 3)),
    ]);
}
