//! Each family's loop, once, over the operations that it needs.
//!
//! The functions are `inline(always)` and carry no target feature; an instruction set calls them from a function that
//! does, so that the operations, inlined into it, become single instructions.

pub(crate) mod int8;
pub(crate) mod limits;
pub(crate) mod popcount;
pub(crate) mod table;
