//! Writes IDX files, right and wrong ones.

use std::fs;
use std::io::Write;
use std::path::Path;

use flate2::Compression;
use flate2::write::GzEncoder;

/// The usual names, in the order training images and labels, test images and labels.
pub(crate) const NAMES: [&str; 4] =
    ["train-images-idx3-ubyte", "train-labels-idx1-ubyte", "t10k-images-idx3-ubyte", "t10k-labels-idx1-ubyte"];

/// An IDX file of unsigned bytes with the given sizes.
pub(crate) fn idx(sizes: &[u32], elements: &[u8]) -> Vec<u8> {
    let mut bytes = vec![0, 0, 8, u8::try_from(sizes.len()).unwrap()];
    sizes.iter().for_each(|size| bytes.extend(size.to_be_bytes()));
    bytes.extend(elements);
    bytes
}

/// Packs bytes as one gzip member.
pub(crate) fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

/// Images and labels of a good file: image `i` is full of `i`, its label is `i % 10`.
pub(crate) fn good(count: u32, height: u32, width: u32) -> [Vec<u8>; 2] {
    let pixels: Vec<u8> = (0..count).flat_map(|i| vec![i as u8; (height * width) as usize]).collect();
    let labels: Vec<u8> = (0..count).map(|i| (i % 10) as u8).collect();
    [idx(&[count, height, width], &pixels), idx(&[count], &labels)]
}

/// A folder of four good plain files: 6 training and 3 test images of 4x5.
pub(crate) fn write_good(root: &Path) {
    let files = [good(6, 4, 5), good(3, 4, 5)].concat();
    for (name, bytes) in NAMES.iter().zip(files) {
        fs::write(root.join(name), bytes).unwrap();
    }
}
