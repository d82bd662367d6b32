//! Numbers for people.

use harness_stats::Summary;

/// The sign of negative numbers in text for people.
pub(crate) const MINUS: char = '−';

/// `97.12 ± 0.34`, or `97.12` for a single value.
pub(crate) fn mean_and_spread(summary: Summary) -> String {
    match summary.sd {
        Some(sd) => format!("{} ± {sd:.2}", two_decimals(summary.mean)),
        None => two_decimals(summary.mean),
    }
}

/// `+0.31 ± 0.20`, `−2.10`: always with its sign, except for what rounds to zero.
pub(crate) fn difference(mean: f64, sd: Option<f64>) -> String {
    let text = two_decimals(mean);
    let sign = if mean > 0.0 && text != "0.00" { "+" } else { "" };
    match sd {
        Some(sd) => format!("{sign}{text} ± {sd:.2}"),
        None => format!("{sign}{text}"),
    }
}

/// Two decimals, with a true minus sign and no negative zero.
pub(crate) fn two_decimals(number: f64) -> String {
    let text = format!("{:.2}", number.abs());
    if number < 0.0 && text != "0.00" { format!("{MINUS}{text}") } else { text }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shown() {
        let of = |mean, sd| mean_and_spread(Summary { n: 2, mean, sd });
        assert_eq!(of(97.123, Some(0.345)), "97.12 ± 0.34");
        assert_eq!(of(100.0, None), "100.00");
        assert_eq!(difference(0.311, Some(0.2)), "+0.31 ± 0.20");
        assert_eq!(difference(-2.1, None), "−2.10");
        assert_eq!(difference(-0.001, Some(0.0)), "0.00 ± 0.00");
        assert_eq!(difference(0.001, None), "0.00");
    }
}
