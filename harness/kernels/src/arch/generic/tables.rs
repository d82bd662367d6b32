//! The tables of subset sums that the table loops look up in, made by the compiler.
//!
//! For the activations `a_0 .. a_{g-1}` of a K-step, entry `i` of the table is `sum_b bit_b(i) * a_b`. There is a table for
//! every possible value of one digit of these activations; packed activations are byte offsets of tables.

/// Tables that start on a cache line.
#[repr(C, align(64))]
pub(crate) struct Tables<const N: usize>([u8; N]);

impl<const N: usize> Tables<N> {
    pub(crate) const fn as_ptr(&self) -> *const u8 {
        self.0.as_ptr()
    }
}

/// For every value of four two-bit digits, the table of the 16 subset sums times `scale`; every table is repeated
/// `N / 4096` times.
const fn four_by_two_bits<const N: usize>(scale: u8) -> Tables<N> {
    let mut tables = [0; N];
    let mut at = 0;
    while at < N {
        let (values, subset) = (at / (N / 256), at % 16);
        let mut channel = 0;
        while channel < 4 {
            if subset >> channel & 1 == 1 {
                tables[at] += (values >> (2 * channel) & 3) as u8 * scale;
            }
            channel += 1;
        }
        at += 1;
    }
    Tables(tables)
}

/// For every value of four two-bit numbers, the table of the 16 subset sums of their lower bits plus 16 times those of their
/// upper bits. The offset of one column's bits plus twice that of another is the offset of the pair's table.
const fn four_pairs() -> Tables<4096> {
    let mut tables = [0; 4096];
    let mut at = 0;
    while at < 4096 {
        let (values, subset) = (at / 16, at % 16);
        let mut channel = 0;
        while channel < 4 {
            if subset >> channel & 1 == 1 {
                let pair = values >> (2 * channel) & 3;
                tables[at] += (pair & 1) as u8 + 16 * (pair >> 1) as u8;
            }
            channel += 1;
        }
        at += 1;
    }
    Tables(tables)
}

/// For every value of six bits, the table of the 64 subset sums times `scale`.
#[cfg(target_arch = "x86_64")]
const fn six_by_one_bit(scale: u8) -> Tables<4096> {
    let mut tables = [0; 4096];
    let mut at = 0;
    while at < 4096 {
        let (values, subset) = (at / 64, at % 64);
        tables[at] = (values & subset).count_ones() as u8 * scale;
        at += 1;
    }
    Tables(tables)
}

/// The tables of four channels, 16 bytes each: of digit 0 and of digit 1.
pub(crate) static NIBBLE_TABLES: [Tables<4096>; 2] = [four_by_two_bits(1), four_by_two_bits(4)];
/// The tables of four channels of two columns of one-bit activations, 16 bytes each.
pub(crate) static PAIR_TABLES: Tables<4096> = four_pairs();
/// [`NIBBLE_TABLES`] with every table twice, once for each half of a 32-byte vector, so that the tables of two digits are
/// added by an instruction that reads memory.
#[cfg(target_arch = "x86_64")]
pub(crate) static DOUBLE_TABLES: [Tables<8192>; 2] = [four_by_two_bits(1), four_by_two_bits(4)];
/// The tables of six channels, 64 bytes each: of bits 0, 1 and 2.
#[cfg(target_arch = "x86_64")]
pub(crate) static SIX_BIT_TABLES: [Tables<4096>; 3] = [six_by_one_bit(1), six_by_one_bit(2), six_by_one_bit(4)];
