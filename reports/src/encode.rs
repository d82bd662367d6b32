//! The formats tables are written in, one file each.

pub(crate) mod csv;
pub(crate) mod html;
pub(crate) mod latex;
pub(crate) mod latex_figure;
pub(crate) mod markdown;
pub(crate) mod parquet;
mod thrift;

/// Text as one printable line: line breaks and other control characters become spaces, and the marks that reverse
/// the direction of the text around them go.
pub(crate) fn one_line(text: &str) -> String {
    let kept = text.chars().filter(|c| !matches!(c, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}'));
    kept.map(|c| if c.is_control() || matches!(c, '\u{2028}' | '\u{2029}') { ' ' } else { c }).collect()
}

/// A plain word as it is, other text between quotes.
pub(crate) fn plain_or_quoted(text: &str) -> String {
    let plain = !text.is_empty() && text.chars().all(|c| c.is_alphanumeric() || "-_.".contains(c));
    if plain { text.to_owned() } else { format!("{text:?}") }
}
