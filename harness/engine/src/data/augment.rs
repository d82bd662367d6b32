//! Crops out of a black frame and mirror images of a whole batch, as one gather on the device.

use harness_datasets::{Augment, Shift, crop_flip};
use tch::{Device, TchError, Tensor};

use super::upload::upload;

/// Changes images of one size.
#[derive(Debug)]
pub(super) struct Augmenter {
    augment: Augment,
    height: i64,
    width: i64,
    /// i64 `[1, h, 1]` and `[1, 1, w]`: rows and columns of an image.
    rows: Tensor,
    columns: Tensor,
}

impl Augmenter {
    pub(super) fn new(augment: Augment, height: i64, width: i64, device: Device) -> Result<Augmenter, TchError> {
        let count = |n: i64| Tensor::f_arange(n, (tch::Kind::Int64, device));
        let (rows, columns) = (count(height)?.f_view([1, -1, 1])?, count(width)?.f_view([1, 1, -1])?);
        Ok(Augmenter { augment, height, width, rows, columns })
    }

    /// `pixels`, u8 `[n, c, h, w]`, of the samples `indices`, each shifted and mirrored as its key says.
    pub(super) fn apply(&self, pixels: Tensor, indices: &[u32], seed: u64, epoch: u64) -> Result<Tensor, TchError> {
        if self.augment.is_none() {
            return Ok(pixels);
        }
        let pad = i64::from(self.augment.pad);
        let shifts: Vec<Shift> = indices.iter().map(|&index| crop_flip(self.augment, seed, epoch, index)).collect();
        let device = pixels.device();
        let column = |number: &dyn Fn(&Shift) -> i64| {
            let numbers: Vec<i64> = shifts.iter().map(number).collect();
            upload(&numbers, device)?.f_view([-1, 1, 1])
        };
        let top = column(&|shift| i64::from(shift.top))?;
        // Columns run from the left edge of the crop to the right, or back from its right edge.
        let first = column(&|shift| i64::from(shift.left) + if shift.flip { self.width - 1 } else { 0 })?;
        let way = column(&|shift| if shift.flip { -1 } else { 1 })?;
        let framed_width = self.width + 2 * pad;
        let rows = self.rows.f_add(&top)?.f_mul_scalar(framed_width)?;
        let places = rows.f_add(&self.columns.f_mul(&way)?.f_add(&first)?)?;
        let framed = if pad == 0 { pixels } else { pixels.f_constant_pad_nd([pad, pad, pad, pad])? };
        let (n, c) = (framed.size()[0], framed.size()[1]);
        let places = places.f_view([n, 1, -1])?.f_expand([n, c, -1], false)?;
        framed.f_view([n, c, -1])?.f_gather(2, &places, false)?.f_view([n, c, self.height, self.width])
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn a_gather_is_what_loops_give(
            pad in 0u8..4, flip: bool, h in 1usize..7, w in 1usize..7, c in 1usize..4, seed: u64, epoch in 0u64..9,
        ) {
            let augment = Augment { pad, flip };
            let indices = [5u32, 0, 7, 123_456];
            let n = indices.len();
            let bytes: Vec<u8> = (0..n * c * h * w).map(|i| (i * 37 % 251 + 1) as u8).collect();
            let size = [n, c, h, w].map(|n| n as i64);
            let pixels = Tensor::from_slice(&bytes).view(size);
            let augmenter = Augmenter::new(augment, size[2], size[3], Device::Cpu).unwrap();
            let found = augmenter.apply(pixels, &indices, seed, epoch).unwrap();
            prop_assert_eq!(found.size(), size);
            let found = Vec::<u8>::try_from(found.contiguous().view(-1)).unwrap();
            let mut expected = Vec::new();
            for (i, &index) in indices.iter().enumerate() {
                let Shift { top, left, flip } = crop_flip(augment, seed, epoch, index);
                for channel in 0..c {
                    for y in 0..h {
                        for x in 0..w {
                            let x = if flip { w - 1 - x } else { x };
                            let from = (y + top as usize).checked_sub(pad.into()).zip((x + left as usize).checked_sub(pad.into()));
                            let from = from.filter(|&(y, x)| y < h && x < w);
                            expected.push(from.map_or(0, |(y, x)| bytes[((i * c + channel) * h + y) * w + x]));
                        }
                    }
                }
            }
            prop_assert_eq!(found, expected);
        }
    }
}
