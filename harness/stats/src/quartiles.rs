//! Medians and quartiles.

/// First quartile, median and third quartile of `values`, linearly interpolated between the two nearest values (type 7
/// of Hyndman and Fan, the default of R and NumPy); `None` if there are no values.
#[must_use]
pub fn quartiles(values: impl IntoIterator<Item = f64>) -> Option<[f64; 3]> {
    let mut sorted: Vec<f64> = values.into_iter().collect();
    sorted.sort_by(f64::total_cmp);
    let last = sorted.len().checked_sub(1)?;
    let at = |fraction: f64| {
        let position = fraction * last as f64;
        let (below, part) = (position.floor() as usize, position.fract());
        sorted[below] + part * (sorted[(below + 1).min(last)] - sorted[below])
    };
    Some([0.25, 0.5, 0.75].map(at))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn interpolated_like_r_and_numpy() {
        assert_eq!(quartiles([5.0, 1.0, 2.0, 4.0, 3.0]), Some([2.0, 3.0, 4.0]));
        assert_eq!(quartiles([4.0, 1.0, 2.0, 3.0]), Some([1.75, 2.5, 3.25]));
        assert_eq!(quartiles([7.0]), Some([7.0; 3]));
        assert_eq!(quartiles([]), None);
    }
}
