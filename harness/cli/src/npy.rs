//! Arrays in NumPy's `.npy` format, versions 1 to 3.
//!
//! ```text
//! \x93NUMPY  major minor  length of the header (u16, from version 2 on u32, little-endian)  header  elements
//! ```
//! Read: f2, f4 and f8 of either byte order, in C and Fortran order, 1 to 64 dimensions. Written: little-endian f4 and
//! u1 in C order. What is read comes from outside: nothing is allocated on the word of a header alone.
//!
//! `tch::Tensor::read_npy` is no replacement: it allocates the length that a header of version 2 claims, up to 4 GiB,
//! before it reads it, loads the rest of the file whatever the shape, and refuses Fortran order and big-endian elements.

mod header;

use std::io::{self, Read};

use half::f16;
use header::{Header, shortened};

const MAGIC: &[u8; 6] = b"\x93NUMPY";
/// Longest header that is read. One of 64 dimensions has less than 2 KiB.
const LONGEST_HEADER: usize = 1 << 16;
/// Most dimensions that NumPy and libtorch know.
const MOST_DIMENSIONS: usize = 64;

/// Finite numbers in C order.
#[derive(Debug, PartialEq)]
pub(crate) struct Array {
    /// At least one dimension, none of them 0.
    pub(crate) shape: Vec<usize>,
    /// As many as the product of the dimensions.
    pub(crate) values: Vec<f32>,
}

/// Why an array was refused: fragments that follow the name of the file.
#[derive(Debug, thiserror::Error)]
pub(crate) enum NpyError {
    #[error("cannot be read: {0}")]
    Io(#[from] io::Error),
    #[error("is no .npy file: it does not start with \\x93NUMPY")]
    Magic,
    #[error("is of .npy version {major}.{minor}, expected 1.0, 2.0 or 3.0")]
    Version { major: u8, minor: u8 },
    #[error("is cut short: it ends inside its header")]
    HeaderEnds,
    #[error("has a header of {length} bytes, expected at most {LONGEST_HEADER}")]
    HeaderLength { length: usize },
    #[error("has a header that {0}")]
    Header(String),
    #[error("holds records, expected plain floating-point numbers (f2, f4 or f8)")]
    Records,
    #[error("holds pickled Python objects, expected floating-point numbers (f2, f4 or f8)")]
    Objects,
    #[error("holds elements of type `{0}`, expected floating-point numbers (f2, f4 or f8)")]
    Kind(String),
    #[error("is a single number of rank 0, expected at least one dimension")]
    Scalar,
    #[error("has {0} dimensions, expected at most {MOST_DIMENSIONS}")]
    Dimensions(usize),
    #[error("has no elements: its shape is {0:?}")]
    Empty(Vec<usize>),
    #[error("has a shape beyond all memory: {0:?}")]
    Huge(Vec<usize>),
    #[error("is cut short: {found} bytes of elements, its shape {shape:?} needs {needed}")]
    Truncated { found: usize, needed: usize, shape: Vec<usize> },
    #[error("goes on after its last element, expected one array of {needed} bytes of elements")]
    Trailing { needed: usize },
    #[error("has {count} of {total} values that are not finite, the first ({value}) at index {index:?}")]
    NotFinite { count: usize, total: usize, value: f64, index: Vec<usize> },
    #[error("has {count} of {total} values beyond the range of f32, the first ({value:e}) at index {index:?}")]
    OutOfRange { count: usize, total: usize, value: f64, index: Vec<usize> },
}

/// Type of the elements.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Kind {
    F2,
    F4,
    F8,
}

/// Elements as they stand in the file.
struct Raw {
    kind: Kind,
    is_big: bool,
    bytes: Vec<u8>,
}

/// Reads one array, all of which must be finite in f32.
pub(crate) fn read(mut source: impl Read) -> Result<Array, NpyError> {
    let header = read_header(&mut source)?;
    let (kind, is_big) = element(&header.descr)?;
    let shape = header.shape;
    let needed = size(&shape, kind)?;
    let mut bytes = Vec::new();
    // One byte more than there should be tells whether there is more.
    source.take(needed as u64 + 1).read_to_end(&mut bytes)?;
    if bytes.len() < needed {
        return Err(NpyError::Truncated { found: bytes.len(), needed, shape });
    }
    if bytes.len() > needed {
        return Err(NpyError::Trailing { needed });
    }
    decode(&Raw { kind, is_big, bytes }, shape, header.fortran_order)
}

fn read_header(source: &mut impl Read) -> Result<Header, NpyError> {
    let mut start = [0; 8];
    read_all(source, &mut start, || NpyError::Magic)?;
    let [magic @ .., major, minor] = start;
    if &magic != MAGIC {
        return Err(NpyError::Magic);
    }
    let mut length = [0; 4];
    let width = match (major, minor) {
        (1, 0) => 2,
        (2 | 3, 0) => 4,
        _ => return Err(NpyError::Version { major, minor }),
    };
    read_all(source, &mut length[..width], || NpyError::HeaderEnds)?;
    let length = usize::try_from(u32::from_le_bytes(length)).unwrap_or(usize::MAX);
    if length > LONGEST_HEADER {
        return Err(NpyError::HeaderLength { length });
    }
    let mut text = vec![0; length];
    read_all(source, &mut text, || NpyError::HeaderEnds)?;
    let text = str::from_utf8(&text).map_err(|_| NpyError::Header("is no text".to_owned()))?;
    Header::parse(text)
}

/// Fills `buffer`; `ended` is the error for a source that ends before.
fn read_all(source: &mut impl Read, buffer: &mut [u8], ended: fn() -> NpyError) -> Result<(), NpyError> {
    source.read_exact(buffer).map_err(|error| match error.kind() {
        io::ErrorKind::UnexpectedEof => ended(),
        _ => NpyError::Io(error),
    })
}

/// Type and byte order (true: big-endian) of `<f4` and the like.
fn element(descr: &str) -> Result<(Kind, bool), NpyError> {
    let (order, name) = match descr.chars().next() {
        Some(order @ ('<' | '>' | '=' | '|')) => (order, &descr[1..]),
        _ => ('=', descr),
    };
    let kind = match name {
        "f2" => Kind::F2,
        "f4" => Kind::F4,
        "f8" => Kind::F8,
        "O" => return Err(NpyError::Objects),
        _ => return Err(NpyError::Kind(shortened(descr))),
    };
    Ok((kind, order == '>' || (order != '<' && cfg!(target_endian = "big"))))
}

/// Bytes of all elements, more than 0.
fn size(shape: &[usize], kind: Kind) -> Result<usize, NpyError> {
    match shape.len() {
        0 => return Err(NpyError::Scalar),
        1..=MOST_DIMENSIONS => {}
        more => return Err(NpyError::Dimensions(more)),
    }
    if shape.contains(&0) {
        return Err(NpyError::Empty(shape.to_vec()));
    }
    let bytes = shape.iter().try_fold(kind.bytes(), |product, &size| product.checked_mul(size));
    // The largest size of anything in memory.
    let fits = bytes.filter(|&bytes| isize::try_from(bytes).is_ok());
    fits.ok_or_else(|| NpyError::Huge(shape.to_vec()))
}

impl Kind {
    fn bytes(self) -> usize {
        match self {
            Kind::F2 => 2,
            Kind::F4 => 4,
            Kind::F8 => 8,
        }
    }
}

impl Raw {
    fn get(&self, position: usize) -> f64 {
        match self.kind {
            Kind::F2 => f64::from(f16::from_bits(u16::from_le_bytes(self.little_endian(position)))),
            Kind::F4 => f64::from(f32::from_le_bytes(self.little_endian(position))),
            Kind::F8 => f64::from_le_bytes(self.little_endian(position)),
        }
    }

    fn little_endian<const N: usize>(&self, position: usize) -> [u8; N] {
        let mut bytes = [0; N];
        bytes.copy_from_slice(&self.bytes[N * position..N * (position + 1)]);
        if self.is_big {
            bytes.reverse();
        }
        bytes
    }
}

/// Walks through the elements in C order, whatever their order in the file.
fn decode(raw: &Raw, shape: Vec<usize>, fortran_order: bool) -> Result<Array, NpyError> {
    let total = shape.iter().product();
    let mut values = Vec::with_capacity(total);
    let mut walk = Walk::new(&shape, fortran_order);
    // How many are not finite and how many only overflow, and the first of each with its index.
    let mut bad = [(0, None), (0, None)];
    for _ in 0..total {
        let value = raw.get(walk.position);
        let single = value as f32;
        if !single.is_finite() {
            let (count, first) = &mut bad[usize::from(value.is_finite())];
            *count += 1;
            first.get_or_insert_with(|| (value, walk.index.clone()));
        }
        values.push(single);
        walk.step();
    }
    match bad {
        [(count, Some((value, index))), _] => Err(NpyError::NotFinite { count, total, value, index }),
        [_, (count, Some((value, index)))] => Err(NpyError::OutOfRange { count, total, value, index }),
        _ => Ok(Array { shape, values }),
    }
}

/// An index that runs in C order, and where its element stands in the file.
struct Walk<'a> {
    shape: &'a [usize],
    /// Distance in the file of neighbours along each dimension.
    strides: Vec<usize>,
    index: Vec<usize>,
    position: usize,
}

impl Walk<'_> {
    fn new(shape: &[usize], fortran_order: bool) -> Walk<'_> {
        let mut strides = vec![1; shape.len()];
        if fortran_order {
            (1..shape.len()).for_each(|i| strides[i] = strides[i - 1] * shape[i - 1]);
        } else {
            (1..shape.len()).rev().for_each(|i| strides[i - 1] = strides[i] * shape[i]);
        }
        Walk { shape, strides, index: vec![0; shape.len()], position: 0 }
    }

    /// To the next element; from the last to the first.
    fn step(&mut self) {
        for i in (0..self.shape.len()).rev() {
            self.index[i] += 1;
            self.position += self.strides[i];
            if self.index[i] < self.shape[i] {
                return;
            }
            self.position -= self.strides[i] * self.shape[i];
            self.index[i] = 0;
        }
    }
}

/// A file of f32 in C order.
pub(crate) fn of_f32(shape: &[usize], values: &[f32]) -> Vec<u8> {
    let mut file = start("<f4", shape);
    file.reserve_exact(4 * values.len());
    values.iter().for_each(|value| file.extend(value.to_le_bytes()));
    file
}

/// A file of u8 in C order.
pub(crate) fn of_u8(shape: &[usize], values: &[u8]) -> Vec<u8> {
    let mut file = start("|u1", shape);
    file.extend(values);
    file
}

/// Everything before the elements, padded so that these start at a multiple of 64 as NumPy has it.
fn start(descr: &str, shape: &[usize]) -> Vec<u8> {
    // A tuple, which Python writes with a comma where it has one element.
    let dimensions: Vec<String> = shape.iter().map(usize::to_string).collect();
    let comma = if shape.len() == 1 { "," } else { "" };
    let shape = format!("({}{comma})", dimensions.join(", "));
    let header = format!("{{'descr': '{descr}', 'fortran_order': False, 'shape': {shape}, }}");
    let before = MAGIC.len() + 4;
    // At most 64 dimensions of 20 digits: far below what a u16 counts.
    let length = (before + header.len() + 1).next_multiple_of(64) - before;
    let mut file = MAGIC.to_vec();
    file.extend([1, 0, (length & 0xff) as u8, (length >> 8) as u8]);
    file.extend(header.as_bytes());
    file.resize(before + length - 1, b' ');
    file.push(b'\n');
    file
}

#[cfg(test)]
mod tests;
