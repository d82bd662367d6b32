//! Bit widths of what is quantized.

use harness_records::config::{MethodChoice, QuantConfig};

/// Bits of a full-precision value.
pub(crate) const FLOAT_WIDTH: u32 = 32;

/// Bit width of a choice, full precision as 32.
pub(crate) fn width(choice: &MethodChoice) -> u32 {
    match choice.bits {
        Some(bits) if !choice.is_float() => u32::from(bits),
        _ => FLOAT_WIDTH,
    }
}

/// Bit widths of weights, activations and gradients.
pub(crate) fn widths(quant: &QuantConfig) -> [u32; 3] {
    [&quant.weights, &quant.activations, &quant.gradients].map(width)
}

/// `2/32`: bit widths of weights and activations, and of gradients where those are quantized.
pub(crate) fn in_words([weights, activations, gradients]: [u32; 3]) -> String {
    match gradients {
        FLOAT_WIDTH => format!("{weights}/{activations}"),
        gradients => format!("{weights}/{activations}/{gradients}"),
    }
}
