//! Titles of panels: what tells each from the others.

use std::collections::BTreeSet;

use crate::encode::one_line;

/// Titles of panels. Where there are several places, each says what tells it from the others.
pub(crate) struct Titles {
    /// What all places have.
    common: Vec<String>,
    several: bool,
}

impl Titles {
    pub(crate) fn of<'a>(places: impl Iterator<Item = [&'a str; 3]>) -> Titles {
        let places: BTreeSet<[&str; 3]> = places.collect();
        let mut all = places.iter().map(|place| parts(*place));
        let first = all.next().unwrap_or_default();
        let others: Vec<Vec<String>> = all.collect();
        let common = first.into_iter().filter(|part| others.iter().all(|parts| parts.contains(part)));
        Titles { common: common.collect(), several: places.len() > 1 }
    }

    /// Title of a panel that says all there is to say of its place: what all places have is left out where there are
    /// several.
    pub(crate) fn get(&self, place: [&str; 3]) -> String {
        let parts = parts(place).into_iter().filter(|part| !self.several || !self.common.contains(part));
        one_line(&parts.collect::<Vec<_>>().join(", "))
    }

    /// What a title begins with where a place has several panels: what tells it from other places.
    pub(crate) fn head(&self, place: [&str; 3]) -> String {
        if self.several { self.get(place) } else { String::new() }
    }

    /// Title of one of many panels of a place, which show `head` of `tail`.
    pub(crate) fn around(&self, head: &str, place: [&str; 3], tail: &str) -> String {
        let place = self.head(place);
        let parts = [head, &place].into_iter().filter(|part| !part.is_empty()).collect::<Vec<_>>().join(", ");
        one_line(&if parts.is_empty() { tail.to_owned() } else { format!("{parts}: {tail}") })
    }

    /// A sentence for the caption, on what the titles do not say.
    pub(crate) fn common(&self) -> String {
        if self.common.is_empty() {
            String::new()
        } else {
            format!(" In all panels: {}.", one_line(&self.common.join(", ")))
        }
    }
}

/// Data set, model, and the setting key by key, without the section that a key belongs to.
fn parts([dataset, model, setting]: [&str; 3]) -> Vec<String> {
    let mut parts = vec![dataset.to_owned(), model.to_owned()];
    let (mut depth, mut start) = (0i32, 0);
    let mut ends: Vec<usize> = Vec::new();
    for (i, c) in setting.char_indices() {
        match c {
            '[' => depth += 1,
            ']' => depth -= 1,
            ',' if depth == 0 => ends.push(i),
            _ => {}
        }
    }
    for end in ends.into_iter().chain([setting.len()]) {
        let part = setting[start..end].trim();
        let short = part.strip_prefix("train.").or_else(|| part.strip_prefix("quant.")).unwrap_or(part);
        parts.extend((!short.is_empty()).then(|| short.to_owned()));
        start = (end + 1).min(setting.len());
    }
    parts
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn titles_say_what_tells_panels_apart() {
        let six = ["digits", "lenet", "train.epochs=6, quant.keep_float=[first, last]"];
        let eight = ["digits", "lenet", "train.epochs=8, quant.keep_float=[first, last]"];
        let none = ["digits", "lenet", "train.epochs=8, quant.keep_float=[]"];
        let titles = Titles::of([six, eight, none].into_iter());
        assert_eq!(titles.get(six), "epochs=6, keep_float=[first, last]");
        assert_eq!(titles.get(none), "epochs=8, keep_float=[]");
        assert_eq!(titles.common(), " In all panels: digits, lenet.");
        let alone = Titles::of([six, six].into_iter());
        assert_eq!(alone.get(six), "digits, lenet, epochs=6, keep_float=[first, last]");
        assert_eq!(alone.head(six), "");
        assert_eq!(alone.common(), " In all panels: digits, lenet, epochs=6, keep_float=[first, last].");
    }
}
