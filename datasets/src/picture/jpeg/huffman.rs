//! Huffman tables that give a whole coefficient in one look where it is short, as most are.

use super::bits::Bits;
use crate::picture::Damage;

/// Bits of one look.
const LOOK: u32 = 10;

/// Zigzag place behind the last coefficient: where an end of block jumps to.
const END: u32 = 64;

/// A table of codes, each of which stands for a byte `run << 4 | size`.
///
/// An entry packs, from the lowest bit: bits to skip (5), zeros before the coefficient (7; 64 at the end of a block),
/// bits of the coefficient that follow (4; 0 where the value is in the entry), value (16, signed). 0: a longer code.
#[derive(Clone)]
pub(super) struct Table {
    look: Box<[u32; 1 << LOOK]>,
    /// First code that is longer than `length`, left-aligned in 16 bits, for each length; what to add to a code to
    /// get its place in `symbols`.
    limits: [u32; 17],
    offsets: [i32; 17],
    symbols: Vec<u8>,
}

/// What a code stands for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Coefficient {
    /// Zeros before it; 64 or more at the end of the block.
    pub(super) run: u32,
    pub(super) value: i32,
}

impl Table {
    /// From the number of codes of each length, 1 to 16, and what they stand for, in order of their codes.
    /// `None` when the codes do not fit.
    pub(super) fn new(counts: &[u8; 16], symbols: &[u8], dc: bool) -> Option<Table> {
        let mut look = Box::new([0; 1 << LOOK]);
        let (mut limits, mut offsets) = ([0; 17], [0; 17]);
        let (mut code, mut place) = (0u32, 0usize);
        for length in 1..=16u32 {
            offsets[length as usize] = place as i32 - code as i32;
            for _ in 0..counts[length as usize - 1] {
                let &symbol = symbols.get(place)?;
                if code >= 1 << length || (dc && symbol > 15) {
                    return None;
                }
                if length <= LOOK {
                    let first = (code << (LOOK - length)) as usize;
                    for rest in 0..1usize << (LOOK - length) {
                        look[first + rest] = entry(symbol, length, rest, dc);
                    }
                }
                code += 1;
                place += 1;
            }
            limits[length as usize] = code << (16 - length);
            code <<= 1;
        }
        Some(Table { look, limits, offsets, symbols: symbols.get(..place)?.to_vec() })
    }

    /// Reads one coefficient. There must be 32 bits to read.
    #[inline(always)]
    pub(super) fn read(&self, bits: &mut Bits<'_>) -> Result<Coefficient, Damage> {
        let entry = self.look[bits.peek(LOOK)];
        if entry == 0 {
            return self.read_long(bits);
        }
        bits.skip(entry & 31);
        let (run, size) = (entry >> 5 & 127, entry >> 12 & 15);
        let value = if size == 0 { i32::from((entry >> 16) as i16) } else { bits.signed(size) };
        Ok(Coefficient { run, value })
    }

    #[cold]
    fn read_long(&self, bits: &mut Bits<'_>) -> Result<Coefficient, Damage> {
        let code = bits.peek(16) as u32;
        let length = (LOOK as usize + 1..=16).find(|&length| code < self.limits[length]).ok_or(Damage::Code)?;
        let place = (code >> (16 - length)) as i32 + self.offsets[length];
        let symbol = usize::try_from(place).ok().and_then(|place| self.symbols.get(place)).ok_or(Damage::Code)?;
        bits.skip(length as u32);
        let (run, size) = (u32::from(symbol >> 4), u32::from(symbol & 15));
        match (run, size) {
            (15, 0) => Ok(Coefficient { run, value: 0 }),
            (_, 0) => Ok(Coefficient { run: END, value: 0 }),
            _ => Ok(Coefficient { run, value: bits.signed(size) }),
        }
    }
}

/// The entry of a code of `length` bits that stands for `symbol`, when `rest` are the bits of the look behind it.
fn entry(symbol: u8, length: u32, rest: usize, dc: bool) -> u32 {
    let (run, size) = (u32::from(symbol >> 4), u32::from(symbol & 15));
    let left = LOOK - length;
    match (run, size) {
        (0, 0) if dc => length,
        (15, 0) => length | 15 << 5,
        (_, 0) => length | END << 5,
        _ if size <= left => {
            let value = (rest >> (left - size)) as i32;
            let value = if value >> (size - 1) == 0 { value + 1 - (1 << size) } else { value };
            (length + size) | run << 5 | (value as u32) << 16
        }
        _ => length | run << 5 | size << 12,
    }
}
