//! Arrays as NumPy writes them, by a writer that shares no code with the reader and the writer under test.
//!
//! These functions panic on what they cannot write or read: in a test that is a failure.

#![allow(clippy::unwrap_used, clippy::panic, clippy::missing_panics_doc, reason = "only tests use it")]

use std::fs;
use std::path::Path;

/// A header and the bytes of the elements as one file of version 1.
pub fn file(header: &str, elements: &[u8]) -> Vec<u8> {
    let mut header = header.to_owned();
    while !(10 + header.len() + 1).is_multiple_of(64) {
        header.push(' ');
    }
    header.push('\n');
    let length = u16::try_from(header.len()).unwrap();
    [b"\x93NUMPY\x01\x00", &length.to_le_bytes()[..], header.as_bytes(), elements].concat()
}

/// The dictionary that NumPy writes.
pub fn header(descr: &str, fortran: bool, shape: &[usize]) -> String {
    let fortran = if fortran { "True" } else { "False" };
    let sizes: String = shape.iter().map(|size| format!("{size}, ")).collect();
    let sizes = if shape.len() == 1 { sizes.trim_end() } else { sizes.trim_end_matches(", ") };
    format!("{{'descr': '{descr}', 'fortran_order': {fortran}, 'shape': ({sizes}), }}")
}

/// Values, given in C order, as a file of type `descr`. Those of f2 must be representable.
pub fn array(descr: &str, fortran: bool, shape: &[usize], values: &[f64]) -> Vec<u8> {
    let ordered: Vec<f64> = if fortran { fortran_order(shape, values) } else { values.to_vec() };
    let element = |value: f64| {
        let mut bytes = match &descr[1..] {
            "f2" => half(value).to_le_bytes().to_vec(),
            "f4" => (value as f32).to_le_bytes().to_vec(),
            _ => value.to_le_bytes().to_vec(),
        };
        if descr.starts_with('>') {
            bytes.reverse();
        }
        bytes
    };
    file(&header(descr, fortran, shape), &ordered.into_iter().flat_map(element).collect::<Vec<u8>>())
}

/// C order to Fortran order: the index of the file position `p` has its first digit least significant.
fn fortran_order(shape: &[usize], values: &[f64]) -> Vec<f64> {
    let at = |position: usize| {
        let mut rest = position;
        let index: Vec<usize> = shape
            .iter()
            .map(|&size| {
                let digit = rest % size;
                rest /= size;
                digit
            })
            .collect();
        values[shape.iter().zip(&index).fold(0, |flat, (&size, &digit)| flat * size + digit)]
    };
    (0..values.len()).map(at).collect()
}

/// The half precision number that is exactly `value`.
fn half(value: f64) -> u16 {
    let found = (0..=u16::MAX).find(|&bits| value_of_half(bits) == value);
    found.unwrap_or_else(|| panic!("{value} is no half"))
}

/// By the definition of IEEE 754 binary16.
fn value_of_half(bits: u16) -> f64 {
    let sign = if bits >> 15 == 1 { -1.0 } else { 1.0 };
    let (exponent, fraction) = (i32::from(bits >> 10 & 31), f64::from(bits & 1023));
    match exponent {
        0 => sign * fraction * 2f64.powi(-24),
        31 => f64::NAN,
        _ => sign * (1.0 + fraction / 1024.0) * 2f64.powi(exponent - 15),
    }
}

/// Shape and elements of a file of version 1 in C order, with the header that NumPy would have written.
fn parts(path: &Path, descr: &str) -> (Vec<usize>, Vec<u8>) {
    let bytes = fs::read(path).unwrap();
    assert_eq!(&bytes[..8], b"\x93NUMPY\x01\x00");
    let length = usize::from(u16::from_le_bytes([bytes[8], bytes[9]]));
    assert_eq!((10 + length) % 64, 0);
    let text = std::str::from_utf8(&bytes[10..10 + length]).unwrap();
    let inside = text.split_once("'shape': (").unwrap().1.split_once(')').unwrap().0;
    let sizes = inside.split(',').map(str::trim).filter(|size| !size.is_empty());
    let shape: Vec<usize> = sizes.map(|size| size.parse().unwrap()).collect();
    assert!(text.ends_with('\n'));
    assert_eq!(text.trim_end(), header(descr, false, &shape));
    (shape, bytes[10 + length..].to_vec())
}

/// Shape and values of a file of little-endian f32.
pub fn floats(path: &Path) -> (Vec<usize>, Vec<f32>) {
    let (shape, bytes) = parts(path, "<f4");
    let values: Vec<f32> = bytes.chunks(4).map(|b| f32::from_le_bytes(b.try_into().unwrap())).collect();
    assert_eq!(values.len(), shape.iter().product::<usize>());
    (shape, values)
}

/// Shape and values of a file of u8.
pub fn codes(path: &Path) -> (Vec<usize>, Vec<u8>) {
    let (shape, bytes) = parts(path, "|u1");
    assert_eq!(bytes.len(), shape.iter().product::<usize>());
    (shape, bytes)
}
