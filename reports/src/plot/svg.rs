//! A canvas as SVG.

use plotters::prelude::{DrawingBackend, IntoFont, SVGBackend};
use plotters::style::FontTransform;
use plotters::style::text_anchor::{HPos, Pos, VPos};

use crate::error::ReportError;
use crate::plot::canvas::{Anchor, Canvas, UNITS_PER_POINT};
use crate::plot::style::WHITE;
use crate::plot::surface::{self, Drawing, at, rgb, said};
use crate::plot::text::FAMILIES;

/// plotters divides sizes by this to have the height of an em.
const SIZE_OF_EM: f64 = 1.24;

/// The drawing as an SVG document of its size on paper, with `title` for those who cannot see it.
pub(crate) fn svg(canvas: &Canvas, title: &str) -> Result<String, ReportError> {
    let mut document = String::new();
    let (width, height) = canvas.units();
    let mut backend = SVGBackend::with_string(&mut document, (width, height));
    draw(canvas, &mut backend).map_err(|reason| ReportError::Build { what: "an SVG figure", reason })?;
    drop(backend);
    let pixels = format!(r#"width="{width}" height="{height}" "#);
    let inches = format!(r#"width="{:.3}in" height="{:.3}in" role="img" "#, canvas.width / 72.0, canvas.height / 72.0);
    let document = document.replacen(&pixels, &inches, 1);
    Ok(document.replacen(">\n", &format!(">\n<title>{}</title>\n", escape(title)), 1))
}

fn draw(canvas: &Canvas, backend: &mut SVGBackend<'_>) -> Drawing {
    let (width, height) = canvas.units();
    said(backend.draw_rect((0, 0), (width as i32, height as i32), &rgb(WHITE), true))?;
    surface::draw(canvas, backend, |backend, words| {
        let horizontal = match words.anchor {
            Anchor::Start => HPos::Left,
            Anchor::Middle => HPos::Center,
            Anchor::End => HPos::Right,
        };
        let turn = if words.upwards { FontTransform::Rotate270 } else { FontTransform::None };
        let font = (FAMILIES, words.size * UNITS_PER_POINT * SIZE_OF_EM).into_font().transform(turn);
        let style = font.color(&rgb(words.colour)).pos(Pos::new(horizontal, VPos::Center));
        said(backend.draw_text(&words.text, &style, at(words.at)))
    })
}

fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::encode::one_line;
    use crate::plot::style::BLACK;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn is_xml_that_says_what_was_drawn(text in ".*|[<>&\"' ]{0,8}", x in -10.0f64..400.0, turned: bool) {
            let text = one_line(&text);
            let mut canvas = Canvas::new(252.0, 180.0);
            canvas.stroke(vec![(0.0, 0.0), (x, 10.0)], 1.0, BLACK);
            canvas.disc((x, 5.0), 2.0, BLACK);
            if turned {
                canvas.words_upwards(&text, (x, 5.0), 8.0, BLACK);
            } else {
                canvas.words(&text, (x, 5.0), 8.0, Anchor::End, BLACK);
            }
            let document = svg(&canvas, &text).unwrap();
            let parsed = roxmltree::Document::parse(&document).unwrap();
            let root = parsed.root_element();
            prop_assert_eq!(root.attribute("width"), Some("3.500in"));
            prop_assert_eq!(root.attribute("viewBox"), Some("0 0 2100 1500"));
            let words = parsed.descendants().find(|node| node.has_tag_name("text")).unwrap();
            prop_assert_eq!(words.text().unwrap_or_default().trim(), text.trim());
            prop_assert!(words.attribute("font-family").unwrap().ends_with("sans-serif"));
        }
    }
}
