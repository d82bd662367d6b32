//! Hostile histories: any bytes are answered.

use std::fs;

use harness_fuzz::check;
use harness_track::history::History;

use crate::support::{entry, history};

#[test]
fn fuzz_history_jsonl() {
    let folder = tempfile::tempdir().unwrap();
    let whole = history(vec![entry("a", 0, &"1".repeat(40), 0.5), entry("b", 1, &"2".repeat(40), 0.25)]);
    let path = whole.write(folder.path(), "s").unwrap();
    let bytes = fs::read(&path).unwrap();
    check("history-jsonl", &[bytes], |bytes| {
        fs::write(&path, bytes).unwrap();
        History::read(folder.path()).map_err(|error| error.to_string()).is_ok()
    })
    .unwrap();
}
