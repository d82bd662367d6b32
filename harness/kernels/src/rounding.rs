//! Rounding conventions of the papers. They differ, and a wrong one moves every tie.

/// Nearest integer, ties to even: DoReFa-Net and everything that calls `torch.round`.
#[must_use]
pub fn round_half_even(x: f32) -> f32 {
    x.round_ties_even()
}

/// Nearest integer, ties toward zero: `sign(x) * ceil(|x| - 1/2)`, Balanced Quantization.
///
/// Subtracting one half is exact wherever a tie is possible (below 2^23), so ties are recognised exactly.
#[must_use]
pub fn round_half_to_zero(x: f32) -> f32 {
    (x.abs() - 0.5).ceil().max(0.0).copysign(x)
}

/// `+1` for zero and above, `-1` below. `f32::signum(-0.0)` and `torch.sign(0)` would both be wrong here.
#[must_use]
pub fn sign(x: f32) -> f32 {
    if x >= 0.0 { 1.0 } else { -1.0 }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ties() {
        let rows = [
            // (x, half to even, half to zero)
            (0.0, 0.0, 0.0),
            (0.5, 0.0, 0.0),
            (1.5, 2.0, 1.0),
            (2.5, 2.0, 2.0),
            (-0.5, 0.0, 0.0),
            (-1.5, -2.0, -1.0),
            (0.500_000_06, 1.0, 1.0),
            (0.499_999_97, 0.0, 0.0),
            (-1.500_000_1, -2.0, -2.0),
            (254.5, 254.0, 254.0),
            (255.5, 256.0, 255.0),
        ];
        for (x, even, zero) in rows {
            assert_eq!(round_half_even(x), even, "half to even of {x}");
            assert_eq!(round_half_to_zero(x), zero, "half to zero of {x}");
        }
    }

    #[test]
    fn sign_of_zero_is_plus_one() {
        assert_eq!([-2.0, -0.0, 0.0, 3.0].map(sign), [-1.0, 1.0, 1.0, 1.0]);
    }
}
