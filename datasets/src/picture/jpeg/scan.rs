//! Entropy-coded data to pixels: the part that is wanted, read over what is not.

use super::Frame;
use super::bits::{Bits, Unstuffed, unstuff};
use super::huffman::Table;
use super::idct::{self, Block};
use crate::picture::{Damage, Plane, Rect};

/// Where the coefficients in zigzag order stand in a transposed block.
const TRANSPOSED: [u8; 64] = {
    let (mut order, mut k, mut diagonal) = ([0; 64], 0, 0);
    while diagonal < 15 {
        let mut step = 0;
        while step <= diagonal {
            // Even diagonals run upwards, odd ones downwards.
            let (u, v) = if diagonal % 2 == 0 { (step, diagonal - step) } else { (diagonal - step, step) };
            if u < 8 && v < 8 {
                order[k] = (8 * u + v) as u8;
                k += 1;
            }
            step += 1;
        }
        diagonal += 1;
    }
    order
};

/// One component on its way to a plane.
struct Channel<'a> {
    h: usize,
    v: usize,
    dc: &'a Table,
    ac: &'a Table,
    /// Divisors in zigzag order, with the scales of the transform.
    divisors: [f32; 64],
    /// Pixels of a decoded block along a side.
    side: usize,
    matrix: [[f32; 4]; 4],
    /// Last DC coefficient.
    before: i32,
    plane: Plane,
}

/// Planes of the wanted part, in the order of the components.
pub(super) fn decode(frame: &Frame<'_>, wanted: Rect, side: usize) -> Result<Vec<Plane>, Damage> {
    let most = |of: fn(&super::Component) -> usize| frame.components.iter().map(of).max().unwrap_or(1);
    let (h, v) = (most(|c| c.h), most(|c| c.v));
    let (unit_width, unit_height) = (8 * h, 8 * v);
    let across = frame.width.div_ceil(unit_width);
    let columns = wanted.left / unit_width..(wanted.left + wanted.width).div_ceil(unit_width).min(across);
    let rows = wanted.top / unit_height..(wanted.top + wanted.height).div_ceil(unit_height);
    // Every block takes two bits at least, so a short file cannot ask for much memory.
    let blocks: usize = frame.components.iter().map(|c| c.h * c.v).sum::<usize>() * across * rows.end;
    if frame.data.len() * 4 < blocks {
        return Err(Damage::Truncated);
    }
    let mut channels = Vec::with_capacity(frame.components.len());
    for (component, (dc, ac)) in frame.components.iter().zip(&frame.codes) {
        let (h_step, v_step) = (h / component.h, v / component.v);
        // Chroma of half the resolution is decoded to twice the size where there is one.
        let side = if side < 8 && h_step == 2 && v_step == 2 { 2 * side } else { side };
        let table = frame.tables[component.table].ok_or(Damage::Header)?;
        let scales = idct::scales(side);
        let (width, height) = (columns.len() * component.h * side, rows.len() * component.v * side);
        channels.push(Channel {
            h: component.h,
            v: component.v,
            dc,
            ac,
            divisors: std::array::from_fn(|k| f32::from(table[k]) * scales[usize::from(TRANSPOSED[k])]),
            side,
            matrix: idct::matrix(side),
            before: 0,
            plane: Plane {
                pixels: vec![0; width * height],
                width,
                height,
                left: columns.start * component.h * side,
                top: rows.start * component.v * side,
                scale: (side as f64 / (8 * h_step) as f64, side as f64 / (8 * v_step) as f64),
            },
        });
    }
    let Unstuffed { bytes, intervals } = unstuff(frame.data);
    let mut intervals = intervals.iter();
    let mut next = || Some(Bits::new(&bytes, intervals.next()?));
    let mut bits = next().ok_or(Damage::Truncated)?;
    let mut to_restart = frame.restart;
    for row in 0..rows.end {
        for column in 0..across {
            if frame.restart > 0 {
                if to_restart == 0 {
                    if bits.overrun() {
                        return Err(Damage::Truncated);
                    }
                    bits = next().ok_or(Damage::Truncated)?;
                    channels.iter_mut().for_each(|channel| channel.before = 0);
                    to_restart = frame.restart;
                }
                to_restart -= 1;
            }
            let place =
                (columns.contains(&column) && row >= rows.start).then(|| (column - columns.start, row - rows.start));
            for channel in &mut channels {
                channel.unit(&mut bits, place)?;
            }
        }
        if bits.overrun() {
            return Err(Damage::Truncated);
        }
    }
    Ok(channels.into_iter().map(|channel| channel.plane).collect())
}

impl Channel<'_> {
    /// The blocks of one minimum coded unit, which stands at `place` of the wanted ones or is read over.
    #[inline]
    fn unit(&mut self, bits: &mut Bits<'_>, place: Option<(usize, usize)>) -> Result<(), Damage> {
        let Some((column, row)) = place else {
            for _ in 0..self.h * self.v {
                self.pass_over(bits)?;
            }
            return Ok(());
        };
        for y in 0..self.v {
            for x in 0..self.h {
                let mut block = [0.0; 64];
                let flat = self.coefficients(bits, &mut block)?;
                self.draw(&block, flat, column * self.h + x, row * self.v + y);
            }
        }
        Ok(())
    }

    /// Reads over one block.
    #[inline]
    fn pass_over(&mut self, bits: &mut Bits<'_>) -> Result<(), Damage> {
        bits.refill();
        self.before = self.before.wrapping_add(self.dc.read(bits)?.value);
        let mut k = 1;
        while k < 64 {
            bits.refill();
            let run = self.ac.read(bits)?.run;
            k += run;
            if k >= 64 {
                return if run >= 64 { Ok(()) } else { Err(Damage::Code) };
            }
            k += 1;
        }
        Ok(())
    }

    /// Reads one block; true when it has only a mean.
    #[inline]
    fn coefficients(&mut self, bits: &mut Bits<'_>, block: &mut Block) -> Result<bool, Damage> {
        bits.refill();
        self.before = self.before.wrapping_add(self.dc.read(bits)?.value);
        block[0] = self.before as f32 * self.divisors[0];
        let mut k = 1;
        let mut flat = true;
        while k < 64 {
            bits.refill();
            let coefficient = self.ac.read(bits)?;
            k += coefficient.run as usize;
            if k >= 64 {
                // Only the end of the block jumps by 64.
                return if coefficient.run >= 64 { Ok(flat) } else { Err(Damage::Code) };
            }
            block[usize::from(TRANSPOSED[k])] = coefficient.value as f32 * self.divisors[k];
            flat = false;
            k += 1;
        }
        Ok(flat)
    }

    /// Transforms a block and puts it where it belongs.
    #[inline]
    fn draw(&mut self, block: &Block, flat: bool, column: usize, row: usize) {
        let (side, width) = (self.side, self.plane.width);
        let start = row * side * width + column * side;
        let rows = self.plane.pixels[start..].chunks_mut(width).take(side);
        if flat {
            let mean = idct::pixel(if side == 8 { block[0] } else { block[0] / side as f32 });
            rows.for_each(|row| row[..side].fill(mean));
        } else if side == 8 {
            rows.zip(idct::full(block)).for_each(|(row, pixels)| row[..8].copy_from_slice(&pixels));
        } else {
            let pixels = idct::reduced(block, side, &self.matrix);
            rows.zip(pixels.chunks_exact(4)).for_each(|(row, pixels)| row[..side].copy_from_slice(&pixels[..side]));
        }
    }
}
