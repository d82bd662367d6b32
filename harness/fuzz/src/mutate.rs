//! Changes to files.

/// Longest input.
const LONGEST: usize = 1 << 16;

/// Words that readers look for, and values at the edges of their numbers.
const WORDS: &[&[u8]] = &[
    b"\0",
    b"\xff\xff\xff\xff",
    b"\x7f\xff\xff\xff",
    b"\x80\0\0\0",
    b"\xff\xff\xff\xff\xff\xff\xff\xff",
    b"\n",
    b": ",
    b"- ",
    b"{",
    b"}",
    b"[",
    b"]",
    b"\"",
    b"'",
    b"&a ",
    b"*a",
    b"<<: ",
    b"!!",
    b"|",
    b">",
    b"#",
    b"${X}",
    b"..",
    b"null",
    b"true",
    b"nan",
    b"inf",
    b"-1",
    b"0",
    b"1e999",
    b"18446744073709551616",
    b"99999999999999999999",
    b"0x10",
    b"\xef\xbb\xbf",
    b"\xc3\x28",
    b"\\u0000",
    b"\\ud800",
    b"\xff\xd8",
    b"\xff\xd9",
    b"\xff\xc0",
    b"\xff\xc4",
    b"\xff\xda",
    b"\xff\xdb",
    b"\xff\xdd",
    b"\xff\xe1",
    b"\xff\xd0",
    b"Exif\0\0",
    b"\x93NUMPY",
    b"(1,)",
    b"'descr'",
    b"'<f8'",
    b"'fortran_order': True",
    b"\x1f\x8b",
    b"\0\0\x08\x03",
    b"\"format\": 3",
    b"\"dtype\":\"F32\"",
    b"\"data_offsets\":[0,0]",
    b"\"shape\":[",
    b"axes:",
    b"train:",
    b"extends:",
];

/// A stream of changes that follows from its seed.
#[derive(Debug)]
pub(crate) struct Mutator {
    state: u64,
}

impl Mutator {
    pub(crate) fn new(seed: u64, target: &str) -> Mutator {
        let mix = |state: u64, byte: u8| (state ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
        // Never zero, where the generator would stay.
        Mutator { state: target.bytes().fold(seed ^ 0xcbf2_9ce4_8422_2325, mix) | 1 }
    }

    /// xorshift64*.
    fn next(&mut self) -> u64 {
        self.state ^= self.state >> 12;
        self.state ^= self.state << 25;
        self.state ^= self.state >> 27;
        self.state.wrapping_mul(0x2545_f491_4f6c_dd1d)
    }

    /// In `0..n`; 0 where that is empty.
    fn below(&mut self, n: usize) -> usize {
        (self.next() >> 33) as usize % n.max(1)
    }

    /// Replaces `input` by a changed file of `corpus`.
    pub(crate) fn change(&mut self, corpus: &[Vec<u8>], input: &mut Vec<u8>) {
        input.clone_from(&corpus[self.below(corpus.len())]);
        let changes = 1 << self.below(5);
        for _ in 0..changes {
            self.once(corpus, input);
        }
        input.truncate(LONGEST);
    }

    fn once(&mut self, corpus: &[Vec<u8>], input: &mut Vec<u8>) {
        let at = self.below(input.len());
        // Headers stand at the start.
        let at = if self.below(2) == 0 { at.min(self.below(64)) } else { at };
        match self.below(11) {
            0 => self.overwrite(input, at, |_, byte| byte ^ 1),
            1 => self.overwrite(input, at, |me, byte| byte ^ (1 << me.below(8))),
            2 => self.overwrite(input, at, |me, _| me.next() as u8),
            3 => self.overwrite(input, at, |me, byte| byte.wrapping_add(me.below(9) as u8).wrapping_sub(4)),
            4 => input.truncate(at),
            5 => {
                let end = (at + 1 + self.below(16)).min(input.len());
                input.drain(at.min(end)..end);
            }
            6 => {
                let end = (at + 1 + self.below(64)).min(input.len());
                let part = input[at.min(end)..end].to_vec();
                let times = 1 + self.below(4);
                insert(input, at, &part.repeat(times));
            }
            7 => {
                let other = &corpus[self.below(corpus.len())];
                let from = self.below(other.len());
                let end = (from + 1 + self.below(256)).min(other.len());
                insert(input, at, &other[from.min(end)..end]);
            }
            8 => {
                let other = &corpus[self.below(corpus.len())];
                let from = self.below(other.len());
                input.truncate(at);
                input.extend_from_slice(&other[from.min(other.len())..]);
            }
            9 => insert(input, at, WORDS[self.below(WORDS.len())]),
            _ => {
                let word = WORDS[self.below(WORDS.len())];
                for (place, byte) in input.iter_mut().skip(at).zip(word) {
                    *place = *byte;
                }
            }
        }
    }

    fn overwrite(&mut self, input: &mut [u8], at: usize, new: impl FnOnce(&mut Mutator, u8) -> u8) {
        if let Some(byte) = input.get(at).copied() {
            input[at] = new(self, byte);
        }
    }
}

fn insert(input: &mut Vec<u8>, at: usize, part: &[u8]) {
    let at = at.min(input.len());
    input.splice(at..at, part.iter().copied());
}
