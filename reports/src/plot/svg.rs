//! A canvas as SVG.
//!
//! Written by hand: the SVG surface of plotters has neither groups nor titles, which the HTML page needs to say what a
//! mark means and to hide a series.

use std::fmt::Write;

use crate::encode::one_line;
use crate::plot::canvas::{Anchor, Canvas, Colour, Group, Mark, Point, Words};
use crate::plot::surface::VEIL;
use crate::plot::text::Face;

/// The drawing as an SVG document of its size on paper, with `title` for those who cannot see it. One unit of the
/// document is one point.
pub(crate) fn svg(canvas: &Canvas, face: Face, title: &str) -> String {
    let Canvas { width, height, marks } = canvas;
    let mut document = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{:.3}in\" height=\"{:.3}in\" viewBox=\"0 0 {} {}\" \
         role=\"img\" font-family=\"{}\">\n<title>{}</title>\n<rect width=\"{}\" height=\"{}\" fill=\"#fff\"/>\n",
        width / 72.0,
        height / 72.0,
        short(*width),
        short(*height),
        face.families(),
        escape(title),
        short(*width),
        short(*height),
    );
    for mark in marks {
        // Writing to a string cannot fail.
        let _ = draw(&mut document, mark, face);
    }
    document.push_str("</svg>\n");
    document
}

fn draw(out: &mut String, mark: &Mark, face: Face) -> std::fmt::Result {
    match mark {
        Mark::Stroke { points, width, colour } => writeln!(
            out,
            "<polyline points=\"{}\" fill=\"none\" stroke=\"{}\" stroke-width=\"{}\"/>",
            places(points),
            hex(*colour),
            short(*width)
        ),
        Mark::Fill { points, colour } => {
            writeln!(out, "<polygon points=\"{}\" fill=\"{}\"/>", places(points), hex(*colour))
        }
        Mark::Veil { points, colour } => {
            writeln!(out, "<polygon points=\"{}\" fill=\"{}\" fill-opacity=\"{VEIL}\"/>", places(points), hex(*colour))
        }
        Mark::Disc { centre: (x, y), radius, colour } => writeln!(
            out,
            "<circle cx=\"{}\" cy=\"{}\" r=\"{}\" fill=\"{}\"/>",
            short(*x),
            short(*y),
            short(*radius),
            hex(*colour)
        ),
        Mark::Words(words) => write_words(out, words, face),
        Mark::Open(Group { series, title, is_key }) => {
            out.push_str("<g");
            if *is_key {
                out.push_str(" class=\"key\"");
            }
            if let Some(series) = series {
                write!(out, " data-series=\"{}\"", escape(series))?;
            }
            out.push_str(">\n");
            match title {
                Some(title) => writeln!(out, "<title>{}</title>", escape(title)),
                None => Ok(()),
            }
        }
        Mark::Close => {
            out.push_str("</g>\n");
            Ok(())
        }
    }
}

fn write_words(out: &mut String, words: &Words, face: Face) -> std::fmt::Result {
    let (x, y) = words.at;
    let anchor = match words.anchor {
        Anchor::Start => "start",
        Anchor::Middle => "middle",
        Anchor::End => "end",
    };
    // The middle of small letters lies at the place.
    let down = 0.5 * face.x_height() * words.size;
    let place = match words.upwards {
        false => format!("x=\"{}\" y=\"{}\"", short(x), short(y + down)),
        true => format!(
            "x=\"{}\" y=\"{}\" transform=\"rotate(-90 {} {})\"",
            short(x + 0.0),
            short(y + down),
            short(x),
            short(y)
        ),
    };
    writeln!(
        out,
        "<text {place} text-anchor=\"{anchor}\" font-size=\"{}\" fill=\"{}\">{}</text>",
        short(words.size),
        hex(words.colour),
        escape(&words.text)
    )
}

fn places(points: &[Point]) -> String {
    points.iter().map(|(x, y)| format!("{},{}", short(*x), short(*y))).collect::<Vec<_>>().join(" ")
}

/// Two decimals, a 3,600th of an inch, without trailing zeros.
fn short(length: f64) -> String {
    let text = format!("{length:.2}");
    let text = text.trim_end_matches('0').trim_end_matches('.');
    if text == "-0" { "0".to_owned() } else { text.to_owned() }
}

fn hex(Colour(red, green, blue): Colour) -> String {
    format!("#{red:02x}{green:02x}{blue:02x}")
}

fn escape(text: &str) -> String {
    one_line(text).replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plot::style::BLACK;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn is_xml_that_says_what_was_drawn(text in ".*|[<>&\"' ]{0,8}", x in -10.0f64..400.0, turned: bool) {
            let text = one_line(&text);
            let mut canvas = Canvas::new(252.0, 180.0);
            canvas.stroke(vec![(0.0, 0.0), (x, 10.0)], 1.0, BLACK);
            canvas.disc((x, 5.0), 2.0, BLACK);
            let group = Group { series: Some(text.clone()), title: Some(text.clone()), is_key: turned };
            canvas.grouped(group, |canvas| match turned {
                true => canvas.words_upwards(&text, (x, 5.0), 8.0, BLACK),
                false => canvas.words(&text, (x, 5.0), 8.0, Anchor::End, BLACK),
            });
            let document = svg(&canvas, Face::Sans, &text);
            let parsed = roxmltree::Document::parse(&document).unwrap();
            let root = parsed.root_element();
            prop_assert_eq!(root.attribute("width"), Some("3.500in"));
            prop_assert_eq!(root.attribute("viewBox"), Some("0 0 252 180"));
            let words = parsed.descendants().find(|node| node.has_tag_name("text")).unwrap();
            prop_assert_eq!(words.text().unwrap_or_default(), text.as_str());
            let group = words.parent().unwrap();
            prop_assert_eq!(group.attribute("data-series").unwrap(), text.as_str());
            prop_assert_eq!(group.attribute("class"), turned.then_some("key"));
        }
    }
}
