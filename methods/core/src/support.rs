//! "No" as a value with a reason.

/// Whether a method has a part. "No" is a value with a reason, shown by `harness methods`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Support {
    /// It has.
    Yes,
    /// It has not, for this reason.
    No(&'static str),
}

impl Support {
    /// True for [`Support::Yes`].
    #[must_use]
    pub fn is_yes(self) -> bool {
        self == Support::Yes
    }
}
