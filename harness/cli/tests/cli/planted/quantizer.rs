//! Weights on four levels from -1 to 1.

/// The value the network computes with.
pub fn quantize(weight: f32) -> f32 {
    let clipped = weight.clamp(-1.0, 1.0);
    ((clipped + 1.0) * 1.5).round() / 1.5 - 1.0
}
