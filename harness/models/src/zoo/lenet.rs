//! LeNet with batch normalization: convolution, maximum pooling, normalization, activation, twice; one hidden layer.

use harness_records::config::{KeyDefault, KeyDoc, KeyKind};
use harness_records::options::{About, OptionError, Options};

use super::Model;
use crate::layer::Layer;

/// LeNet.
#[derive(Debug)]
pub(super) struct LeNet;

/// Images below this height or width are padded by default: two 5x5 filters and two poolings need it.
const LEAST_UNPADDED: i64 = 16;

static ABOUT: About = About {
    name: "lenet",
    summary: "two 5x5 convolutions and a hidden layer, with batch normalization",
    source: "LeCun et al., Gradient-Based Learning Applied to Document Recognition, Proc. IEEE 86(11), 1998",
    options: &[
        KeyDoc {
            name: "variant",
            kind: KeyKind::Choice(&["classic", "small"]),
            default: KeyDefault::Text("classic"),
            doc: "20C5-50C5-500FC, or 8C5-16C5-64FC",
        },
        KeyDoc {
            name: "padding",
            kind: KeyKind::Int { min: 0, max: 2 },
            default: KeyDefault::Absent,
            doc: "zeros around the image in both convolutions; 0 unless the image is below 16 pixels, then 2",
        },
    ],
};

impl Model for LeNet {
    fn about(&self) -> &'static About {
        &ABOUT
    }

    fn layers(&self, [_, height, width]: [i64; 3], classes: i64, options: &Options) -> Result<Vec<Layer>, OptionError> {
        let (first, second, hidden) = if options.text("variant") == "small" { (8, 16, 64) } else { (20, 50, 500) };
        let by_size = if height.min(width) < LEAST_UNPADDED { 2 } else { 0 };
        let padding = options.optional_int("padding").unwrap_or(by_size);
        Ok(vec![
            Layer::conv("conv1", first, 5, padding),
            Layer::max_pool(2),
            Layer::norm("bn1"),
            Layer::activation("conv2"),
            Layer::conv("conv2", second, 5, padding),
            Layer::max_pool(2),
            Layer::norm("bn2"),
            Layer::activation("fc1"),
            Layer::Flatten,
            Layer::linear("fc1", hidden),
            Layer::norm("bn3"),
            Layer::activation("fc2"),
            Layer::classifier("fc2", classes),
        ])
    }
}
