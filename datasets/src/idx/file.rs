//! One IDX file on disk: finding it, opening it, and reading exactly what its header promises.

use std::fs::{self, File};
use std::io::{self, BufReader, ErrorKind, Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};

use flate2::read::MultiGzDecoder;

use super::header::{Content, Header};
use crate::{Problem, Split};

/// Deflate cannot pack more than this many bytes into one.
const DEFLATE_RATIO: u64 = 1032;

/// A result whose error says which file or folder is to blame.
pub(super) type Located<T> = Result<T, (PathBuf, Problem)>;

/// One of the four files.
#[derive(Debug, Clone, Copy)]
pub(super) struct Part {
    pub(super) split: Split,
    pub(super) content: Content,
}

/// A file, found and opened, its header read.
pub(super) struct Opened {
    pub(super) path: PathBuf,
    /// Stands behind the header.
    reader: Box<dyn Read>,
    packed: bool,
    /// Bytes on disk.
    stored: u64,
    pub(super) header: Header,
}

impl Part {
    pub(super) const ALL: [Part; 4] = [
        Part { split: Split::Train, content: Content::Images },
        Part { split: Split::Train, content: Content::Labels },
        Part { split: Split::Test, content: Content::Images },
        Part { split: Split::Test, content: Content::Labels },
    ];

    /// Name without `.gz`; mirrors and unpackers disagree on the sign before `idx`.
    pub(super) fn stem(self, sign: char) -> String {
        let split = match self.split {
            Split::Train => "train",
            Split::Validation | Split::Test => "t10k",
        };
        match self.content {
            Content::Images => format!("{split}-images{sign}idx3-ubyte"),
            Content::Labels => format!("{split}-labels{sign}idx1-ubyte"),
        }
    }

    /// All names the file may have, the first that exists is taken: plain before packed.
    fn names(self) -> [String; 4] {
        let [dash, dot] = ['-', '.'].map(|sign| self.stem(sign));
        [dash.clone(), dot.clone(), dash + ".gz", dot + ".gz"]
    }

    fn what(self) -> &'static str {
        match (self.split, self.content) {
            (Split::Train, Content::Images) => "training images",
            (Split::Train, Content::Labels) => "training labels",
            (Split::Validation | Split::Test, Content::Images) => "test images",
            (Split::Validation | Split::Test, Content::Labels) => "test labels",
        }
    }
}

impl Opened {
    /// Finds the file under one of its names, opens it and reads its header.
    pub(super) fn find(root: &Path, part: Part) -> Located<Opened> {
        let mut other = None;
        for name in part.names() {
            let path = root.join(name);
            match fs::metadata(&path) {
                Ok(meta) if meta.is_file() => {
                    return match Opened::open(&path, part) {
                        Ok(opened) => Ok(opened),
                        Err(problem) => Err((path, problem)),
                    };
                }
                // Some archives unpack `x.idx3-ubyte` beside a folder `x-idx3-ubyte`: go on looking.
                Ok(meta) => {
                    let found = if meta.is_dir() { "folder" } else { "device or pipe" };
                    other.get_or_insert((path, Problem::NotFile { found, what: part.what() }));
                }
                Err(e) if e.kind() == ErrorKind::NotFound => {}
                Err(e) => return Err((path, Problem::Read(e))),
            }
        }
        Err(other.unwrap_or_else(|| {
            let looked_for = part.names().map(|name| format!("`{name}`")).join(", ");
            (root.to_owned(), Problem::Absent { what: part.what(), looked_for })
        }))
    }

    fn open(path: &Path, part: Part) -> Result<Opened, Problem> {
        let mut file = File::open(path).map_err(Problem::Read)?;
        let stored = file.metadata().map_err(Problem::Read)?.len();
        let mut mark = Vec::new();
        file.by_ref().take(2).read_to_end(&mut mark).map_err(Problem::Read)?;
        file.seek(SeekFrom::Start(0)).map_err(Problem::Read)?;

        let packed = mark == [0x1f, 0x8b];
        let file = BufReader::with_capacity(1 << 16, file);
        let mut reader: Box<dyn Read> = if packed { Box::new(MultiGzDecoder::new(file)) } else { Box::new(file) };
        let header_len = part.content.header_len();
        let mut bytes = Vec::with_capacity(header_len);
        if let Err(e) = reader.by_ref().take(header_len as u64).read_to_end(&mut bytes) {
            unless_early_end(e, packed)?;
        }
        let header = Header::parse(&bytes, part.content)?;
        Ok(Opened { path: path.to_owned(), reader, packed, stored, header })
    }

    /// Bytes the file must have, unpacked.
    fn expected(&self) -> u64 {
        self.header.content.header_len() as u64 + self.header.len()
    }

    fn truncated(&self, found: u64) -> Problem {
        Problem::Truncated { found, expected: self.expected(), holds: self.header.holds() }
    }

    fn trailing(&self) -> Problem {
        Problem::Trailing { expected: self.expected(), holds: self.header.holds() }
    }

    /// Compares the size of the file with its header, without unpacking it where that can be avoided.
    pub(super) fn check_size(self) -> Located<()> {
        let path = self.path.clone();
        if !self.packed {
            return self.check_stored().map_err(|problem| (path, problem));
        }
        // The last four bytes of a gzip file are the size of its last member modulo 2^32. That is the whole size
        // unless there are several members, so only a match is believed.
        let promised = last_word(&path).map_err(|e| (path, Problem::Read(e)))?;
        if promised == self.expected() as u32 { Ok(()) } else { self.read().map(drop) }
    }

    /// A plain file has exactly the size its header promises.
    fn check_stored(&self) -> Result<(), Problem> {
        match self.stored.cmp(&self.expected()) {
            std::cmp::Ordering::Less => Err(self.truncated(self.stored)),
            std::cmp::Ordering::Equal => Ok(()),
            std::cmp::Ordering::Greater => Err(self.trailing()),
        }
    }

    /// Everything behind the header: exactly as much as it promises, and the end of the file right after.
    pub(super) fn read(mut self) -> Located<Vec<u8>> {
        self.read_body().map_err(|problem| (self.path, problem))
    }

    fn read_body(&mut self) -> Result<Vec<u8>, Problem> {
        if !self.packed {
            self.check_stored()?;
        }
        let len = self.header.len();
        let mut bytes = Vec::new();
        let reachable = len.min(self.stored.saturating_mul(DEFLATE_RATIO));
        let reserve = usize::try_from(reachable).unwrap_or(usize::MAX);
        bytes.try_reserve_exact(reserve).map_err(|_| Problem::Read(ErrorKind::OutOfMemory.into()))?;

        let ended = self.reader.by_ref().take(len).read_to_end(&mut bytes).and_then(|_| {
            // Asking for one byte more finds what should not be there, and makes gzip compare its checksum.
            self.reader.by_ref().take(1).read_to_end(&mut Vec::new())
        });
        match ended {
            Ok(0) if bytes.len() as u64 == len => Ok(bytes),
            Ok(n) if n > 0 => Err(self.trailing()),
            // All there, but not the end of gzip, or something else behind it.
            Err(e) if bytes.len() as u64 == len && self.packed => Err(Problem::Gzip(e)),
            ended => {
                ended.map(drop).or_else(|e| unless_early_end(e, self.packed))?;
                Err(self.truncated(self.header.content.header_len() as u64 + bytes.len() as u64))
            }
        }
    }
}

/// `Ok` when the data just ended early, which the caller can put better.
fn unless_early_end(error: io::Error, packed: bool) -> Result<(), Problem> {
    match error.kind() {
        ErrorKind::UnexpectedEof => Ok(()),
        ErrorKind::InvalidInput | ErrorKind::InvalidData if packed => Err(Problem::Gzip(error)),
        _ => Err(Problem::Read(error)),
    }
}

/// The last four bytes of a file, little-endian.
fn last_word(path: &Path) -> io::Result<u32> {
    let mut file = File::open(path)?;
    let mut word = [0; 4];
    file.seek(SeekFrom::End(-4))?;
    file.read_exact(&mut word)?;
    Ok(u32::from_le_bytes(word))
}
