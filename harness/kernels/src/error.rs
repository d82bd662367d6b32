//! What can be wrong with a call.

use std::fmt;

use crate::levels::Bits;
use crate::route::Route;

/// Why a product cannot be set up or run. Every safe entry point checks before it computes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum KernelError {
    /// A dimension is zero.
    Empty {
        /// Its name.
        dimension: &'static str,
    },
    /// A slice has the wrong length.
    Length {
        /// What the slice is.
        operand: &'static str,
        /// Elements that the shapes ask for.
        expected: usize,
        /// Elements given.
        found: usize,
    },
    /// A code needs more bits than its operand has.
    Code {
        /// Which operand.
        operand: &'static str,
        /// Index of the first such code.
        index: usize,
        /// Its value.
        code: u8,
        /// Bit width of the operand.
        bits: Bits,
    },
    /// Channels do not divide into groups.
    Groups {
        /// Which channels.
        operand: &'static str,
        /// How many there are.
        channels: usize,
        /// Groups asked for.
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
        /// What the product needs.
        expected: String,
        /// What it was given.
        found: String,
    },
    /// The sum may not fit the accumulator.
    Overflow {
        /// Products summed.
        depth: usize,
        /// Largest depth for these bit widths.
        limit: usize,
    },
    /// A shift or clip of the epilogue is out of range.
    Epilogue {
        /// What is wrong, and what would be right.
        what: &'static str,
    },
    /// Levels that a product cannot use.
    Levels {
        /// Whose levels.
        operand: &'static str,
        /// What is wrong, and what would be right.
        what: String,
    },
    /// This processor does not have the instructions.
    Unavailable {
        /// The route asked for.
        route: Route,
    },
    /// Sizes whose product does not fit the address space.
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
            KernelError::Levels { operand, what } => write!(f, "the levels of the {operand} {what}"),
            KernelError::Unavailable { route } => write!(f, "this processor cannot run the route {route}"),
            KernelError::TooLarge => f.write_str("the sizes do not fit the address space"),
        }
    }
}

impl std::error::Error for KernelError {}
