//! What stands before the entropy-coded data (ITU-T T.81, annex B).

use std::rc::Rc;

use super::Component;
use super::huffman::Table;
use crate::picture::{Damage, exif};

/// What a file turned out to be.
pub(in crate::picture) enum Read<'a> {
    /// A file for this decoder.
    Frame(Box<Frame<'a>>),
    /// A JPEG file of another kind; its orientation.
    Other { orientation: u8 },
}

/// Everything that is known before the entropy-coded data.
pub(in crate::picture) struct Frame<'a> {
    pub(in crate::picture) width: usize,
    pub(in crate::picture) height: usize,
    /// As EXIF numbers it, 1 to 8; 1 where nothing is said.
    pub(in crate::picture) orientation: u8,
    pub(super) components: Vec<Component>,
    /// By component: DC and AC.
    pub(super) codes: Vec<(Rc<Table>, Rc<Table>)>,
    /// Divisors in zigzag order.
    pub(super) tables: [Option<[u16; 64]>; 4],
    /// Minimum coded units between restarts; 0: none.
    pub(super) restart: usize,
    /// Entropy-coded data and whatever follows.
    pub(super) data: &'a [u8],
}

/// What the markers said so far.
#[derive(Default)]
struct State {
    size: Option<(usize, usize)>,
    components: Vec<Component>,
    dc: [Option<Rc<Table>>; 4],
    ac: [Option<Rc<Table>>; 4],
    tables: [Option<[u16; 64]>; 4],
    restart: usize,
    orientation: u8,
    /// Of Adobe's marker: 0 for no transform, 1 for YCbCr.
    adobe: Option<u8>,
}

/// Largest pixels a minimum coded unit may have along a side, in blocks.
const MOST_BLOCKS: usize = 4;

/// Reads the header of a JPEG file.
///
/// # Errors
/// When it ends early or contradicts itself.
pub(in crate::picture) fn read(bytes: &[u8]) -> Result<Read<'_>, Damage> {
    let mut state = State { orientation: 1, ..State::default() };
    let mut rest = bytes.get(2..).ok_or(Damage::Truncated)?;
    let mut foreign = false;
    loop {
        // Garbage between segments is read over, as every other decoder does.
        let at = memchr::memchr(0xff, rest).ok_or(Damage::Truncated)?;
        let marker = *rest.get(at + 1).ok_or(Damage::Truncated)?;
        rest = &rest[at + 1..];
        if matches!(marker, 0x00 | 0x01 | 0xff | 0xd0..=0xd8) {
            continue;
        }
        if marker == 0xd9 {
            return Err(Damage::Truncated);
        }
        let length = rest.get(1..3).ok_or(Damage::Truncated)?;
        let length = usize::from(u16::from_be_bytes([length[0], length[1]]));
        let segment = rest.get(3..1 + length).ok_or(if length < 2 { Damage::Header } else { Damage::Truncated })?;
        rest = &rest[1 + length..];
        match marker {
            0xc0 | 0xc1 => foreign |= !state.frame(segment)?,
            0xc2..=0xc3 | 0xc5..=0xc7 | 0xc9..=0xcb | 0xcd..=0xcf => foreign = true,
            0xc4 => state.huffman(segment)?,
            0xdb => state.quantization(segment)?,
            0xdd => state.restart = usize::from(u16::from_be_bytes(*segment.first_chunk().ok_or(Damage::Header)?)),
            0xe1 => state.orientation = exif::orientation(segment).unwrap_or(state.orientation),
            0xee if segment.starts_with(b"Adobe") => state.adobe = segment.get(11).copied(),
            0xda if foreign => return Ok(Read::Other { orientation: state.orientation }),
            0xda => return state.scan(segment, rest),
            _ => {}
        }
    }
}

impl State {
    /// A frame header. False when the frame is for another decoder.
    fn frame(&mut self, segment: &[u8]) -> Result<bool, Damage> {
        let [precision, h1, h0, w1, w0, count] = *segment.first_chunk().ok_or(Damage::Header)?;
        let (height, width) = (u16::from_be_bytes([h1, h0]), u16::from_be_bytes([w1, w0]));
        if self.size.is_some() || width == 0 {
            return Err(Damage::Header);
        }
        self.size = Some((usize::from(width), usize::from(height)));
        if precision != 8 || height == 0 || !matches!(count, 1 | 3) {
            return Ok(false);
        }
        let specs = segment.get(6..6 + 3 * usize::from(count)).ok_or(Damage::Header)?;
        for spec in specs.chunks_exact(3) {
            let (h, v, table) = (usize::from(spec[1] >> 4), usize::from(spec[1] & 15), usize::from(spec[2]));
            if h == 0 || v == 0 || table > 3 {
                return Err(Damage::Header);
            }
            // A scan of one component is not interleaved: its unit is one block.
            let (h, v) = if count == 1 { (1, 1) } else { (h, v) };
            self.components.push(Component { id: spec[0], h, v, table });
        }
        let most = |of: fn(&Component) -> usize| self.components.iter().map(of).max().unwrap_or(1);
        let (h, v) = (most(|c| c.h), most(|c| c.v));
        let whole = |c: &Component| h.is_multiple_of(c.h) && v.is_multiple_of(c.v);
        let luma_is_full = self.components.first().is_some_and(|luma| luma.h == h && luma.v == v);
        Ok(h.max(v) <= MOST_BLOCKS && luma_is_full && self.components.iter().all(whole))
    }

    fn huffman(&mut self, mut segment: &[u8]) -> Result<(), Damage> {
        while let Some((&class, rest)) = segment.split_first() {
            let counts: &[u8; 16] = rest.first_chunk().ok_or(Damage::Header)?;
            let total: usize = counts.iter().map(|&count| usize::from(count)).sum();
            let symbols = rest.get(16..16 + total).ok_or(Damage::Header)?;
            let dc = class >> 4 == 0;
            let table = Table::new(counts, symbols, dc).ok_or(Damage::Header)?;
            let tables = if dc { &mut self.dc } else { &mut self.ac };
            *tables.get_mut(usize::from(class & 15)).ok_or(Damage::Header)? = Some(Rc::new(table));
            segment = &rest[16 + total..];
        }
        Ok(())
    }

    fn quantization(&mut self, mut segment: &[u8]) -> Result<(), Damage> {
        while let Some((&head, rest)) = segment.split_first() {
            let width = 1 + usize::from(head >> 4);
            let bytes = rest.get(..64 * width).filter(|_| width <= 2).ok_or(Damage::Header)?;
            let table = self.tables.get_mut(usize::from(head & 15)).ok_or(Damage::Header)?;
            let number =
                |i: usize| bytes[i * width..(i + 1) * width].iter().fold(0, |n, &byte| n << 8 | u16::from(byte));
            *table = Some(std::array::from_fn(number));
            segment = &rest[64 * width..];
        }
        Ok(())
    }

    /// The header of the first scan; the rest is entropy-coded.
    fn scan<'a>(self, segment: &[u8], data: &'a [u8]) -> Result<Read<'a>, Damage> {
        let (width, height) = self.size.ok_or(Damage::Header)?;
        let count = usize::from(*segment.first().ok_or(Damage::Header)?);
        let specs = segment.get(1..1 + 2 * count).ok_or(Damage::Header)?;
        let range = segment.get(1 + 2 * count..4 + 2 * count).ok_or(Damage::Header)?;
        let ids: Vec<u8> = self.components.iter().map(|component| component.id).collect();
        let named: Vec<u8> = specs.chunks_exact(2).map(|spec| spec[0]).collect();
        let is_rgb = self.adobe.map_or(ids == *b"RGB", |transform| transform == 0) && ids.len() == 3;
        if named != ids || is_rgb {
            return Ok(Read::Other { orientation: self.orientation });
        }
        if range != [0, 63, 0] {
            return Err(Damage::Header);
        }
        let code = |spec: &[u8]| {
            let get = |tables: &[Option<Rc<Table>>; 4], place: u8| tables.get(usize::from(place)).cloned().flatten();
            get(&self.dc, spec[1] >> 4).zip(get(&self.ac, spec[1] & 15)).ok_or(Damage::Header)
        };
        let codes = specs.chunks_exact(2).map(code).collect::<Result<Vec<_>, _>>()?;
        Ok(Read::Frame(Box::new(Frame {
            width,
            height,
            orientation: self.orientation,
            components: self.components,
            codes,
            tables: self.tables,
            restart: self.restart,
            data,
        })))
    }
}
