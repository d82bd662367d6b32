//! Bits of entropy-coded data, most significant first.

/// Zero bytes behind the data, so that a refill may always read eight bytes.
const PADDING: usize = 16;

/// The data of one restart interval without the zero bytes that are stuffed behind 0xFF.
pub(super) struct Bits<'a> {
    bytes: &'a [u8],
    /// Bytes without the padding.
    length: usize,
    /// Where the next refill reads.
    next: usize,
    /// Unread bits, the first one on top; zero below `count` of them.
    window: u64,
    count: u32,
}

impl<'a> Bits<'a> {
    /// Reads `bytes[range]`, behind which [`PADDING`] zero bytes or more data must stand.
    pub(super) fn new(bytes: &'a [u8], range: &std::ops::Range<usize>) -> Bits<'a> {
        Bits { bytes, length: range.end, next: range.start, window: 0, count: 0 }
    }

    /// Makes at least 48 bits readable; zeros follow the data.
    #[inline(always)]
    pub(super) fn refill(&mut self) {
        if self.count < 48 {
            let end = (self.next + 8).min(self.bytes.len());
            if let Some(&eight) = self.bytes[..end].get(self.next..).and_then(<[u8]>::first_chunk::<8>) {
                self.window |= u64::from_be_bytes(eight) >> self.count;
                let bytes = (63 - self.count) >> 3;
                self.next += bytes as usize;
                self.count += bytes << 3;
            } else {
                // Far behind the data: zeros, and `overrun` says so.
                self.next += 8;
                self.count = 56;
            }
        }
    }

    /// The next `n` bits without reading them, 1..=16.
    #[inline(always)]
    pub(super) fn peek(&self, n: u32) -> usize {
        (self.window >> (64 - n)) as usize
    }

    /// Reads over `n` bits, at most as many as there are.
    #[inline(always)]
    pub(super) fn skip(&mut self, n: u32) {
        self.window <<= n;
        self.count = self.count.wrapping_sub(n);
    }

    /// A number of `n` bits, 1..=16, whose first bit tells the sign (ITU-T T.81, F.2.2.1).
    #[inline(always)]
    pub(super) fn signed(&mut self, n: u32) -> i32 {
        let value = self.peek(n) as i32;
        self.skip(n);
        let negative = (value >> (n - 1)) - 1;
        value + (negative & (1 - (1 << n)))
    }

    /// True when more bits were read than there are.
    pub(super) fn overrun(&self) -> bool {
        self.next * 8 > self.length * 8 + self.count as usize
    }
}

/// The data of a scan from `data` on: without stuffing, each restart interval apart.
pub(super) struct Unstuffed {
    pub(super) bytes: Vec<u8>,
    pub(super) intervals: Vec<std::ops::Range<usize>>,
}

/// Copies entropy-coded data up to the first marker that is no restart.
pub(super) fn unstuff(data: &[u8]) -> Unstuffed {
    let mut bytes = Vec::with_capacity(data.len() + PADDING);
    let mut intervals = Vec::new();
    let (mut from, mut start) = (0, 0);
    for at in memchr::memchr_iter(0xff, data) {
        if at < from {
            continue;
        }
        match data.get(at + 1) {
            Some(0) => {
                bytes.extend_from_slice(&data[from..=at]);
                from = at + 2;
            }
            // Any number of 0xFF may stand before a marker.
            Some(0xff) => {
                bytes.extend_from_slice(&data[from..at]);
                from = at + 1;
            }
            Some(0xd0..=0xd7) => {
                bytes.extend_from_slice(&data[from..at]);
                from = at + 2;
                intervals.push(start..bytes.len());
                start = bytes.len();
            }
            _ => {
                bytes.extend_from_slice(&data[from..at]);
                from = data.len();
                break;
            }
        }
    }
    bytes.extend_from_slice(data.get(from..).unwrap_or_default());
    intervals.push(start..bytes.len());
    bytes.resize(bytes.len() + PADDING, 0);
    Unstuffed { bytes, intervals }
}
