//! Makes a trial into a record.
//!
//! | module | what |
//! | --- | --- |
//! | [`prepare`] | what a sweep would do, and why it cannot run |
//! | [`execute`] | trials spread over worker processes |
//! | [`worker`] | one worker process: claims trials and runs them |
//! | [`job`] | a trial with everything that running it needs, and how far it is |
//! | [`run`], `run_record` | one trial, from its configuration to its record |
//! | `train` | its epochs, steps and checkpoints, with teachers and averages of weights |
//! | [`data`], [`optimizer`], [`schedule`], [`metrics`], [`checkpoint`] | what a training consists of |
//! | `contents` | what is known of a data set and of the length of a training before anything is loaded |
//! | [`reevaluate`] | a finished trial evaluated again, also with integer batch normalization |
//! | [`verify`] | a finished trial run again and compared to the bit |
//! | [`training_cost`] | how long quantized training steps take |
//! | [`catalog`] | what a sweep file can name: every method, model and data set |
//! | [`environment`], [`device`] | the machine and the commit that a trial runs on |
//! | [`event`] | what workers report while they work |
//! | [`smoke`] | a sweep made so small that it ends in seconds |
//! | [`gpu`] | how long a GPU would take |
//! | [`failure`] | what can go wrong, by class |
//! | [`stop`] | requests to stop |
//! | [`takeover`] | trials of processes on other machines that have died |

#![cfg_attr(test, allow(clippy::unwrap_used, clippy::expect_used, clippy::panic))]

pub mod catalog;
pub mod checkpoint;
mod contents;
pub mod data;
pub mod device;
pub mod environment;
pub mod event;
pub mod execute;
pub mod failure;
pub mod gpu;
mod hold;
pub mod job;
pub mod metrics;
pub mod optimizer;
pub mod prepare;
pub mod reevaluate;
pub mod run;
mod run_record;
pub mod schedule;
pub mod smoke;
pub mod stop;
pub mod takeover;
mod train;
pub mod training_cost;
pub mod verify;
pub mod worker;
