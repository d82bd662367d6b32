//! The mark and the sizes at the head of an IDX file.

use crate::Problem;

/// Most bytes of pixels in one file: over fifty times the largest IDX set in use, and small enough for any machine
/// that trains on it.
const LIMIT: u64 = 1 << 32;

/// What one file holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Content {
    Images,
    Labels,
}

/// The sizes in a header; labels are images of one pixel.
#[derive(Debug, Clone, Copy)]
pub(super) struct Header {
    pub(super) content: Content,
    pub(super) count: u32,
    pub(super) height: u32,
    pub(super) width: u32,
}

impl Content {
    fn dimensions(self) -> u8 {
        match self {
            Content::Images => 3,
            Content::Labels => 1,
        }
    }

    fn name(self) -> &'static str {
        match self {
            Content::Images => "images",
            Content::Labels => "labels",
        }
    }

    fn mark(self) -> [u8; 4] {
        [0, 0, UNSIGNED_BYTE, self.dimensions()]
    }

    /// Bytes of the header.
    pub(super) fn header_len(self) -> usize {
        4 + 4 * usize::from(self.dimensions())
    }
}

const UNSIGNED_BYTE: u8 = 0x08;

/// Element types of IDX; `None` for a byte that is none.
fn element(code: u8) -> Option<&'static str> {
    match code {
        UNSIGNED_BYTE => Some("unsigned bytes"),
        0x09 => Some("signed bytes"),
        0x0b => Some("16-bit integers"),
        0x0c => Some("32-bit integers"),
        0x0d => Some("32-bit floats"),
        0x0e => Some("64-bit floats"),
        _ => None,
    }
}

impl Header {
    /// Bytes behind the header. [`Header::parse`] has capped them.
    pub(super) fn len(self) -> u64 {
        u64::from(self.count) * u64::from(self.height) * u64::from(self.width)
    }

    /// `28x28`.
    pub(super) fn side(self) -> String {
        format!("{}x{}", self.height, self.width)
    }

    /// `60000 images of 28x28`.
    pub(super) fn holds(self) -> String {
        match self.content {
            Content::Images => format!("{} images of {}", self.count, self.side()),
            Content::Labels => format!("{} labels", self.count),
        }
    }

    /// Reads the header bytes there are of a file that should hold `content`.
    pub(super) fn parse(bytes: &[u8], content: Content) -> Result<Header, Problem> {
        let wanted = content.mark();
        if let Some(&mark) = bytes.first_chunk::<4>().filter(|&&mark| mark != wanted) {
            return Err(wrong_mark(mark, content));
        }
        if bytes.len() < content.header_len() {
            // What is not even the beginning of the mark was never IDX; the rest was cut off.
            return Err(match wanted.starts_with(&bytes[..bytes.len().min(4)]) {
                true => Problem::HeaderTruncated { found: bytes.len() as u64, header: content.header_len() as u64 },
                false => Problem::NotIdx { found: readable(bytes), expected: hexadecimal(wanted) },
            });
        }
        let (sizes, _) = bytes[4..].as_chunks::<4>();
        let size = |dimension: usize| sizes.get(dimension).map_or(1, |&bytes| u32::from_be_bytes(bytes));
        let header = Header { content, count: size(0), height: size(1), width: size(2) };

        let bytes = u128::from(header.count) * u128::from(header.height) * u128::from(header.width);
        if bytes == 0 {
            return Err(Problem::Empty { holds: header.holds() });
        }
        if bytes > u128::from(LIMIT) || usize::try_from(bytes).is_err() {
            return Err(Problem::TooLarge { holds: header.holds(), bytes, limit: LIMIT });
        }
        Ok(header)
    }
}

fn wrong_mark(mark: [u8; 4], wanted: Content) -> Problem {
    let (found, expected) = (hexadecimal(mark), hexadecimal(wanted.mark()));
    if let Some(holds) = [Content::Images, Content::Labels].into_iter().find(|content| content.mark() == mark) {
        return Problem::Swapped { found, holds: holds.name(), expected, wanted: wanted.name() };
    }
    match (mark, element(mark[2])) {
        ([0, 0, _, dimensions], Some(element)) => {
            Problem::Layout { found, dimensions, element, expected: wanted.dimensions() }
        }
        _ => Problem::NotIdx { found: readable(&mark), expected },
    }
}

fn hexadecimal(mark: [u8; 4]) -> String {
    format!("{:#010x}", u32::from_be_bytes(mark))
}

/// The first bytes as text: a saved error page shows itself.
fn readable(bytes: &[u8]) -> String {
    format!("\"{}\"", bytes[..bytes.len().min(4)].escape_ascii())
}
