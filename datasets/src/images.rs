//! What image data sets hand over: images as bytes, their labels, and the normalisation that belongs to them.

/// What a trial sees of a data set of images.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Shape {
    /// Channels of an image.
    pub channels: usize,
    /// Rows of an image.
    pub height: usize,
    /// Columns of an image.
    pub width: usize,
    /// Number of classes; labels are below it.
    pub classes: usize,
    /// Images to train on.
    pub train: usize,
    /// Images to test on.
    pub test: usize,
}

/// One split in memory: the stored bytes as they are, so that nothing is lost before the normalisation, which makes
/// `(p / pixel_max - mean[c]) / std[c]` of a pixel `p` of channel `c`.
#[derive(Debug, Clone, PartialEq)]
pub struct Images {
    /// Channels, height, width of each image.
    pub shape: [usize; 3],
    /// Pixels of all images, `[n, channels, height, width]` row-major, each in `0..=pixel_max`.
    pub pixels: Vec<u8>,
    /// The byte that stands for 1.0: 255, or 16 for `digits`.
    pub pixel_max: u8,
    /// Class of each image, below `classes`.
    pub labels: Vec<u16>,
    /// Mean of each channel in units of `pixel_max`, that is in 0..=1: the published one, from the training images.
    pub mean: Vec<f32>,
    /// Standard deviation of each channel in units of `pixel_max`, likewise.
    pub std: Vec<f32>,
    /// Number of classes.
    pub classes: usize,
    /// What a training step does to an image before the normalisation; nothing for a test split.
    pub augment: Augment,
}

/// Random changes that keep the class of a small image: shifted by a crop out of a black frame, and mirrored.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Augment {
    /// Width of the black frame, pixels; the crop has the size of the image and stands anywhere in the framed one.
    pub pad: u8,
    /// Mirror left and right every other time.
    pub flip: bool,
}

impl Augment {
    /// True when images stay as they are.
    #[must_use]
    pub fn is_none(self) -> bool {
        self == Augment::default()
    }
}

impl Images {
    /// Number of images. Every data set keeps it within `u32`, the type [`crate::epoch_order`] counts in.
    #[must_use]
    pub fn len(&self) -> usize {
        self.labels.len()
    }

    /// True when there are no images.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.labels.is_empty()
    }

    /// Bytes of one image.
    #[must_use]
    pub fn image_len(&self) -> usize {
        self.shape.iter().product()
    }

    /// Pixels of one image, `[channels, height, width]` row-major.
    ///
    /// # Panics
    /// When there is no such image.
    #[must_use]
    pub fn image(&self, index: usize) -> &[u8] {
        let len = self.image_len();
        &self.pixels[index * len..(index + 1) * len]
    }
}
