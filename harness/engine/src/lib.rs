//! Makes a trial into a record.
//!
//! | module | what |
//! | --- | --- |
//! | [`bench`] | the cost of a quantized training step |
//! | [`catalog`] | what a sweep file can name: every method, model and data set |
//! | [`prepare`] | what a sweep would do, and why it cannot |
//! | [`execute`] | trials spread over worker processes |
//! | [`worker`] | one worker process: claims trials and runs them |
//! | [`run`] | one trial, from its configuration to its record |
//! | `training` | its steps, epochs and checkpoints, with teachers and averages |
//! | [`schedule`], [`optimizer`], [`data`], [`evaluate`], [`checkpoint`] | the parts of a training run |
//! | [`evaluation`] | a finished trial evaluated again, also with integer batch normalization |
//! | [`verify`] | a finished trial run again and compared to the bit |
//! | [`environment`], [`device`] | what it runs on |
//! | [`event`] | what workers report while they work |
//! | [`smoke`] | a sweep tried out on next to nothing |
//! | [`gpu`] | how long a GPU would take |
//! | [`failure`] | what can go wrong, by class |
//! | [`stop`] | being asked to stop |
//! | [`takeover`] | trials of processes on other machines that have died |

#![cfg_attr(test, allow(clippy::unwrap_used, clippy::expect_used, clippy::panic))]

pub mod bench;
pub mod catalog;
pub mod checkpoint;
pub mod data;
pub mod device;
pub mod environment;
pub mod evaluate;
pub mod evaluation;
pub mod event;
pub mod execute;
pub mod failure;
pub mod gpu;
pub mod optimizer;
pub mod prepare;
pub mod run;
pub mod schedule;
pub mod smoke;
pub mod stop;
pub mod takeover;
mod training;
pub mod verify;
pub mod worker;
