//! How long an .xz file is when unpacked, from the index at its end (The .xz File Format 1.2, sections 2.1.2 and 4).

use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
use std::path::Path;

/// Bytes of the footer of a stream.
const FOOTER: u64 = 12;
/// Longest index that is looked at; a file of records has a few blocks.
const MOST: u64 = 1 << 16;

/// The unpacked size of a file of one stream; `None` when its end does not say so, which unpacking will tell better.
pub(super) fn unpacked_size(path: &Path) -> Option<u64> {
    let mut file = File::open(path).ok()?;
    let length = file.metadata().ok()?.len();
    let mut footer = [0; FOOTER as usize];
    file.seek(SeekFrom::Start(length.checked_sub(FOOTER)?)).ok()?;
    file.read_exact(&mut footer).ok()?;
    if !footer.ends_with(b"YZ") {
        return None;
    }
    let size = (u64::from(u32::from_le_bytes(*footer[4..].first_chunk()?)) + 1) * 4;
    let mut index = vec![0; usize::try_from(size).ok().filter(|_| size <= MOST)?];
    file.seek(SeekFrom::Start(length.checked_sub(FOOTER + size)?)).ok()?;
    file.read_exact(&mut index).ok()?;
    let (&mark, mut rest) = index.split_first()?;
    if mark != 0 {
        return None;
    }
    let blocks = number(&mut rest)?;
    let (mut packed, mut unpacked) = (0u64, 0u64);
    for _ in 0..blocks {
        packed = packed.checked_add(number(&mut rest)?.checked_next_multiple_of(4)?)?;
        unpacked = unpacked.checked_add(number(&mut rest)?)?;
    }
    // Header, blocks, index and footer are all there is, or another stream stands before this one.
    (packed.checked_add(2 * FOOTER + size)? == length).then_some(unpacked)
}

/// A number of seven bits a byte, lowest first.
fn number(bytes: &mut &[u8]) -> Option<u64> {
    let mut number = 0;
    for place in 0..9 {
        let (&byte, rest) = bytes.split_first()?;
        *bytes = rest;
        number |= u64::from(byte & 127) << (7 * place);
        if byte < 128 {
            return Some(number);
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::io::Write;

    use lzma_rust2::{XzOptions, XzWriter};

    use super::*;

    #[test]
    fn the_index_knows_the_size() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("file.xz");
        for (size, block) in [(0usize, None), (1, None), (5000, None), (200_000, Some(50_000))] {
            let mut options = XzOptions::with_preset(0);
            options.set_block_size(block.and_then(std::num::NonZero::new));
            let mut writer = XzWriter::new(Vec::new(), options).unwrap();
            writer.write_all(&vec![7; size]).unwrap();
            let bytes = writer.finish().unwrap();
            fs::write(&path, &bytes).unwrap();
            assert_eq!(unpacked_size(&path), Some(size as u64), "{size}");
            // Damage at the end, and a stream before this one.
            for cut in 1..=bytes.len() {
                fs::write(&path, &bytes[..bytes.len() - cut]).unwrap();
                assert_eq!(unpacked_size(&path), None, "{size} without {cut}");
            }
            fs::write(&path, [&bytes[..], &bytes[..]].concat()).unwrap();
            assert_eq!(unpacked_size(&path), None, "{size} twice");
        }
    }
}
