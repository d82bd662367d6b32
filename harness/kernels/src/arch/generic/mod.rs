//! Each family's loop, once, over the operations that it needs.
//!
//! The functions are `inline(always)` and carry no target feature; an instruction set calls them from a function that
//! does, so that the operations, inlined into it, become single instructions. Operations stand in loops, never in
//! closures: a closure that is not inlined has no target feature, and each instruction in it becomes a call.

pub(crate) mod int8;
pub(crate) mod limits;
pub(crate) mod popcount;
pub(crate) mod table;
