//! How training walks through a text: several places at once, each going on where it stopped, so that a recurrent
//! state carries over from one step to the next (truncated back-propagation through time).

use std::ops::Range;

use crate::Tokens;

/// A text cut into equal consecutive streams.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Streams {
    /// Number of streams.
    pub batch: usize,
    /// Words of each stream.
    pub length: usize,
    /// Word ids, `[batch, length]` row-major: row `b` holds the words `b * length .. (b + 1) * length` of the text.
    pub ids: Vec<i32>,
}

impl Tokens {
    /// Cuts the text into `batch` streams of equal length; the rest, fewer than `batch` words, is left out, as in
    /// W. Zaremba et al., Recurrent Neural Network Regularization, 2014.
    #[must_use]
    pub fn streams(&self, batch: usize) -> Streams {
        let length = self.ids.len().checked_div(batch).unwrap_or(0);
        Streams { batch, length, ids: self.ids[..batch * length].to_vec() }
    }
}

impl Streams {
    /// The places of the input words of each step, at most `steps` of them: every word but the last is an input once,
    /// and the word after it is what is to be predicted. The last step may be shorter.
    ///
    /// None when a stream has fewer than two words.
    pub fn windows(&self, steps: usize) -> impl ExactSizeIterator<Item = Range<usize>> + use<> {
        let inputs = self.length.saturating_sub(1);
        let steps = steps.max(1);
        (0..inputs.div_ceil(steps)).map(move |step| step * steps..inputs.min((step + 1) * steps))
    }

    /// How many words are predicted in one walk through all streams.
    #[must_use]
    pub fn predictions(&self) -> usize {
        self.batch * self.length.saturating_sub(1)
    }
}
