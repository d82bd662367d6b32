//! YAML as a tree that remembers where everything stood, and mistakes shown where they stand.

pub mod diagnostics;
pub mod node;
pub mod origin;
