//! Files that are decoded whole: PNG, and JPEG files of the rarer kinds.

use std::io::Cursor;

use zune_core::bytestream::ZCursor;
use zune_core::colorspace::ColorSpace;
use zune_core::options::DecoderOptions;
use zune_jpeg::JpegDecoder;

use super::{Damage, MOST_PIXELS, Plane, Planes};

/// Decodes a JPEG file of any kind.
pub(super) fn jpeg(bytes: &[u8]) -> Result<(Planes, usize, usize), Damage> {
    let wrong = |e: zune_jpeg::errors::DecodeErrors| Damage::Other(e.to_string());
    // Without vector instructions its results are those of any processor.
    let options = DecoderOptions::new_safe()
        .set_strict_mode(true)
        .set_max_width(usize::from(u16::MAX))
        .set_max_height(usize::from(u16::MAX))
        .jpeg_set_out_colorspace(ColorSpace::RGB);
    let mut decoder = JpegDecoder::new_with_options(ZCursor::new(bytes), options);
    decoder.decode_headers().map_err(wrong)?;
    let (width, height) = decoder.dimensions().ok_or(Damage::Header)?;
    check(width, height)?;
    if decoder.input_colorspace() == Some(ColorSpace::Luma) {
        let mut decoder =
            JpegDecoder::new_with_options(ZCursor::new(bytes), options.jpeg_set_out_colorspace(ColorSpace::Luma));
        let pixels = decoder.decode().map_err(wrong)?;
        return Ok((Planes::Grey(plane(pixels, width, height)), width, height));
    }
    let pixels = decoder.decode().map_err(wrong)?;
    Ok((split(&pixels, 3, width, height)?, width, height))
}

/// Decodes a PNG file; what is transparent is shown as if it were not.
pub(super) fn png(bytes: &[u8]) -> Result<(Planes, usize, usize), Damage> {
    let wrong = |e: png::DecodingError| Damage::Other(e.to_string());
    let mut decoder = png::Decoder::new(Cursor::new(bytes));
    decoder.set_transformations(png::Transformations::normalize_to_color8());
    let mut reader = decoder.read_info().map_err(wrong)?;
    let size = |n: u32| usize::try_from(n).unwrap_or(usize::MAX);
    let (width, height) = (size(reader.info().width), size(reader.info().height));
    check(width, height)?;
    let mut pixels = vec![0; reader.output_buffer_size().ok_or(Damage::Header)?];
    let info = reader.next_frame(&mut pixels).map_err(wrong)?;
    pixels.truncate(info.buffer_size());
    let planes = match info.color_type {
        png::ColorType::Grayscale => Planes::Grey(plane(pixels, width, height)),
        png::ColorType::GrayscaleAlpha => {
            Planes::Grey(plane(pixels.iter().step_by(2).copied().collect(), width, height))
        }
        png::ColorType::Rgb => split(&pixels, 3, width, height)?,
        png::ColorType::Rgba => split(&pixels, 4, width, height)?,
        png::ColorType::Indexed => return Err(Damage::Header),
    };
    Ok((planes, width, height))
}

fn check(width: usize, height: usize) -> Result<(), Damage> {
    match width.saturating_mul(height) {
        pixels if pixels > MOST_PIXELS => Err(Damage::Large(pixels)),
        _ => Ok(()),
    }
}

fn plane(pixels: Vec<u8>, width: usize, height: usize) -> Plane {
    Plane { pixels, width, height, left: 0, top: 0, scale: (1.0, 1.0) }
}

/// The first three of `channels` interleaved channels, each as a plane.
fn split(pixels: &[u8], channels: usize, width: usize, height: usize) -> Result<Planes, Damage> {
    if pixels.len() != width * height * channels {
        return Err(Damage::Truncated);
    }
    let one = |channel| plane(pixels.iter().skip(channel).step_by(channels).copied().collect(), width, height);
    Ok(Planes::Rgb((0..3).map(one).collect()))
}
