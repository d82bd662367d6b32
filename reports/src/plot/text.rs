//! Letters: measured and drawn with embedded fonts, so that figures need none on the machine.
//!
//! plotters can draw text with this font too, but (0.3.7) it leaves out the free space to the left of each glyph,
//! which sets `1` and `i` against their neighbours, and its letters are a tenth larger in pixels than in vectors.
//! Hence the few lines below. The fonts have the widths of common ones ([`Face`]): text in an SVG takes the room that
//! was measured here wherever one of those is installed.

use ab_glyph::{Font, FontRef, GlyphId, OutlinedGlyph, PxScale, ScaleFont, point};

use crate::error::ReportError;

static SANS: &[u8] = include_bytes!("../../fonts/HarnessSans-Regular.ttf");
static SERIF: &[u8] = include_bytes!("../../fonts/HarnessSerif-Regular.ttf");

/// Which of the two embedded fonts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Face {
    /// Without serifs, the widths of Arial and Helvetica.
    Sans,
    /// With serifs, the widths of Times New Roman.
    Serif,
}

impl Face {
    /// The font file.
    pub(crate) fn file(self) -> &'static [u8] {
        match self {
            Face::Sans => SANS,
            Face::Serif => SERIF,
        }
    }

    /// Families that an SVG asks for, those of the same widths first.
    pub(crate) fn families(self) -> &'static str {
        match self {
            Face::Sans => "Liberation Sans, Arial, Helvetica, sans-serif",
            Face::Serif => "Liberation Serif, Times New Roman, Times, serif",
        }
    }

    /// Height of a small letter, in ems: text is centred on half of it.
    pub(crate) fn x_height(self) -> f64 {
        match self {
            Face::Sans => 0.528,
            Face::Serif => 0.459,
        }
    }
}

/// Sizes of a font in thousandths of an em.
#[derive(Debug)]
pub(crate) struct Metrics {
    /// Width of each glyph, by number.
    pub(crate) advances: Vec<f32>,
    /// The letter that each glyph stands for, by number of the glyph.
    pub(crate) letters: Vec<(u16, char)>,
    pub(crate) ascent: f32,
    pub(crate) descent: f32,
}

/// An embedded font.
#[derive(Debug)]
pub(crate) struct Lettering {
    pub(crate) face: Face,
    font: FontRef<'static>,
}

impl Lettering {
    /// # Errors
    /// Only if the embedded file is damaged.
    pub(crate) fn new(face: Face) -> Result<Lettering, ReportError> {
        let failed = |error: ab_glyph::InvalidFont| ReportError::Build { what: "the font", reason: error.to_string() };
        FontRef::try_from_slice(face.file()).map(|font| Lettering { face, font }).map_err(failed)
    }

    /// Width of a line of text, in the unit of `size`, the height of an em.
    pub(crate) fn width(&self, text: &str, size: f64) -> f64 {
        let font = self.font.as_scaled(self.scale(1.0));
        let mut width = 0.0;
        let mut last = None;
        for c in text.chars() {
            let glyph = font.glyph_id(c);
            width += last.map_or(0.0, |last| font.kern(last, glyph)) + font.h_advance(glyph);
            last = Some(glyph);
        }
        f64::from(width) * size
    }

    /// The text if it fits into `room`, otherwise as much of it as fits with an ellipsis.
    pub(crate) fn fit(&self, text: &str, size: f64, room: f64) -> String {
        if self.width(text, size) <= room {
            return text.to_owned();
        }
        let mut kept: Vec<char> = text.chars().collect();
        while kept.pop().is_some() {
            let shorter: String = kept.iter().collect::<String>().trim_end().to_owned() + "…";
            if self.width(&shorter, size) <= room {
                return shorter;
            }
        }
        String::new()
    }

    /// The text in lines that fit into `room`, broken at spaces, at most `most` of them; what is left over after the
    /// last line ends in an ellipsis. A word that is wider than `room` is cut.
    pub(crate) fn lines(&self, text: &str, size: f64, room: f64, most: usize) -> Vec<String> {
        let mut lines: Vec<String> = Vec::new();
        for word in text.split(' ').filter(|word| !word.is_empty()) {
            let full = lines.len() == most;
            match lines.last_mut() {
                // The last line takes the rest, and is cut below.
                Some(line) if full || self.width(&format!("{line} {word}"), size) <= room => {
                    line.push(' ');
                    line.push_str(word);
                }
                _ => lines.push(word.to_owned()),
            }
        }
        lines.iter().map(|line| self.fit(line, size, room)).collect()
    }

    /// Glyphs of a line of text with the place of each from the left end, in ems.
    pub(crate) fn glyphs(&self, text: &str) -> Vec<(u16, f64)> {
        let font = self.font.as_scaled(self.scale(1.0));
        let (mut x, mut last, mut glyphs) = (0.0f32, None, Vec::new());
        for c in text.chars() {
            let glyph = font.glyph_id(c);
            x += last.map_or(0.0, |last| font.kern(last, glyph));
            last = Some(glyph);
            glyphs.push((glyph.0, f64::from(x)));
            x += font.h_advance(glyph);
        }
        glyphs
    }

    /// How wide each of these glyphs is, in ems.
    pub(crate) fn advances(&self, glyphs: &[(u16, f64)]) -> Vec<f64> {
        let font = self.font.as_scaled(self.scale(1.0));
        glyphs.iter().map(|(glyph, _)| f64::from(font.h_advance(GlyphId(*glyph)))).collect()
    }

    /// What a file that embeds the font has to say about it.
    pub(crate) fn metrics(&self) -> Metrics {
        let font = self.font.as_scaled(self.scale(1000.0));
        let mut letters: Vec<(u16, char)> = self.font.codepoint_ids().map(|(id, letter)| (id.0, letter)).collect();
        letters.sort_unstable();
        letters.dedup_by_key(|(glyph, _)| *glyph);
        let count = u16::try_from(self.font.glyph_count()).unwrap_or(u16::MAX);
        Metrics {
            advances: (0..count).map(|glyph| font.h_advance(GlyphId(glyph))).collect(),
            letters,
            ascent: font.ascent(),
            descent: font.descent(),
        }
    }

    /// Calls `draw` with every pixel that the text touches, relative to the left end of its middle line, and how much
    /// of the pixel it covers, 0 to 1. `size`: pixels an em.
    pub(crate) fn draw<E>(
        &self,
        text: &str,
        size: f64,
        mut draw: impl FnMut(i32, i32, f32) -> Result<(), E>,
    ) -> Result<(), E> {
        let scale = self.scale(size as f32);
        let font = self.font.as_scaled(scale);
        let baseline = 0.5 * self.face.x_height() as f32 * size as f32;
        let (mut x, mut last) = (0.0, None);
        for c in text.chars() {
            let id = font.glyph_id(c);
            x += last.map_or(0.0, |last| font.kern(last, id));
            last = Some(id);
            if let Some(glyph) = self.font.outline_glyph(id.with_scale_and_position(scale, point(x, baseline))) {
                draw_glyph(&glyph, &mut draw)?;
            }
            x += font.h_advance(id);
        }
        Ok(())
    }

    /// ab_glyph scales by the height from descent to ascent, everyone else by the em.
    fn scale(&self, em: f32) -> PxScale {
        PxScale::from(em * self.font.height_unscaled() / self.font.units_per_em().unwrap_or(1.0))
    }
}

/// Coverage below this is not worth a pixel.
const FAINT: f32 = 1.0 / 256.0;

fn draw_glyph<E>(glyph: &OutlinedGlyph, draw: &mut impl FnMut(i32, i32, f32) -> Result<(), E>) -> Result<(), E> {
    let corner = glyph.px_bounds().min;
    let mut result = Ok(());
    glyph.draw(|x, y, coverage| {
        if result.is_ok() && coverage > FAINT {
            result = draw(corner.x as i32 + x as i32, corner.y as i32 + y as i32, coverage.min(1.0));
        }
    });
    result
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::convert::Infallible;

    #[test]
    fn widths_are_those_of_the_common_sans_serif_faces() {
        let lettering = Lettering::new(Face::Sans).unwrap();
        // Advances in thousandths of an em, as in the metrics of Helvetica.
        for (c, advance) in [('0', 556), ('A', 667), ('i', 222), ('m', 833), (' ', 278), ('%', 889), ('±', 549)] {
            let width = lettering.width(&c.to_string(), 1000.0);
            assert!((width - f64::from(advance)).abs() < 1.0, "{c}: {width}");
        }
    }

    #[test]
    fn the_font_has_the_letters_figures_need() {
        let lettering = Lettering::new(Face::Sans).unwrap();
        for c in ('!'..='~').chain("±−–—…×†Δσμéüß≤≥√∞→".chars()) {
            assert_ne!(lettering.font.glyph_id(c).0, 0, "{c}");
        }
    }

    #[test]
    fn drawn_text_fills_the_width_that_was_measured() {
        let lettering = Lettering::new(Face::Sans).unwrap();
        for text in ["Top-1 accuracy (%)", "1i1i1", "W"] {
            let (mut left, mut right, mut top, mut bottom) = (i32::MAX, i32::MIN, i32::MAX, i32::MIN);
            let drawn: Result<(), Infallible> = lettering.draw(text, 100.0, |x, y, _| {
                (left, right, top, bottom) = (left.min(x), right.max(x), top.min(y), bottom.max(y));
                Ok(())
            });
            assert!(drawn.is_ok());
            let width = lettering.width(text, 100.0);
            assert!((-1..15).contains(&left) && f64::from(right) <= width + 1.0, "{text}: {left}..{right} of {width}");
            assert!(f64::from(right) > width - 15.0, "{text}: {left}..{right} of {width}");
            assert!(top >= -55 && bottom <= 55, "{text}: {top}..{bottom}");
        }
    }

    #[test]
    fn long_text_is_cut() {
        let lettering = Lettering::new(Face::Sans).unwrap();
        assert_eq!(lettering.fit("short", 8.0, 100.0), "short");
        let cut = lettering.fit(&"long ".repeat(100), 8.0, 100.0);
        assert!(cut.ends_with('…') && lettering.width(&cut, 8.0) <= 100.0, "{cut}");
        assert_eq!(lettering.fit("anything", 8.0, 1.0), "");
    }
}
