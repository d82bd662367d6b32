//! What every figure must be, for tests.

use crate::plot::canvas::{Anchor, Canvas, Mark, Words};
use crate::plot::text::{Face, Lettering};

/// Every line of text in the pages of a drawing.
pub(crate) fn words(pages: &[Canvas]) -> Vec<&Words> {
    pages.iter().flat_map(words_of).collect()
}

fn words_of(canvas: &Canvas) -> Vec<&Words> {
    let words = canvas.marks.iter().filter_map(|mark| match mark {
        Mark::Words(words) if !words.text.is_empty() => Some(words),
        _ => None,
    });
    words.collect()
}

/// Left, top, right, bottom of a line of text.
fn extent(words: &Words, lettering: &Lettering) -> [f64; 4] {
    let (x, y) = words.at;
    let width = lettering.width(&words.text, words.size);
    let half = words.size * 0.4;
    match (words.upwards, words.anchor) {
        (true, _) => [x - half, y - width / 2.0, x + half, y + width / 2.0],
        (false, Anchor::Start) => [x, y - half, x + width, y + half],
        (false, Anchor::Middle) => [x - width / 2.0, y - half, x + width / 2.0, y + half],
        (false, Anchor::End) => [x - width, y - half, x, y + half],
    }
}

/// Nothing leaves the paper, and no words cover other words, on any page of a report's figure.
pub(crate) fn assert_tidy(pages: &[Canvas]) {
    let lettering = Lettering::new(Face::Sans).unwrap();
    pages.iter().for_each(|canvas| assert_tidy_page(canvas, &lettering));
}

/// The same for one page, in letters of any style.
pub(crate) fn assert_tidy_page(canvas: &Canvas, lettering: &Lettering) {
    let Canvas { width, height, marks } = canvas;
    for mark in marks {
        let points = match mark {
            Mark::Stroke { points, .. } | Mark::Fill { points, .. } | Mark::Veil { points, .. } => points.clone(),
            Mark::Disc { centre, .. } => vec![*centre],
            Mark::Words(words) => {
                let [left, top, right, bottom] = extent(words, lettering);
                vec![(left, top), (right, bottom)]
            }
            Mark::Open(_) | Mark::Close => Vec::new(),
        };
        for (x, y) in points {
            assert!((0.0..=*width).contains(&x) && (0.0..=*height).contains(&y), "({x}, {y}) of {mark:?}");
        }
    }
    let all: Vec<_> = words_of(canvas).into_iter().map(|words| (words, extent(words, lettering))).collect();
    for (i, (a, [al, at, ar, ab])) in all.iter().enumerate() {
        for (b, [bl, bt, br, bb]) in &all[i + 1..] {
            assert!(ar <= bl || br <= al || ab <= bt || bb <= at, "{a:?} covers {b:?}");
        }
    }
}
