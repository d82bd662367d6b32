//! Which part of a photograph is looked at, and how it is changed.

use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::Rng;

use super::jitter;
use crate::picture::{Damage, Picture, Rect, Sample, Sampler};
use crate::random;

/// How photographs become images of one size: torchvision's `RandomResizedCrop`, `RandomHorizontalFlip` and
/// `ColorJitter` to train, its `Resize` and `CenterCrop` to test.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Recipe {
    /// Pixels along each side of the result.
    pub(crate) size: usize,
    /// Length of the short side before the centre is cropped, at least `size`.
    pub(crate) resize: usize,
    /// Least fraction of the area that a random crop has.
    pub(crate) least_area: f64,
    /// Mirror every other time.
    pub(crate) flip: bool,
    /// Largest change of brightness, contrast and saturation; 0: none.
    pub(crate) jitter: f64,
    /// Turn photographs upright as EXIF says.
    pub(crate) upright: bool,
    /// Decode JPEG smaller where the result is much smaller.
    pub(crate) scaled: bool,
    /// Leave broken files out instead of stopping.
    pub(crate) skip_broken: bool,
}

/// Tries to find a random crop that fits.
const TRIES: usize = 10;
/// Limits of width / height of a random crop.
const RATIO: (f64, f64) = (3.0 / 4.0, 4.0 / 3.0);

/// How stored pixels lie to upright ones: a stored place is the upright one, with x and y swapped, then measured from
/// the other side.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Turn {
    swap: bool,
    from_right: bool,
    from_bottom: bool,
}

impl Turn {
    /// By the number EXIF has for it.
    fn of(orientation: u8) -> Turn {
        let (swap, from_right, from_bottom) = match orientation {
            2 => (false, true, false),
            3 => (false, true, true),
            4 => (false, false, true),
            5 => (true, false, false),
            6 => (true, false, true),
            7 => (true, true, true),
            8 => (true, true, false),
            _ => (false, false, false),
        };
        Turn { swap, from_right, from_bottom }
    }

    /// Left, top, width and height in a stored image of this size, of a part of the upright one.
    fn stored(self, (left, top, width, height): (f64, f64, f64, f64), size: (usize, usize)) -> (f64, f64, f64, f64) {
        let (left, top, width, height) =
            if self.swap { (top, left, height, width) } else { (left, top, width, height) };
        let left = if self.from_right { size.0 as f64 - left - width } else { left };
        let top = if self.from_bottom { size.1 as f64 - top - height } else { top };
        (left, top, width, height)
    }

    /// Turns a square plane upright.
    fn apply(self, plane: &mut [u8], side: usize) {
        if self == Turn::of(1) {
            return;
        }
        let stored = plane.to_vec();
        for y in 0..side {
            for x in 0..side {
                let (a, b) = if self.swap { (y, x) } else { (x, y) };
                let a = if self.from_right { side - 1 - a } else { a };
                let b = if self.from_bottom { side - 1 - b } else { b };
                plane[y * side + x] = stored[b * side + a];
            }
        }
    }
}

/// A uniform number in [0, 1).
fn uniform(rng: &mut ChaCha8Rng) -> f64 {
    (rng.next_u64() >> 11) as f64 / (1u64 << 53) as f64
}

/// A uniform number in [low, high).
fn between(rng: &mut ChaCha8Rng, (low, high): (f64, f64)) -> f64 {
    low + (high - low) * uniform(rng)
}

impl Recipe {
    /// A random crop, mirrored and coloured at random: a pure function of the picture, seed, epoch and index.
    pub(super) fn train(
        &self,
        picture: &Picture<'_>,
        seed: u64,
        epoch: u64,
        index: u32,
        sampler: &mut Sampler,
        out: &mut [u8],
    ) -> Result<(), Damage> {
        let mut rng = random::stream(b"photocrp", seed, epoch, u64::from(index));
        let turn = self.turn(picture);
        let crop = self.random_crop(upright(picture.size(), turn), &mut rng);
        let numbers = (crop.left as f64, crop.top as f64, crop.width as f64, crop.height as f64);
        let (left, top, width, height) = turn.stored(numbers, picture.size());
        // Pixels outside a crop are not there, as if it had been cut out.
        let allowed = Rect { left: left as usize, top: top as usize, width: width as usize, height: height as usize };
        let sample = Sample { left, top, width, height, allowed, size: self.size, scaled: self.scaled };
        picture.sample(&sample, sampler, out)?;
        let planes = out.chunks_exact_mut(self.size * self.size);
        let mirrored = self.flip && rng.next_u32() & 1 == 1;
        for plane in planes {
            turn.apply(plane, self.size);
            if mirrored {
                plane.chunks_exact_mut(self.size).for_each(<[u8]>::reverse);
            }
        }
        if self.jitter > 0.0 {
            let range = ((1.0 - self.jitter).max(0.0), 1.0 + self.jitter);
            let mut changes = jitter::ALL;
            for place in (1..changes.len()).rev() {
                let partner = random::below(|| rng.next_u32(), place as u32 + 1);
                changes.swap(place, partner as usize);
            }
            for change in changes {
                change.apply(out, between(&mut rng, range) as f32);
            }
        }
        Ok(())
    }

    /// The centre, after scaling the short side to `resize`.
    pub(super) fn test(&self, picture: &Picture<'_>, sampler: &mut Sampler, out: &mut [u8]) -> Result<(), Damage> {
        let turn = self.turn(picture);
        let (width, height) = upright(picture.size(), turn);
        let short = width.min(height);
        let resized = |side: usize| if side == short { self.resize } else { self.resize * side / short };
        // Along one side: where the centre begins and how long it is, and how far the filter reaches beyond it.
        let span = |side: usize| {
            let step = side as f64 / resized(side) as f64;
            let margin = (resized(side) - self.size) as f64 / 2.0;
            (margin.round_ties_even() * step, self.size as f64 * step, step.max(1.0) + 1.0)
        };
        let ((left, wide, reach_x), (top, high, reach_y)) = (span(width), span(height));
        let (left, top, wide, high) = turn.stored((left, top, wide, high), picture.size());
        let (reach_x, reach_y) = if turn.swap { (reach_y, reach_x) } else { (reach_x, reach_y) };
        let allowed = |start: f64, length: f64, reach: f64, side: usize| {
            let first = (start - reach).floor().max(0.0) as usize;
            (first, ((start + length + reach).ceil() as usize).min(side) - first)
        };
        let (x, allowed_width) = allowed(left, wide, reach_x, picture.size().0);
        let (y, allowed_height) = allowed(top, high, reach_y, picture.size().1);
        let allowed = Rect { left: x, top: y, width: allowed_width, height: allowed_height };
        let sample = Sample { left, top, width: wide, height: high, allowed, size: self.size, scaled: self.scaled };
        picture.sample(&sample, sampler, out)?;
        out.chunks_exact_mut(self.size * self.size).for_each(|plane| turn.apply(plane, self.size));
        Ok(())
    }

    fn turn(&self, picture: &Picture<'_>) -> Turn {
        Turn::of(if self.upright { picture.orientation() } else { 1 })
    }

    /// A part of an image of this size: of random area and ratio, at a random place; the centre when none fits.
    fn random_crop(&self, (width, height): (usize, usize), rng: &mut ChaCha8Rng) -> Rect {
        let area = (width * height) as f64;
        for _ in 0..TRIES {
            let target = area * between(rng, (self.least_area, 1.0));
            let ratio = between(rng, (RATIO.0.ln(), RATIO.1.ln())).exp();
            let (w, h) = ((target * ratio).sqrt().round_ties_even(), (target / ratio).sqrt().round_ties_even());
            if w >= 1.0 && h >= 1.0 && w <= width as f64 && h <= height as f64 {
                let (w, h) = (w as usize, h as usize);
                let mut place = |free: usize| random::below(|| rng.next_u32(), free as u32 + 1) as usize;
                let (top, left) = (place(height - h), place(width - w));
                return Rect { left, top, width: w, height: h };
            }
        }
        let (w, h) = match width as f64 / height as f64 {
            ratio if ratio < RATIO.0 => (width, (width as f64 / RATIO.0).round_ties_even() as usize),
            ratio if ratio > RATIO.1 => ((height as f64 * RATIO.1).round_ties_even() as usize, height),
            _ => (width, height),
        };
        let (w, h) = (w.clamp(1, width), h.clamp(1, height));
        Rect { left: (width - w) / 2, top: (height - h) / 2, width: w, height: h }
    }
}

/// Decodes a whole picture, for what is wrong with it.
pub(super) fn look_at_all(picture: &Picture<'_>, sampler: &mut Sampler) -> Result<(), Damage> {
    const SIZE: usize = 8;
    let (width, height) = picture.size();
    let allowed = Rect { left: 0, top: 0, width, height };
    let all = (width as f64, height as f64);
    let sample = Sample { left: 0.0, top: 0.0, width: all.0, height: all.1, allowed, size: SIZE, scaled: true };
    picture.sample(&sample, sampler, &mut [0; 3 * SIZE * SIZE])
}

/// Width and height when turned.
fn upright((width, height): (usize, usize), turn: Turn) -> (usize, usize) {
    if turn.swap { (height, width) } else { (width, height) }
}
