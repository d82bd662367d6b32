//! The errors of the crate.

use std::fmt;

use crate::levels::Bits;
use crate::route::{Isa, Route};

/// Why a product cannot be set up or run. Every safe entry point checks before it computes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum KernelError {
    /// A dimension is zero.
    Empty {
        /// Name of the dimension.
        dimension: &'static str,
    },
    /// A slice has the wrong length.
    Length {
        /// Name of the slice.
        operand: &'static str,
        /// Number of elements that the shapes ask for.
        expected: usize,
        /// Number of elements that were given.
        found: usize,
    },
    /// A code needs more bits than its operand has.
    Code {
        /// Name of the operand.
        operand: &'static str,
        /// Index of the first such code.
        index: usize,
        /// Value of the code.
        code: u8,
        /// Bit width of the operand.
        bits: Bits,
    },
    /// Channels do not divide into groups.
    Groups {
        /// Which channels: those of the input or of the output.
        operand: &'static str,
        /// Number of channels.
        channels: usize,
        /// Number of groups.
        groups: usize,
    },
    /// The window is larger than the padded input.
    Window {
        /// `height` or `width`.
        axis: &'static str,
        /// Extent of the dilated window.
        window: usize,
        /// Padded extent of the input.
        input: usize,
    },
    /// Activations were packed for another product.
    Layout {
        /// Description of the activations that the product reads.
        expected: String,
        /// Description of those that were given.
        found: String,
    },
    /// The sum may not fit the accumulator.
    Overflow {
        /// Number of products that are summed for one output.
        depth: usize,
        /// Largest depth for these bit widths.
        limit: usize,
    },
    /// A shift or clip of the epilogue is out of range.
    Epilogue {
        /// What is wrong, and what would be right.
        what: &'static str,
    },
    /// Results that do not fit between the channels of the tensor that they belong to.
    Rows {
        /// Name of the tensor.
        operand: &'static str,
        /// Channels of the tensor.
        stride: usize,
        /// The first channel that is used.
        first: usize,
        /// Number of channels that are used.
        outputs: usize,
    },
    /// Levels that a product cannot use.
    Levels {
        /// Name of the operand that they belong to.
        operand: &'static str,
        /// What is wrong, and what would be right.
        what: String,
    },
    /// This processor does not have the instructions.
    Unavailable {
        /// The route that was asked for.
        route: Route,
    },
    /// This processor does not have the instruction set.
    UnavailableIsa {
        /// The instruction set that was asked for.
        isa: Isa,
    },
    /// The product of the sizes does not fit the address space.
    TooLarge,
}

impl fmt::Display for KernelError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            KernelError::Empty { dimension } => write!(f, "{dimension} is 0, expected at least 1"),
            KernelError::Length { operand, expected, found } => {
                write!(f, "{operand} has {found} elements, expected {expected}")
            }
            KernelError::Code { operand, index, code, bits } => write!(
                f,
                "code {code} at index {index} of the {operand} does not fit {bits} bits, expected at most {}",
                bits.max_code()
            ),
            KernelError::Groups { operand, channels, groups } => {
                write!(f, "{channels} {operand} do not divide into {groups} groups")
            }
            KernelError::Window { axis, window, input } => {
                write!(f, "a window of {axis} {window} does not fit a padded input of {input}")
            }
            KernelError::Layout { expected, found } => {
                write!(f, "activations are packed as {found}, expected {expected}")
            }
            KernelError::Overflow { depth, limit } => {
                write!(
                    f,
                    "{depth} products may overflow a 32-bit accumulator, expected at most {limit}; use WideProduct"
                )
            }
            KernelError::Epilogue { what } => f.write_str(what),
            KernelError::Rows { operand, stride, first, outputs } => {
                write!(f, "{outputs} channels from channel {first} do not fit the {stride} channels of the {operand}")
            }
            KernelError::Levels { operand, what } => write!(f, "the levels of the {operand} {what}"),
            KernelError::Unavailable { route } => write!(f, "this processor cannot run the route {route}"),
            KernelError::UnavailableIsa { isa } => write!(f, "this processor does not have the instructions of {isa}"),
            KernelError::TooLarge => f.write_str("the sizes do not fit the address space"),
        }
    }
}

impl std::error::Error for KernelError {}
