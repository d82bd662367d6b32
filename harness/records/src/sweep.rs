//! Sweep files made into trials. The steps, in their order: `document` reads the sections of a file, `overlay` puts
//! parts over each other, `sections` checks the shape of each section, `expand` multiplies the axes out, `resolve` makes
//! each combination a configuration, and `dependency` finds the trials that others build on. [`spec`] calls them.

mod dependency;
mod document;
pub mod expand;
pub mod filter;
mod outside;
mod overlay;
pub mod paper;
mod resolve;
pub mod schema;
mod sections;
pub mod slurm;
pub mod spec;
