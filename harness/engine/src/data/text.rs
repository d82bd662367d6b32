//! A text on the device, walked through by a recurrent network.

use std::ops::Range;

use harness_datasets::{Streams, Tokens};
use tch::{Device, Kind, TchError, Tensor};

use crate::failure::EngineError;

/// One split of a text as parallel streams.
#[derive(Debug)]
pub struct DeviceText {
    streams: Streams,
    /// i64, `[batch, length]`.
    ids: Tensor,
}

impl DeviceText {
    pub(super) fn new(tokens: &Tokens, batch: u32, device: Device) -> Result<DeviceText, EngineError> {
        let streams = tokens.streams(batch as usize);
        if streams.predictions() == 0 {
            return Err(EngineError::ShortText { words: tokens.ids.len(), batch });
        }
        let int = |n: usize| i64::try_from(n).unwrap_or(i64::MAX);
        let ids = Tensor::f_from_slice(&streams.ids)?.f_view([int(streams.batch), int(streams.length)])?;
        Ok(DeviceText { ids: ids.f_to_kind(Kind::Int64)?.f_to_device(device)?, streams })
    }

    /// Words that are predicted in one walk through the text.
    #[must_use]
    pub fn predictions(&self) -> usize {
        self.streams.predictions()
    }

    /// The places of each step of at most `steps` words, in order: hand them to [`DeviceText::window`] and carry the
    /// state of the network over from one to the next.
    pub fn windows(&self, steps: usize) -> impl ExactSizeIterator<Item = Range<usize>> + use<> {
        self.streams.windows(steps)
    }

    /// Input words and the words that follow them, both i64 `[batch, window]`.
    ///
    /// # Errors
    /// When the window lies outside the text or libtorch fails.
    pub fn window(&self, window: &Range<usize>) -> Result<(Tensor, Tensor), TchError> {
        let int = |n: usize| i64::try_from(n).unwrap_or(i64::MAX);
        let (start, length) = (int(window.start), int(window.len()));
        Ok((self.ids.f_narrow(1, start, length)?, self.ids.f_narrow(1, start + 1, length)?))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn targets_are_the_next_words() {
        let tokens = Tokens { ids: (0..23).collect(), vocabulary: Vec::new() };
        let text = DeviceText::new(&tokens, 2, Device::Cpu).unwrap();
        let steps: Vec<(Tensor, Tensor)> = text.windows(4).map(|window| text.window(&window).unwrap()).collect();
        let numbers = |tensor: &Tensor| Vec::<i64>::try_from(tensor.contiguous().view(-1)).unwrap();
        assert_eq!(steps.len(), 3);
        assert_eq!(numbers(&steps[0].0), [0, 1, 2, 3, 11, 12, 13, 14]);
        assert_eq!(numbers(&steps[0].1), [1, 2, 3, 4, 12, 13, 14, 15]);
        assert_eq!(numbers(&steps[2].0), [8, 9, 19, 20]);
        assert_eq!(numbers(&steps[2].1), [9, 10, 20, 21]);
        assert_eq!(text.predictions(), 20);
        let error = DeviceText::new(&tokens, 12, Device::Cpu).unwrap_err().to_string();
        assert_eq!(error, "23 words are too few for 12 parallel streams, expected at least 24");
    }
}
