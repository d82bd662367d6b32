//! The layers that can be timed, by name.

use harness_kernels::Conv2d;

use crate::BenchError;

/// A layer to time.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Shape {
    /// Name in the result, such as `resnet18 layer2 3x3 28x28x128-128`.
    pub name: String,
    /// Geometry of the layer; a single image, or the rows of a matrix product.
    pub conv: Conv2d,
}

impl Shape {
    /// The layer as a matrix product, `[rows, columns, depth]`: output pixels, output channels, and products summed for one
    /// output.
    #[must_use]
    pub fn matrix(&self) -> [usize; 3] {
        let [height, width] = self.conv.output().unwrap_or([0, 0]);
        [self.conv.batch * height * width, self.conv.outputs, self.conv.depth()]
    }

    /// Whether the layer is a matrix product, not a convolution.
    #[must_use]
    pub fn is_matrix(&self) -> bool {
        self.conv.height == 1 && self.conv.width == 1
    }
}

/// A named set of layers.
struct Set {
    name: &'static str,
    layers: fn() -> Vec<Shape>,
}

static SETS: &[Set] = &[
    Set { name: "gemm", layers: gemm },
    Set { name: "resnet18", layers: resnet18 },
    Set { name: "alexnet", layers: alexnet },
    Set { name: "vgg9", layers: vgg9 },
    Set { name: "googlenet", layers: googlenet },
    Set { name: "lstm", layers: lstm },
];

/// The name under which chains of layers are asked for in the place of a shape, see [`crate::chain`].
pub const CHAIN: &str = "chain";

/// Names of all sets of layers.
pub fn names() -> impl Iterator<Item = &'static str> {
    SETS.iter().map(|set| set.name)
}

/// The largest number of multiply-accumulates of a layer, which takes seconds in f32.
const MAX_MACS: u128 = 1 << 38;

/// The layers that `text` names: a set, or one matrix product `MxNxK` of `[M, K]` activations and `[N, K]` weights.
///
/// # Errors
/// When it is neither, a size is zero, or the product has more than `2^38` multiply-accumulates.
pub fn parse(text: &str) -> Result<Vec<Shape>, BenchError> {
    if let Some(set) = SETS.iter().find(|set| set.name == text) {
        return Ok((set.layers)());
    }
    let sizes: Option<Vec<usize>> = text.split(['x', 'X']).map(|size| size.parse().ok()).collect();
    let Some(&[m, n, k]) = sizes.as_deref() else {
        let known = names().chain([CHAIN]).collect::<Vec<_>>().join(", ");
        return Err(BenchError::Shape { name: text.to_owned(), known });
    };
    let size = |reason| BenchError::Size { name: text.to_owned(), reason };
    if m == 0 || n == 0 || k == 0 {
        return Err(size("M, N and K must be at least 1"));
    }
    if (m as u128).checked_mul(n as u128).and_then(|mn| mn.checked_mul(k as u128)).is_none_or(|macs| macs > MAX_MACS) {
        return Err(size("more than 2^38 multiply-accumulates"));
    }
    Ok(vec![matrix("", m, n, k)])
}

fn matrix(prefix: &str, m: usize, n: usize, k: usize) -> Shape {
    Shape { name: format!("{prefix}{m}x{n}x{k}"), conv: Conv2d::matrix(m, n, k) }
}

/// A square convolution on a square image.
fn conv(
    name: &str,
    size: usize,
    channels: usize,
    outputs: usize,
    kernel: usize,
    stride: usize,
    padding: usize,
) -> Shape {
    let conv =
        Conv2d { stride: [stride; 2], padding: [padding; 2], ..Conv2d::same(1, size, channels, outputs, kernel) };
    let step = if stride == 1 { String::new() } else { format!("/{stride}") };
    Shape { name: format!("{name} {kernel}x{kernel}{step} {size}x{size}x{channels}-{outputs}"), conv }
}

/// Matrix products for which measurements of bit-serial kernels have been published, and one row of a large layer.
fn gemm() -> Vec<Shape> {
    let sizes =
        [(256, 256, 2304), (1024, 1024, 1024), (3136, 64, 576), (196, 256, 2304), (49, 512, 4608), (1, 4096, 4096)];
    sizes.into_iter().map(|(m, n, k)| matrix("", m, n, k)).collect()
}

/// ResNet-18 at 224x224 (He et al. 2016, table 1): every distinct convolution between the first and the last layer.
fn resnet18() -> Vec<Shape> {
    let mut layers = vec![conv("resnet18 layer1", 56, 64, 64, 3, 1, 1)];
    for (number, size, channels) in [(2, 56, 64), (3, 28, 128), (4, 14, 256)] {
        let name = format!("resnet18 layer{number}");
        layers.push(conv(&name, size, channels, 2 * channels, 3, 2, 1));
        layers.push(conv(&name, size, channels, 2 * channels, 1, 2, 0));
        layers.push(conv(&name, size / 2, 2 * channels, 2 * channels, 3, 1, 1));
    }
    layers
}

/// AlexNet in one column (Krizhevsky 2014), first layer included.
fn alexnet() -> Vec<Shape> {
    vec![
        conv("alexnet conv1", 224, 3, 64, 11, 4, 2),
        conv("alexnet conv2", 27, 64, 192, 5, 1, 2),
        conv("alexnet conv3", 13, 192, 384, 3, 1, 1),
        conv("alexnet conv4", 13, 384, 256, 3, 1, 1),
        conv("alexnet conv5", 13, 256, 256, 3, 1, 1),
        matrix("alexnet fc6 ", 1, 4096, 9216),
        matrix("alexnet fc7 ", 1, 4096, 4096),
    ]
}

/// The VGG-like network of BNN and its followers on 32x32 images.
fn vgg9() -> Vec<Shape> {
    vec![
        conv("vgg9 conv2", 32, 128, 128, 3, 1, 1),
        conv("vgg9 conv3", 16, 128, 256, 3, 1, 1),
        conv("vgg9 conv4", 16, 256, 256, 3, 1, 1),
        conv("vgg9 conv5", 8, 256, 512, 3, 1, 1),
        conv("vgg9 conv6", 8, 512, 512, 3, 1, 1),
        matrix("vgg9 fc1 ", 1, 1024, 8192),
    ]
}

/// Inception 3a and 4a of GoogLeNet (Szegedy et al. 2015, table 1).
fn googlenet() -> Vec<Shape> {
    vec![
        conv("googlenet 3a", 28, 192, 64, 1, 1, 0),
        conv("googlenet 3a reduce", 28, 192, 96, 1, 1, 0),
        conv("googlenet 3a", 28, 96, 128, 3, 1, 1),
        conv("googlenet 3a", 28, 16, 32, 5, 1, 2),
        conv("googlenet 4a", 14, 480, 192, 1, 1, 0),
        conv("googlenet 4a", 14, 96, 208, 3, 1, 1),
        conv("googlenet 4a", 14, 16, 48, 5, 1, 2),
    ]
}

/// The gates of an LSTM with 300 units on 300 inputs, for one sequence and for twenty.
fn lstm() -> Vec<Shape> {
    vec![matrix("lstm gates ", 1, 1200, 600), matrix("lstm gates ", 20, 1200, 600)]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_set_has_valid_layers_with_distinct_names() {
        let mut seen = std::collections::HashSet::new();
        for name in names() {
            for shape in parse(name).unwrap() {
                assert!(shape.conv.output().is_ok(), "{shape:?}");
                assert!(seen.insert(shape.name.clone()), "{} twice", shape.name);
            }
        }
    }

    #[test]
    fn resnet18_has_the_published_cost() {
        // The 3x3 and 1x1 convolutions of the blocks, as often as the network has each: 1.69 of its 1.82 * 10^9
        // multiply-accumulates.
        let macs = |shape: &Shape| shape.matrix().iter().product::<usize>();
        let layers = resnet18();
        let times = [4, 1, 1, 3, 1, 1, 3, 1, 1, 3];
        let total: usize = layers.iter().zip(times).map(|(layer, times)| macs(layer) * times).sum();
        assert_eq!(total, 1_695_547_392);
    }

    #[test]
    fn matrices_are_parsed_and_nonsense_is_refused() {
        assert_eq!(parse("2x3x4").unwrap()[0].matrix(), [2, 3, 4]);
        let error = |text| parse(text).unwrap_err().to_string();
        assert_eq!(
            error("resnet19"),
            "unknown shape \"resnet19\", expected MxNxK or one of gemm, resnet18, alexnet, vgg9, googlenet, lstm, chain"
        );
        assert_eq!(error("1x0x4"), "shape 1x0x4: M, N and K must be at least 1");
        assert_eq!(error("99999999x99999999x4"), "shape 99999999x99999999x4: more than 2^38 multiply-accumulates");
        assert!(parse("1x2").is_err() && parse("1x2x3x4").is_err() && parse("1x-2x3").is_err());
    }
}
