//! Every form of array that is read, and those that are not.

use super::*;
use harness_fuzz::npy as files;
use proptest::prelude::*;

proptest! {
    #[test]
    fn what_is_written_is_read(
        shape in prop::collection::vec(1usize..5, 1..6),
        seed in prop::collection::vec(-1e30f32..1e30, 1..50),
    ) {
        let total = shape.iter().product();
        let values: Vec<f32> = seed.iter().copied().cycle().take(total).collect();
        let file = of_f32(&shape, &values);
        prop_assert_eq!((file.len() - 4 * total) % 64, 0);
        prop_assert_eq!(read(&file[..]).unwrap(), Array { shape, values });
    }

    /// Damage anywhere is an error or another array, never a panic and never a huge allocation.
    #[test]
    fn damaged_files_do_no_harm(
        cut in 0usize..200, at in 0usize..160, byte: u8, tail in prop::collection::vec(any::<u8>(), 0..20),
    ) {
        let mut file = of_f32(&[2, 3], &[0.5; 6]);
        if let Some(place) = file.get_mut(at) {
            *place = byte;
        }
        file.truncate(cut);
        file.extend(tail);
        if let Ok(array) = read(&file[..]) {
            prop_assert_eq!(array.values.len(), array.shape.iter().product::<usize>());
            prop_assert!(array.values.iter().all(|v| v.is_finite()));
        }
    }
}

#[test]
fn an_index_walks_in_c_order() {
    let positions = |fortran_order| {
        let mut walk = Walk::new(&[2, 3, 2], fortran_order);
        let mut step = || {
            let position = walk.position;
            walk.step();
            position
        };
        (0..12).map(|_| step()).collect::<Vec<_>>()
    };
    assert_eq!(positions(false), (0..12).collect::<Vec<_>>());
    assert_eq!(positions(true), [0, 6, 2, 8, 4, 10, 1, 7, 3, 9, 5, 11]);
}

#[test]
fn the_start_is_numpys_own() {
    let mut expected = b"\x93NUMPY\x01\x00v\x00{'descr': '<f4', 'fortran_order': False, 'shape': (5,), }".to_vec();
    expected.resize(127, b' ');
    expected.push(b'\n');
    assert_eq!(start("<f4", &[5]), expected);
}

/// The message of a file that is refused.
fn refusal(file: &[u8]) -> String {
    read(file).unwrap_err().to_string()
}

#[test]
fn every_form_of_an_array_is_read() {
    let shapes: [&[usize]; 6] = [&[7], &[3, 5], &[2, 3, 4], &[4, 3, 2, 2], &[2, 1, 3, 2, 3], &[1; 64]];
    for shape in shapes {
        let total = shape.iter().product::<usize>();
        // Multiples of 1/64: representable in all three types.
        let values: Vec<f64> = (0..total).map(|i| f64::from(i as u32 * 37 % 101) / 64.0 - 0.75).collect();
        let expected = Array { shape: shape.to_vec(), values: values.iter().map(|&v| v as f32).collect() };
        for descr in ["<f2", ">f2", "<f4", ">f4", "<f8", ">f8"] {
            for fortran in [false, true] {
                let file = files::array(descr, fortran, shape, &values);
                assert_eq!(read(&file[..]).unwrap(), expected, "{descr}, Fortran order {fortran}, {shape:?}");
            }
        }
    }
}

#[test]
fn later_versions_are_read() {
    for major in [2, 3] {
        let header = files::header("<f4", false, &[1]);
        let length = u32::try_from(header.len()).unwrap().to_le_bytes();
        let file = [MAGIC, &[major, 0][..], &length, header.as_bytes(), &1.5f32.to_le_bytes()].concat();
        assert_eq!(read(&file[..]).unwrap(), Array { shape: vec![1], values: vec![1.5] });
    }
}

#[test]
fn what_is_not_finite_is_shown_where_it_is() {
    // Index [1, 0, 2] is element 14 in C order; in the file it stands elsewhere.
    let mut x = vec![0.5; 2 * 3 * 4];
    (x[14], x[23]) = (f64::NAN, f64::INFINITY);
    for (kind, fortran) in [("<f4", true), (">f8", false), ("<f8", true)] {
        let message = refusal(&files::array(kind, fortran, &[2, 3, 4], &x));
        assert_eq!(message, "has 2 of 24 values that are not finite, the first (NaN) at index [1, 0, 2]");
    }
    (x[0], x[14]) = (1e39, f64::NEG_INFINITY);
    assert!(refusal(&files::array("<f8", false, &[24], &x)).contains("has 2 of 24 values that are not finite"));
    (x[0], x[14], x[23]) = (0.0, -1e39, f64::from(f32::MAX));
    let message = refusal(&files::array("<f8", true, &[6, 4], &x));
    assert_eq!(message, "has 1 of 24 values beyond the range of f32, the first (-1e39) at index [3, 2]");
    let half = files::file(&files::header("<f2", false, &[3]), &[0, 0x3c, 0, 0x7c, 1, 0x7c]);
    assert!(refusal(&half).contains("2 of 3 values that are not finite, the first (inf) at index [1]"));
}

#[test]
fn hostile_arrays_are_refused() {
    let header = files::header;
    let good = files::array("<f4", false, &[2, 3], &[0.5; 6]);
    let version = |major: u8| [b"\x93NUMPY", &[major, 0][..], &good[8..]].concat();
    let deep = |text: &str| files::file(text, &[0; 64]);
    let rows: &[(Vec<u8>, &str)] = &[
        (Vec::new(), "is no .npy file"),
        (b"\x93NUM".to_vec(), "is no .npy file"),
        (b"PK\x03\x04 an archive of arrays".to_vec(), "is no .npy file"),
        (version(9), "version 9.0"),
        (version(2), "has a header of"),
        (good[..9].to_vec(), "ends inside its header"),
        (good[..60].to_vec(), "ends inside its header"),
        (good[..good.len() - 1].to_vec(), "cut short: 23 bytes of elements, its shape [2, 3] needs 24"),
        ([&good[..], &[0]].concat(), "goes on after its last element"),
        (files::file(&header("<i4", false, &[2]), &[0; 8]), "type `<i4`, expected floating-point"),
        (files::file(&header("|u1", false, &[2]), &[0; 2]), "type `|u1`"),
        (files::file(&header("|b1", false, &[2]), &[0; 2]), "type `|b1`"),
        (files::file(&header("<c8", false, &[2]), &[0; 16]), "type `<c8`"),
        (files::file(&header("<f16", false, &[2]), &[0; 32]), "type `<f16`"),
        (files::file(&header("<U3", false, &[2]), &[0; 24]), "type `<U3`"),
        (files::file(&header("|O", false, &[2]), b"\x80\x03]q\x00."), "pickled Python objects"),
        (files::file(&header("<f4", false, &[]), &[0; 4]), "rank 0"),
        (files::file(&header("<f4", false, &[3, 0]), &[]), "no elements: its shape is [3, 0]"),
        (files::file(&header("<f4", false, &[1 << 62, 1 << 62]), &[0; 4]), "beyond all memory"),
        (files::file(&header("<f4", false, &[1 << 61]), &[0; 4]), "beyond all memory"),
        (files::file(&header("<f8", false, &[1 << 50]), &[0; 64]), "cut short: 64 bytes of elements"),
        (files::file(&header("<f4", false, &[1; 65]), &[0; 4]), "65 dimensions"),
        (deep("{'descr': [('a', '<f4'), ('b', '<i4')], 'fortran_order': False, 'shape': (2,), }"), "holds records"),
        (deep("{'descr': '<f4', 'fortran_order': False, 'shape': (-2,), }"), "where a whole number"),
        (deep("{'descr': '<f4', 'fortran_order': False, 'shape': (99999999999999999999,), }"), "too large"),
        (deep("{'descr': '<f4', 'fortran_order': False}"), "no key `shape`"),
        (deep("{'descr': '<f4', 'fortran_order': 1, 'shape': (2,), }"), "`True` or `False`"),
        (deep("__import__('os').system('true')"), "where `{`"),
        (deep(&"(".repeat(60_000)), "where `{`"),
        (files::file("", &[0xff; 8]), "where `{`"),
        ([&good[..10], &[0xff; 118][..], &good[128..]].concat(), "is no text"),
    ];
    for (file, part) in rows {
        let message = refusal(file);
        assert!(message.contains(part) && message.len() < 300, "{part}: {message}");
    }
}

#[test]
fn fuzz_npy() {
    let more = [of_f32(&[2, 3], &[0.5; 6]), of_u8(&[5], &[1, 2, 3, 4, 5]), of_f32(&[], &[1.0])];
    harness_fuzz::check("npy", &more, |bytes| match read(bytes) {
        Ok(array) => {
            assert_eq!(array.values.len(), array.shape.iter().product::<usize>());
            true
        }
        Err(error) => error.to_string().is_empty(),
    })
    .unwrap();
}
