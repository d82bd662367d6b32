//! Which words have an id, and which.

use std::cmp::Reverse;
use std::collections::HashMap;

use super::{UNKNOWN, words};

/// Words by id, most frequent first.
pub(super) struct Vocabulary {
    words: Vec<String>,
    ids: HashMap<String, i32>,
    unknown: i32,
}

impl Vocabulary {
    /// The words of this text and [`UNKNOWN`]; at most `limit` of them, if there is a limit.
    pub(super) fn of(text: &str, limit: Option<usize>) -> Vocabulary {
        let mut counts: HashMap<&str, u64> = HashMap::new();
        counts.insert(UNKNOWN, 0);
        words(text).for_each(|word| *counts.entry(word).or_default() += 1);
        let mut order: Vec<(&str, u64)> = counts.into_iter().collect();
        order.sort_unstable_by_key(|&(word, count)| (Reverse(count), word));
        // Ids are i32, and a text of 2^31 different words does not fit the memory it was read into.
        let limit = limit.unwrap_or(usize::MAX).min(i32::MAX as usize);
        if let Some(cut) = order.get(limit..).filter(|cut| !cut.is_empty()) {
            let unknown_is_cut = cut.iter().any(|&(word, _)| word == UNKNOWN);
            order.truncate(limit);
            if unknown_is_cut && let Some(last) = order.last_mut() {
                *last = (UNKNOWN, 0);
            }
        }
        let words: Vec<String> = order.into_iter().map(|(word, _)| word.to_owned()).collect();
        let ids: HashMap<String, i32> = words.iter().cloned().zip(0..).collect();
        let unknown = ids.get(UNKNOWN).copied().unwrap_or(0);
        Vocabulary { words, ids, unknown }
    }

    /// Number of words.
    pub(super) fn len(&self) -> usize {
        self.words.len()
    }

    /// Id of a word, that of [`UNKNOWN`] for one that has none.
    pub(super) fn id(&self, word: &str) -> i32 {
        self.ids.get(word).copied().unwrap_or(self.unknown)
    }

    /// The words by id.
    pub(super) fn into_words(self) -> Vec<String> {
        self.words
    }
}
