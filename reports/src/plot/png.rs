//! A canvas as PNG, 300 pixels an inch.
//!
//! It is drawn at twice that and four pixels are averaged into one, which smooths every edge alike.

use plotters::prelude::{BitMapBackend, DrawingBackend};
use plotters::style::Color;
use png::{BitDepth, ColorType, Encoder, PixelDimensions, Unit};

use crate::error::ReportError;
use crate::plot::canvas::{Anchor, Canvas, UNITS_PER_POINT};
use crate::plot::surface::{self, Drawing, at, grid, rgb, said};
use crate::plot::text::Lettering;

/// Drawn pixels to a written one, along each side.
const FINER: usize = 2;
const CHANNELS: usize = 3;
const PIXELS_PER_METRE: u32 = 11_811;

/// The drawing as a PNG file that knows its size on paper.
pub(crate) fn png(canvas: &Canvas, lettering: &Lettering) -> Result<Vec<u8>, ReportError> {
    let failed = |reason: String| ReportError::Build { what: "a PNG figure", reason };
    let size = canvas.units();
    let (width, height) = (size.0 as usize, size.1 as usize);
    let mut fine = vec![255; width * height * CHANNELS];
    let mut backend = BitMapBackend::with_buffer(&mut fine, size);
    draw(canvas, lettering, &mut backend).map_err(failed)?;
    drop(backend);

    let (pixels, size) = average(&fine, width, height);
    let mut file = Vec::new();
    let mut encoder = Encoder::new(&mut file, size.0, size.1);
    encoder.set_color(ColorType::Rgb);
    encoder.set_depth(BitDepth::Eight);
    encoder.set_pixel_dims(Some(PixelDimensions { xppu: PIXELS_PER_METRE, yppu: PIXELS_PER_METRE, unit: Unit::Meter }));
    let mut writer = encoder.write_header().map_err(|error| failed(error.to_string()))?;
    writer.write_image_data(&pixels).map_err(|error| failed(error.to_string()))?;
    writer.finish().map_err(|error| failed(error.to_string()))?;
    Ok(file)
}

/// Averages blocks of two by two pixels; a rest narrower than a block is dropped.
fn average(fine: &[u8], width: usize, height: usize) -> (Vec<u8>, (u32, u32)) {
    let (columns, rows) = (width / FINER, height / FINER);
    let mut pixels = Vec::with_capacity(columns * rows * CHANNELS);
    for lines in fine.chunks_exact(width * CHANNELS * FINER) {
        let (upper, lower) = lines.split_at(width * CHANNELS);
        for (up, low) in upper.chunks_exact(CHANNELS * FINER).zip(lower.chunks_exact(CHANNELS * FINER)) {
            for channel in 0..CHANNELS {
                let next = channel + CHANNELS;
                let sum = [up[channel], up[next], low[channel], low[next]].map(u16::from).iter().sum::<u16>();
                pixels.push(((sum + 2) / 4) as u8);
            }
        }
    }
    (pixels, (columns as u32, rows as u32))
}

fn draw(canvas: &Canvas, lettering: &Lettering, backend: &mut BitMapBackend<'_>) -> Drawing {
    surface::draw(canvas, backend, |backend, words| {
        let (left, middle) = at(words.at);
        let before = match words.anchor {
            Anchor::Start => 0.0,
            Anchor::Middle => 0.5,
            Anchor::End => 1.0,
        };
        let before = grid(before * lettering.width(&words.text, words.size));
        lettering.draw(&words.text, words.size * UNITS_PER_POINT, |x, y, coverage| {
            let place = if words.upwards { (left + y, middle + before - x) } else { (left - before + x, middle + y) };
            said(backend.draw_pixel(place, rgb(words.colour).mix(f64::from(coverage)).to_backend_color()))
        })
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plot::canvas::{Colour, Mark, Words};
    use crate::plot::text::Face;

    fn decode(file: &[u8]) -> (png::OutputInfo, Option<PixelDimensions>, Vec<u8>) {
        let mut reader = png::Decoder::new(std::io::Cursor::new(file)).read_info().unwrap();
        let mut pixels = vec![0; reader.output_buffer_size().unwrap()];
        let info = reader.next_frame(&mut pixels).unwrap();
        (info, reader.info().pixel_dims, pixels)
    }

    #[test]
    fn has_its_size_and_its_colours() {
        let mut canvas = Canvas::new(72.0, 36.0);
        canvas.fill(vec![(0.0, 0.0), (36.0, 0.0), (36.0, 36.0), (0.0, 36.0)], Colour(213, 94, 0));
        canvas.words("x", (200.0, 10.0), 8.0, Anchor::Start, Colour(0, 0, 0));
        let (info, dimensions, pixels) = decode(&png(&canvas, &Lettering::new(Face::Sans).unwrap()).unwrap());
        assert_eq!((info.width, info.height), (300, 150));
        assert_eq!(dimensions.unwrap().xppu, 11_811);
        let pixel = |x: usize, y: usize| &pixels[(y * 300 + x) * 3..][..3];
        assert_eq!(pixel(75, 75), [213, 94, 0]);
        assert_eq!(pixel(225, 75), [255, 255, 255]);
    }

    #[test]
    fn text_is_where_the_anchor_says() {
        for (anchor, upwards) in
            [(Anchor::Start, false), (Anchor::Middle, false), (Anchor::End, false), (Anchor::Middle, true)]
        {
            let mut canvas = Canvas::new(72.0, 72.0);
            let (text, at, colour) = ("HHHH".to_owned(), (36.0, 36.0), Colour(0, 0, 0));
            canvas.marks.push(Mark::Words(Words { text, at, size: 8.0, anchor, upwards, colour }));
            let (_, _, pixels) = decode(&png(&canvas, &Lettering::new(Face::Sans).unwrap()).unwrap());
            let dark = (0..300 * 300).filter(|i| pixels[i * 3] < 128);
            let (xs, ys): (Vec<usize>, Vec<usize>) = dark.map(|i| (i % 300, i / 300)).unzip();
            let middle = |values: &[usize]| (values.iter().min().unwrap() + values.iter().max().unwrap()) / 2;
            // Four letters of 0.722 em, 8 points an em, 300 pixels to 72 points.
            let half = (4.0 * 0.722 * 8.0 * 300.0 / 72.0 / 2.0) as usize;
            let (x, along) = match anchor {
                Anchor::Start => (150 + half, 150),
                Anchor::Middle => (150, 150),
                Anchor::End => (150 - half, 150),
            };
            let (mx, my) = (middle(&xs), middle(&ys));
            let (mx, my) = if upwards { (my, mx) } else { (mx, my) };
            assert!(mx.abs_diff(x) <= 3 && my.abs_diff(along) <= 5, "{anchor:?} {upwards}: {mx} {my}, not {x} {along}");
        }
    }

    #[test]
    fn four_pixels_become_their_mean() {
        let fine: Vec<u8> = [[0, 10, 255], [4, 10, 255], [0, 10, 255], [0, 10, 254]].concat();
        assert_eq!(average(&fine, 2, 2), (vec![1, 10, 255], (1, 1)));
    }
}
