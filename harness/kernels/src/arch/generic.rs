//! The algorithms, each written once over the vector operations that it needs.
//!
//! The operations are the methods of private traits: [`popcount::Words`], [`table::Shuffle`], [`table_pairs::Pairs`],
//! [`int8::Dot`], `int8_shorts::Shorts` and [`layer::Numbers`]. Rules for those who implement or use them:
//!
//! * The loops and the operations are `inline(always)` and carry no target feature (the two cannot be combined). A function
//!   that has the target feature calls a loop, so that everything is inlined into it and each operation becomes one or a
//!   few instructions.
//! * Operations stand in loops, never in closures. A closure that is not inlined has no target feature, and each
//!   operation in it becomes a call.
//! * Every operation is `unsafe` because its instructions must exist, which the calling function's target feature
//!   guarantees, and because pointers are not checked: a loop gives an operation only pointers to as many readable or
//!   writable bytes as the operation's comment asks for. No pointer need be aligned.
//! * Nothing is summed across a vector: a lane belongs to one output channel from the load to the store.

pub(crate) mod int8;
#[cfg(target_arch = "x86_64")]
pub(crate) mod int8_shorts;
pub(crate) mod layer;
pub(crate) mod limits;
pub(crate) mod popcount;
pub(crate) mod table;
pub(crate) mod table_pairs;
pub(crate) mod tables;
