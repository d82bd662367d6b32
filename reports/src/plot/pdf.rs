//! A canvas as PDF, for papers: vectors at their size on paper, with the letters of the figure embedded.
//!
//! The whole font goes into the file: it is a subset already, and its 40 kB shrink to some 25 kB.

use std::io::Write;

use flate2::Compression;
use flate2::write::ZlibEncoder;
use pdf_writer::types::{CidFontType, FontFlags, SystemInfo, UnicodeCmap};
use pdf_writer::{Content, Filter, Finish, Name, Pdf, Rect, Ref, Str, TextStr};

use crate::plot::canvas::{Anchor, Canvas, Colour, Mark, Point, Words};
use crate::plot::surface::VEIL;
use crate::plot::text::{Face, Lettering};

/// Numbers of the objects in the file.
const CATALOG: Ref = Ref::new(1);
const PAGES: Ref = Ref::new(2);
const PAGE: Ref = Ref::new(3);
const DRAWING: Ref = Ref::new(4);
const FONT: Ref = Ref::new(5);
const GLYPHS: Ref = Ref::new(6);
const DESCRIPTOR: Ref = Ref::new(7);
const FONT_FILE: Ref = Ref::new(8);
const UNICODE: Ref = Ref::new(9);
const TRANSLUCENT: Ref = Ref::new(10);
const INFO: Ref = Ref::new(11);

const LETTERS: Name<'static> = Name(b"F1");
const VEILED: Name<'static> = Name(b"V");
const OPAQUE: Name<'static> = Name(b"O");
const SOLID: Ref = Ref::new(12);

const SYSTEM: SystemInfo<'static> = SystemInfo { registry: Str(b"Adobe"), ordering: Str(b"Identity"), supplement: 0 };

/// The drawing as a file of one page of its size, with `title` in its properties. The same drawing gives the same
/// bytes: the file holds no date.
pub(crate) fn pdf(canvas: &Canvas, lettering: &Lettering, title: &str) -> Vec<u8> {
    let mut pdf = Pdf::new();
    pdf.catalog(CATALOG).pages(PAGES);
    pdf.pages(PAGES).kids([PAGE]).count(1);
    let mut page = pdf.page(PAGE);
    page.media_box(Rect::new(0.0, 0.0, canvas.width as f32, canvas.height as f32)).parent(PAGES).contents(DRAWING);
    let mut resources = page.resources();
    resources.fonts().pair(LETTERS, FONT);
    resources.ext_g_states().pair(VEILED, TRANSLUCENT).pair(OPAQUE, SOLID);
    resources.finish();
    page.finish();
    pdf.ext_graphics(TRANSLUCENT).non_stroking_alpha(VEIL as f32);
    pdf.ext_graphics(SOLID).non_stroking_alpha(1.0);
    let drawing = shrunk(&content(canvas, lettering));
    pdf.stream(DRAWING, &drawing).filter(Filter::FlateDecode);
    embed(&mut pdf, lettering);
    pdf.document_info(INFO).title(TextStr(title)).producer(TextStr("harness"));
    pdf.finish()
}

/// Compressed as PDF readers expect it.
fn shrunk(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = ZlibEncoder::new(Vec::new(), Compression::default());
    // Writing to memory cannot fail.
    let _ = encoder.write_all(bytes);
    encoder.finish().unwrap_or_default()
}

fn embed(pdf: &mut Pdf, lettering: &Lettering) {
    let name = match lettering.face {
        Face::Sans => Name(b"HarnessSans"),
        Face::Serif => Name(b"HarnessSerif"),
    };
    pdf.type0_font(FONT)
        .base_font(name)
        .encoding_predefined(Name(b"Identity-H"))
        .descendant_font(GLYPHS)
        .to_unicode(UNICODE);
    let metrics = lettering.metrics();
    let mut glyphs = pdf.cid_font(GLYPHS);
    glyphs.subtype(CidFontType::Type2).base_font(name).system_info(SYSTEM).font_descriptor(DESCRIPTOR);
    glyphs.default_width(0.0).cid_to_gid_map_predefined(Name(b"Identity"));
    glyphs.widths().consecutive(0, metrics.advances.iter().copied());
    glyphs.finish();
    let flags = match lettering.face {
        Face::Sans => FontFlags::NON_SYMBOLIC,
        Face::Serif => FontFlags::NON_SYMBOLIC | FontFlags::SERIF,
    };
    pdf.font_descriptor(DESCRIPTOR)
        .name(name)
        .flags(flags)
        .bbox(Rect::new(-500.0, metrics.descent, 1500.0, metrics.ascent))
        .italic_angle(0.0)
        .ascent(metrics.ascent)
        .descent(metrics.descent)
        .cap_height(metrics.ascent)
        .stem_v(80.0)
        .font_file2(FONT_FILE);
    let file = lettering.face.file();
    let mut map = UnicodeCmap::new(Name(b"Custom"), SYSTEM);
    for (glyph, letter) in &metrics.letters {
        map.pair(*glyph, *letter);
    }
    let (file, length) = (shrunk(file), file.len() as i32);
    pdf.stream(FONT_FILE, &file).filter(Filter::FlateDecode).pair(Name(b"Length1"), length);
    let map = map.finish();
    pdf.cmap(UNICODE, &map);
}

fn content(canvas: &Canvas, lettering: &Lettering) -> Vec<u8> {
    let mut content = Content::new();
    // From the upper left corner down, as the canvas counts.
    content.transform([1.0, 0.0, 0.0, -1.0, 0.0, canvas.height as f32]);
    for mark in &canvas.marks {
        match mark {
            Mark::Stroke { points, width, colour } => {
                let (red, green, blue) = channels(*colour);
                content.set_stroke_rgb(red, green, blue).set_line_width(*width as f32);
                path(&mut content, points);
                content.stroke();
            }
            Mark::Fill { points, colour } => {
                fill(&mut content, *colour);
                path(&mut content, points);
                content.close_path().fill_nonzero();
            }
            Mark::Veil { points, colour } => {
                content.set_parameters(VEILED);
                fill(&mut content, *colour);
                path(&mut content, points);
                content.close_path().fill_nonzero();
                content.set_parameters(OPAQUE);
            }
            Mark::Disc { centre, radius, colour } => {
                fill(&mut content, *colour);
                circle(&mut content, *centre, *radius);
                content.fill_nonzero();
            }
            Mark::Words(words) => write_words(&mut content, words, lettering),
            // Readers of PDF can neither point at groups nor hide them.
            Mark::Open(_) | Mark::Close => {}
        }
    }
    content.finish().to_vec()
}

fn channels(Colour(red, green, blue): Colour) -> (f32, f32, f32) {
    let part = |channel: u8| f32::from(channel) / 255.0;
    (part(red), part(green), part(blue))
}

fn fill(content: &mut Content, colour: Colour) {
    let (red, green, blue) = channels(colour);
    content.set_fill_rgb(red, green, blue);
}

fn path(content: &mut Content, points: &[Point]) {
    for (i, (x, y)) in points.iter().enumerate() {
        let (x, y) = (*x as f32, *y as f32);
        if i == 0 {
            content.move_to(x, y)
        } else {
            content.line_to(x, y)
        };
    }
}

/// Four curves: for each quarter, how far its handles reach, in radii.
const HANDLE: f64 = 0.552_285;

fn circle(content: &mut Content, (x, y): Point, r: f64) {
    let h = r * HANDLE;
    let start = (x + r, y);
    let quarters = [
        [(x + r, y + h), (x + h, y + r), (x, y + r)],
        [(x - h, y + r), (x - r, y + h), (x - r, y)],
        [(x - r, y - h), (x - h, y - r), (x, y - r)],
        [(x + h, y - r), (x + r, y - h), start],
    ];
    content.move_to(start.0 as f32, start.1 as f32);
    for [a, b, c] in quarters {
        content.cubic_to(a.0 as f32, a.1 as f32, b.0 as f32, b.1 as f32, c.0 as f32, c.1 as f32);
    }
    content.close_path();
}

fn write_words(content: &mut Content, words: &Words, lettering: &Lettering) {
    let width = lettering.width(&words.text, words.size);
    let before = match words.anchor {
        Anchor::Start => 0.0,
        Anchor::Middle => 0.5 * width,
        Anchor::End => width,
    };
    let down = 0.5 * lettering.face.x_height() * words.size;
    let (x, y) = words.at;
    // Letters stand upright in a system that counts upwards.
    let matrix = match words.upwards {
        false => [1.0, 0.0, 0.0, -1.0, (x - before) as f32, (y + down) as f32],
        true => [0.0, -1.0, -1.0, 0.0, (x + down) as f32, (y + before) as f32],
    };
    fill(content, words.colour);
    content.begin_text().set_font(LETTERS, words.size as f32).set_text_matrix(matrix);
    let mut shown = content.show_positioned();
    let mut items = shown.items();
    let glyphs = lettering.glyphs(&words.text);
    let advances = lettering.advances(&glyphs);
    let mut end = 0.0;
    for ((glyph, at), advance) in glyphs.iter().zip(advances) {
        // Kerning: thousandths of an em, to the left.
        let shift = (end - at) * 1000.0;
        if shift.abs() > 0.5 {
            items.adjust(shift as f32);
        }
        items.show(Str(&glyph.to_be_bytes()));
        end = at + advance;
    }
    items.finish();
    shown.finish();
    content.end_text();
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plot::style::BLACK;

    fn contains(file: &[u8], text: &str) -> bool {
        file.windows(text.len()).any(|window| window == text.as_bytes())
    }

    #[test]
    fn a_page_has_its_size_its_font_and_no_date() {
        let mut canvas = Canvas::new(252.0, 180.0);
        canvas.stroke(vec![(0.0, 0.0), (20.0, 10.0)], 1.0, BLACK);
        canvas.disc((20.0, 5.0), 2.0, BLACK);
        canvas.veil(vec![(0.0, 0.0), (20.0, 10.0), (0.0, 10.0)], BLACK);
        canvas.words("Top-1 (%)", (20.0, 5.0), 8.0, Anchor::Start, BLACK);
        canvas.words_upwards("AVAV", (20.0, 50.0), 8.0, BLACK);
        for face in [Face::Sans, Face::Serif] {
            let lettering = Lettering::new(face).unwrap();
            let file = pdf(&canvas, &lettering, "a (title)");
            assert!(file.starts_with(b"%PDF-1.7") && contains(&file, "%%EOF"));
            assert!(contains(&file, "/MediaBox [0 0 252 180]") && contains(&file, "/FontFile2 8 0 R"));
            assert!(!contains(&file, "/CreationDate"));
            assert_eq!(file, pdf(&canvas, &lettering, "a (title)"));
        }
    }

    #[test]
    fn letters_stand_where_they_were_measured() {
        let lettering = Lettering::new(Face::Sans).unwrap();
        let glyphs = lettering.glyphs("AVAV");
        let advances = lettering.advances(&glyphs);
        let last = glyphs.len() - 1;
        assert!((glyphs[last].1 + advances[last] - lettering.width("AVAV", 1.0)).abs() < 1e-5);
        // Kerning draws the pair together.
        assert!(glyphs[1].1 < advances[0]);
    }
}
