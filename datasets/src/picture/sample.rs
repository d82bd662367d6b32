//! A part of a picture, scaled to a square of pixels.

use fast_image_resize::images::{TypedCroppedImage, TypedImage, TypedImageRef};
use fast_image_resize::pixels::U8;
use fast_image_resize::{FilterType, ResizeAlg, ResizeOptions, Resizer};

use super::{Content, Damage, Picture, Plane, Planes, Rect};

/// Which part of a picture, in pixels of the picture, and what it becomes.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Sample {
    /// Left, top, width and height of what is scaled; may lie between pixels.
    pub(crate) left: f64,
    pub(crate) top: f64,
    pub(crate) width: f64,
    pub(crate) height: f64,
    /// The pixels that may be used: the filter reaches beyond the part, as far as these do.
    pub(crate) allowed: Rect,
    /// Pixels of the result along a side.
    pub(crate) size: usize,
    /// Decode JPEG to an eighth, a quarter or half of its size where that is still at least the size of the result.
    pub(crate) scaled: bool,
}

/// Scales planes, keeping its buffers.
#[derive(Default)]
pub(crate) struct Sampler {
    resizer: Resizer,
}

impl Picture<'_> {
    /// The part of the picture as `[3, size, size]` bytes in `out`: red, green, blue.
    ///
    /// Scaling is by a triangle filter that is widened where the part shrinks, as Pillow's `BILINEAR` and torchvision's
    /// `antialias`; chroma planes are scaled from their own resolution, once.
    ///
    /// # Errors
    /// When the data of the file are damaged.
    pub(crate) fn sample(&self, sample: &Sample, sampler: &mut Sampler, out: &mut [u8]) -> Result<(), Damage> {
        match &self.content {
            Content::Jpeg(frame) => {
                let enough = |side: &usize| {
                    let scale = *side as f64 / 8.0;
                    sample.width.min(sample.height) * scale >= sample.size as f64
                };
                let side = if sample.scaled { [1, 2, 4].into_iter().find(enough).unwrap_or(8) } else { 8 };
                sampler.draw(&frame.planes(sample.allowed, side)?, sample, out)
            }
            Content::Whole(planes) => sampler.draw(planes, sample, out),
        }
    }
}

impl Sampler {
    fn draw(&mut self, planes: &Planes, sample: &Sample, out: &mut [u8]) -> Result<(), Damage> {
        let (first, rest) = out.split_at_mut(sample.size * sample.size);
        let (second, third) = rest.split_at_mut(sample.size * sample.size);
        match planes {
            Planes::Grey(plane) => {
                self.scale(plane, sample, first)?;
                second.copy_from_slice(first);
                third.copy_from_slice(first);
            }
            Planes::Rgb(planes) | Planes::YCbCr(planes) => {
                for (plane, out) in planes.iter().zip([&mut *first, &mut *second, &mut *third]) {
                    self.scale(plane, sample, out)?;
                }
            }
        }
        if matches!(planes, Planes::YCbCr(_)) {
            to_rgb(first, second, third);
        }
        Ok(())
    }

    /// Scales one plane.
    fn scale(&mut self, plane: &Plane, sample: &Sample, out: &mut [u8]) -> Result<(), Damage> {
        let wrong = |e: &dyn std::fmt::Display| Damage::Other(e.to_string());
        let int = |n: usize| u32::try_from(n).unwrap_or(u32::MAX);
        let pixels = TypedImageRef::<U8>::from_buffer(int(plane.width), int(plane.height), &plane.pixels);
        let pixels = pixels.map_err(|e| wrong(&e))?;
        let allowed = sample.allowed;
        let (left, width) = span(allowed.left, allowed.width, plane.scale.0, plane.left, plane.width);
        let (top, height) = span(allowed.top, allowed.height, plane.scale.1, plane.top, plane.height);
        let view = TypedCroppedImage::from_ref(&pixels, int(left), int(top), int(width), int(height));
        let view = view.map_err(|e| wrong(&e))?;
        let (x, wide) = part(sample.left, sample.width, plane.scale.0, plane.left + left, width);
        let (y, high) = part(sample.top, sample.height, plane.scale.1, plane.top + top, height);
        let size = int(sample.size);
        let mut out = TypedImage::<U8>::from_buffer(size, size, out).map_err(|e| wrong(&e))?;
        let filter = ResizeAlg::Convolution(FilterType::Bilinear);
        let options = ResizeOptions::new().resize_alg(filter).crop(x, y, wide, high);
        self.resizer.resize_typed(&view, &mut out, &options).map_err(|e| wrong(&e))
    }
}

/// Start and length of the pixels of a plane that `start..start + length` of the image fall on, in the stored part of
/// the plane, which begins at `origin` and has `stored` pixels.
fn span(start: usize, length: usize, scale: f64, origin: usize, stored: usize) -> (usize, usize) {
    let first = ((start as f64 * scale).floor() as usize).saturating_sub(origin).min(stored.saturating_sub(1));
    let last = (((start + length) as f64 * scale).ceil() as usize)
        .saturating_sub(origin)
        .clamp(first + 1, stored.max(first + 1));
    (first, last - first)
}

/// Start and length of what is scaled, in pixels of a view that begins at `origin` and has `length_of_view` pixels.
fn part(start: f64, length: f64, scale: f64, origin: usize, length_of_view: usize) -> (f64, f64) {
    let view = length_of_view as f64;
    let first = (start * scale - origin as f64).clamp(0.0, view);
    let last = ((start + length) * scale - origin as f64).clamp(first, view);
    (first, last - first)
}

/// Luma and chroma to red, green, blue, in place, as JFIF defines them; off by one at most, in whole numbers.
fn to_rgb(y: &mut [u8], cb: &mut [u8], cr: &mut [u8]) {
    /// `round(factor * 2^14)` of 1.402, 0.344136, 0.714136, 1.772.
    const FACTORS: [i16; 4] = [22970, 5638, 11700, 29032];
    let high = |a: i16, b: i16| ((i32::from(a) * i32::from(b)) >> 16) as i16;
    for ((y, cb), cr) in y.iter_mut().zip(cb).zip(cr) {
        let luma = i16::from(*y);
        let (blue, red) = ((i16::from(*cb) - 128) << 7, (i16::from(*cr) - 128) << 7);
        let r = luma + ((high(red, FACTORS[0]) + 16) >> 5);
        let g = luma - ((high(blue, FACTORS[1]) + high(red, FACTORS[2]) + 16) >> 5);
        let b = luma + ((high(blue, FACTORS[3]) + 16) >> 5);
        *y = r.clamp(0, 255) as u8;
        *cb = g.clamp(0, 255) as u8;
        *cr = b.clamp(0, 255) as u8;
    }
}
