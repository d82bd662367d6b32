//! Photographs written by another's encoder, read by our decoder and by another's.

use jpeg_encoder::{ColorType, Encoder, SamplingFactor};
use proptest::prelude::*;

use super::*;

/// How a test image is written.
#[derive(Debug, Clone)]
struct Kind {
    width: u16,
    height: u16,
    grey: bool,
    sampling: SamplingFactor,
    quality: u8,
    progressive: bool,
    restart: u16,
    optimized: bool,
}

fn kinds() -> impl Strategy<Value = Kind> {
    let sampling = prop::sample::select(vec![
        SamplingFactor::F_1_1,
        SamplingFactor::F_2_1,
        SamplingFactor::F_1_2,
        SamplingFactor::F_2_2,
    ]);
    (1..70u16, 1..70u16, any::<bool>(), sampling, 20..=100u8, prop_oneof![Just(0u16), 1..9u16], any::<bool>()).prop_map(
        |(width, height, grey, sampling, quality, restart, optimized)| Kind {
            width,
            height,
            grey,
            sampling,
            quality,
            progressive: false,
            restart,
            // The encoder cannot do it with restarts, and writes a scan for each component then.
            optimized: optimized && grey && restart == 0,
        },
    )
}

/// A smooth picture with an edge.
fn pixels(kind: &Kind, channels: usize) -> Vec<u8> {
    let mut pixels = Vec::new();
    for y in 0..usize::from(kind.height) {
        for x in 0..usize::from(kind.width) {
            let edge = if x + 2 * y > 60 { 40 } else { 0 };
            pixels.extend((0..channels).map(|c| (60 + edge + (x * (c + 1) + y * (3 - c.min(2))) % 120) as u8));
        }
    }
    pixels
}

fn written(kind: &Kind) -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut encoder = Encoder::new(&mut bytes, kind.quality);
    encoder.set_sampling_factor(kind.sampling);
    encoder.set_progressive(kind.progressive);
    encoder.set_optimized_huffman_tables(kind.optimized);
    if kind.restart > 0 {
        encoder.set_restart_interval(kind.restart);
    }
    let (color, channels) = if kind.grey { (ColorType::Luma, 1) } else { (ColorType::Rgb, 3) };
    encoder.encode(&pixels(kind, channels), kind.width, kind.height, color).unwrap();
    bytes
}

fn ours(bytes: &[u8], wanted: Rect, side: usize) -> Result<Planes, Damage> {
    match jpeg::read(bytes)? {
        jpeg::Read::Frame(frame) => frame.planes(wanted, side),
        jpeg::Read::Other { .. } => panic!("left to another decoder"),
    }
}

fn planes(planes: Planes) -> Vec<Plane> {
    match planes {
        Planes::Grey(plane) => vec![plane],
        Planes::YCbCr(planes) | Planes::Rgb(planes) => planes,
    }
}

fn all_of(kind: &Kind) -> Rect {
    Rect { left: 0, top: 0, width: kind.width.into(), height: kind.height.into() }
}

fn square(bytes: &[u8], size: usize, scaled: bool) -> Result<Vec<u8>, Damage> {
    let picture = Picture::open(bytes, JpegDecoder::Own)?;
    let (width, height) = picture.size();
    let allowed = Rect { left: 0, top: 0, width, height };
    let sample = Sample { left: 0.0, top: 0.0, width: width as f64, height: height as f64, allowed, size, scaled };
    let mut out = vec![0; 3 * size * size];
    picture.sample(&sample, &mut Sampler::default(), &mut out)?;
    Ok(out)
}

#[test]
fn the_environment_chooses_the_decoder() {
    let named = |value: &str| JpegDecoder::named(Some(value.as_ref()));
    assert_eq!(JpegDecoder::named(None), Ok(JpegDecoder::Own));
    assert_eq!(named("zune"), Ok(JpegDecoder::Zune));
    for wrong in ["", "own", "Zune"] {
        assert_eq!(named(wrong), Err(wrong.to_owned()));
    }
}

proptest! {
    #[test]
    fn the_other_decoder_takes_every_file_whole(kind in kinds()) {
        let bytes = written(&kind);
        let picture = |decoder| Picture::open(&bytes, decoder).unwrap();
        let (own, zune) = (picture(JpegDecoder::Own), picture(JpegDecoder::Zune));
        prop_assert!(matches!(own.content, Content::Jpeg(_)));
        prop_assert!(matches!(zune.content, Content::Whole(_)));
        prop_assert_eq!((own.size(), own.orientation()), (zune.size(), zune.orientation()));
    }

    #[test]
    fn a_part_is_what_the_whole_has_there(
        kind in kinds(), left in 0..69usize, top in 0..69usize, width in 1..70usize, height in 1..70usize,
        side in prop::sample::select(vec![8usize, 4, 2, 1]),
    ) {
        let bytes = written(&kind);
        let all = all_of(&kind);
        let (left, top) = (left % all.width, top % all.height);
        let wanted = Rect { left, top, width: width.min(all.width - left), height: height.min(all.height - top) };
        let whole = planes(ours(&bytes, all, side).unwrap());
        let part = planes(ours(&bytes, wanted, side).unwrap());
        prop_assert_eq!(part.len(), if kind.grey { 1 } else { 3 });
        for (part, whole) in part.iter().zip(&whole) {
            prop_assert_eq!(part.scale, whole.scale);
            // The part holds what was wanted ...
            prop_assert!(part.left as f64 <= wanted.left as f64 * part.scale.0);
            prop_assert!((part.left + part.width) as f64 >= (wanted.left + wanted.width) as f64 * part.scale.0);
            prop_assert!((part.top + part.height) as f64 >= (wanted.top + wanted.height) as f64 * part.scale.1);
            // ... as the whole has it.
            for y in 0..part.height {
                let from = (part.top + y) * whole.width + part.left;
                prop_assert_eq!(&part.pixels[y * part.width..][..part.width], &whole.pixels[from..][..part.width]);
            }
        }
    }

    #[test]
    fn luma_is_that_of_another_decoder(kind in kinds()) {
        let kind = Kind { grey: true, ..kind };
        let bytes = written(&kind);
        let found = planes(ours(&bytes, all_of(&kind), 8).unwrap()).remove(0);
        let (expected, width, height) = whole::jpeg(&bytes).unwrap();
        let expected = planes(expected).remove(0);
        prop_assert_eq!((width, height), (usize::from(kind.width), usize::from(kind.height)));
        for y in 0..height {
            for x in 0..width {
                let (a, b) = (found.pixels[y * found.width + x], expected.pixels[y * width + x]);
                prop_assert!(a.abs_diff(b) <= 1, "{a} and {b} at {x}, {y}");
            }
        }
    }

    #[test]
    fn colours_are_those_of_another_decoder(kind in kinds(), size in 8..70u16) {
        let kind = Kind { grey: false, width: size, height: size, ..kind };
        let bytes = written(&kind);
        let n = usize::from(size);
        let found = square(&bytes, n, false).unwrap();
        let expected: Vec<u8> = planes(whole::jpeg(&bytes).unwrap().0).into_iter().flat_map(|plane| plane.pixels).collect();
        let differences: Vec<u8> = found.iter().zip(&expected).map(|(a, b)| a.abs_diff(*b)).collect();
        if kind.sampling == SamplingFactor::F_1_1 {
            prop_assert!(differences.iter().all(|&difference| difference <= 3), "{differences:?}");
        }
        // Decoders differ in how they spread chroma of a lower resolution, around edges most.
        let mean = differences.iter().map(|&d| f64::from(d)).sum::<f64>() / differences.len() as f64;
        prop_assert!(mean < 4.0, "{mean}");
    }

    #[test]
    fn damage_never_panics(kind in kinds(), flips in prop::collection::vec((any::<prop::sample::Index>(), 0..8u32), 1..6), cut: prop::sample::Index) {
        let mut bytes = written(&kind);
        for (place, bit) in flips {
            let place = place.index(bytes.len());
            bytes[place] ^= 1 << bit;
        }
        let _ = square(&bytes, 16, true);
        bytes.truncate(cut.index(bytes.len()));
        let _ = square(&bytes, 16, true);
    }

    #[test]
    fn noise_never_panics(noise in prop::collection::vec(any::<u8>(), 0..300)) {
        let _ = square(&noise, 8, true);
        let _ = square(&[b"\xff\xd8\xff".to_vec(), noise].concat(), 8, true);
    }
}

fn plain() -> Kind {
    Kind {
        width: 64,
        height: 48,
        grey: false,
        sampling: SamplingFactor::F_2_2,
        quality: 90,
        progressive: false,
        restart: 0,
        optimized: false,
    }
}

#[test]
fn a_file_that_ends_early_is_refused_wherever_it_ends() {
    for restart in [0, 2] {
        let bytes = written(&Kind { restart, ..plain() });
        // The last two bytes are the end marker, which nobody needs; before it the last bits may be padding.
        for end in 0..bytes.len() - 4 {
            let error = square(&bytes[..end], 16, true).expect_err("ends early");
            assert!(matches!(error, Damage::Empty | Damage::Kind | Damage::Truncated), "{end}: {error}");
        }
        assert!(square(&bytes, 16, true).is_ok());
    }
}

#[test]
fn a_small_file_cannot_ask_for_much_memory() {
    let mut bytes = written(&Kind { width: 8, height: 8, ..plain() });
    let frame = bytes.windows(2).position(|marker| marker == [0xff, 0xc0]).unwrap();
    bytes[frame + 5..frame + 9].copy_from_slice(&[0xff; 4]);
    assert_eq!(square(&bytes, 16, false), Err(Damage::Large(65535 * 65535)));
    bytes[frame + 5..frame + 9].copy_from_slice(&[0x20, 0, 0x20, 0]);
    assert_eq!(square(&bytes, 16, false), Err(Damage::Truncated));
}

#[test]
fn progressive_files_and_others_look_the_same() {
    let kind = Kind { sampling: SamplingFactor::F_1_1, ..plain() };
    let expected = square(&written(&kind), 24, false).unwrap();
    let close = |what: &str, found: &[u8], limit: f64| {
        let sum: f64 = found.iter().zip(&expected).map(|(a, b)| f64::from(a.abs_diff(*b))).sum();
        assert!(sum / (expected.len() as f64) < limit, "{what}: {}", sum / expected.len() as f64);
    };
    close("progressive", &square(&written(&Kind { progressive: true, ..kind.clone() }), 24, false).unwrap(), 1.0);
    let scans = Kind { optimized: true, ..kind.clone() };
    close("a scan for each component", &square(&written(&scans), 24, false).unwrap(), 1.0);

    // Adobe's CMYK: inverted inks. Black is left out, so cyan is what red lacks.
    let rgb = pixels(&kind, 3);
    let inks: Vec<u8> = rgb.chunks_exact(3).flat_map(|p| [255 - p[0], 255 - p[1], 255 - p[2], 0]).collect();
    for color in [ColorType::Cmyk, ColorType::CmykAsYcck] {
        let mut bytes = Vec::new();
        Encoder::new(&mut bytes, 95).encode(&inks, kind.width, kind.height, color).unwrap();
        close("CMYK", &square(&bytes, 24, false).unwrap(), 3.0);
    }

    let mut png = Vec::new();
    let mut encoder = png::Encoder::new(&mut png, kind.width.into(), kind.height.into());
    encoder.set_color(png::ColorType::Rgb);
    encoder.write_header().unwrap().write_image_data(&rgb).unwrap();
    close("PNG", &square(&png, 24, false).unwrap(), 2.0);
}

#[test]
fn decoding_smaller_changes_little() {
    let kind = Kind { width: 69, height: 68, ..plain() };
    for (size, limit) in [(30, 1.5), (16, 2.0), (8, 3.0)] {
        let bytes = written(&kind);
        let (small, whole) = (square(&bytes, size, true).unwrap(), square(&bytes, size, false).unwrap());
        assert_ne!(small, whole);
        let sum: f64 = small.iter().zip(&whole).map(|(a, b)| f64::from(a.abs_diff(*b))).sum();
        assert!(sum / (small.len() as f64) < limit, "{size}: {}", sum / small.len() as f64);
    }
}

#[test]
fn the_bytes_never_change() {
    // From x86-64; every processor must agree.
    let bytes = written(&plain());
    let hash = |bytes: &[u8]| blake3::hash(bytes).to_hex()[..16].to_owned();
    let found = [false, true].map(|scaled| hash(&square(&bytes, 20, scaled).unwrap()));
    assert_eq!(found, ["c901ff1742dc2205", "8175b2fbfb94c7f6"]);
}

/// A photograph whole and a part of it, as training and testing look at it.
fn look(bytes: &[u8], sampler: &mut Sampler) -> Result<(), Damage> {
    // What is tried here are damaged files, not large ones: a few bytes may ask for a gigabyte, within the bound.
    let sizes = bytes.windows(9).filter(|marker| marker[0] == 0xff && matches!(marker[1], 0xc0..=0xcf));
    let pixels = |m: &[u8]| usize::from(m[5]) * usize::from(m[7]) * (1 << 16);
    if let Some(pixels) = sizes.map(pixels).find(|&pixels| pixels > 1 << 20) {
        return Err(Damage::Large(pixels));
    }
    let picture = Picture::open(bytes, JpegDecoder::Own)?;
    let (width, height) = picture.size();
    let mut out = vec![0; 3 * 16 * 16];
    let allowed = Rect { left: 0, top: 0, width, height };
    let (wide, high) = (width as f64, height as f64);
    let whole = Sample { left: 0.0, top: 0.0, width: wide, height: high, allowed, size: 16, scaled: true };
    picture.sample(&whole, sampler, &mut out)?;
    let part = Rect { left: width / 2, top: height / 2, width: width - width / 2, height: height - height / 2 };
    let (left, top, wide, high) = (part.left as f64, part.top as f64, part.width as f64, part.height as f64);
    let part = Sample { left, top, width: wide, height: high, allowed: part, size: 16, scaled: false };
    picture.sample(&part, sampler, &mut out)
}

#[test]
fn fuzz_jpeg() {
    let kind = Kind {
        width: 33,
        height: 17,
        grey: false,
        sampling: SamplingFactor::F_2_2,
        quality: 70,
        progressive: false,
        restart: 2,
        optimized: false,
    };
    let kinds = [
        kind.clone(),
        Kind { restart: 0, sampling: SamplingFactor::F_2_1, ..kind.clone() },
        Kind { grey: true, optimized: true, restart: 0, ..kind.clone() },
        Kind { progressive: true, restart: 0, ..kind },
    ];
    let sampler = std::cell::RefCell::new(Sampler::default());
    let all: Vec<Vec<u8>> = kinds.iter().map(written).collect();
    harness_fuzz::check("jpeg", &all, |bytes| look(bytes, &mut sampler.borrow_mut()).is_ok()).unwrap();
}
