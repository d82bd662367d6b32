//! Random changes of colour, with Pillow's definitions of brightness, contrast and saturation.

/// One change by a factor; 1 changes nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Change {
    /// Away from black.
    Brightness,
    /// Away from the mean grey of the image.
    Contrast,
    /// Away from each pixel's own grey.
    Saturation,
}

/// All of them.
pub(super) const ALL: [Change; 3] = [Change::Brightness, Change::Contrast, Change::Saturation];

/// Luma of ITU-R 601, rounded.
fn grey(r: u8, g: u8, b: u8) -> u8 {
    ((u32::from(r) * 19595 + u32::from(g) * 38470 + u32::from(b) * 7471 + 0x8000) >> 16) as u8
}

/// `from + factor * (to - from)`, limited to a byte.
fn blend(from: u8, to: u8, factor: f32) -> u8 {
    (f32::from(from) + factor * (f32::from(to) - f32::from(from))) as u8
}

impl Change {
    /// Changes an image, `[3, n]`: red, green, blue.
    pub(super) fn apply(self, image: &mut [u8], factor: f32) {
        let third = image.len() / 3;
        let (red, rest) = image.split_at_mut(third);
        let (green, blue) = rest.split_at_mut(third);
        let pixels = || red.iter().zip(green.iter()).zip(blue.iter()).map(|((&r, &g), &b)| grey(r, g, b));
        match self {
            Change::Brightness => image.iter_mut().for_each(|p| *p = blend(0, *p, factor)),
            Change::Contrast => {
                let sum: u64 = pixels().map(u64::from).sum();
                let mean = (sum as f64 / third.max(1) as f64 + 0.5) as u8;
                image.iter_mut().for_each(|p| *p = blend(mean, *p, factor));
            }
            Change::Saturation => {
                for ((r, g), b) in red.iter_mut().zip(green).zip(blue) {
                    let own = grey(*r, *g, *b);
                    for p in [r, g, b] {
                        *p = blend(own, *p, factor);
                    }
                }
            }
        }
    }
}
