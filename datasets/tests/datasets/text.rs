//! Text folders, synthetic text, and how training walks through them.

use std::collections::{BTreeSet, HashMap};
use std::fs;
use std::path::Path;

use harness_datasets::{EOS, Split, TextShape, Tokens, UNKNOWN, find};
use harness_records::options::{OptionValue, Options};
use proptest::prelude::*;

const SPLITS: [Split; 3] = [Split::Train, Split::Validation, Split::Test];

fn write(root: &Path, texts: [&str; 3]) {
    for (name, text) in ["train.txt", "valid.txt", "test.txt"].iter().zip(texts) {
        fs::write(root.join(name), text).unwrap();
    }
}

fn folder(texts: [&str; 3]) -> tempfile::TempDir {
    let root = tempfile::tempdir().unwrap();
    write(root.path(), texts);
    root
}

fn load(root: &Path, options: &Options, split: Split) -> Tokens {
    find("text").unwrap().load(Some(root), options, split).unwrap().text().unwrap()
}

/// The words that the ids stand for.
fn spelled(tokens: &Tokens) -> Vec<&str> {
    tokens.ids.iter().map(|&id| tokens.vocabulary[id as usize].as_str()).collect()
}

fn limited(words: i64) -> Options {
    [("vocabulary".to_owned(), OptionValue::Int(words))].into_iter().collect()
}

#[test]
fn words_are_numbered_by_frequency_and_lines_end() {
    let root = folder(["b a b\nc b a\n", "a  z\tb\r\n", "c"]);
    let train = load(root.path(), &Options::default(), Split::Train);
    assert_eq!(train.vocabulary, ["b", EOS, "a", "c", UNKNOWN]);
    assert_eq!(train.ids, [0, 2, 0, 1, 3, 0, 2, 1]);
    let spelled = |split| spelled(&load(root.path(), &Options::default(), split)).join(" ");
    assert_eq!(spelled(Split::Validation), "a <unk> b <eos>");
    assert_eq!(spelled(Split::Test), "c <eos>");
    let shape = TextShape { vocabulary: 5, train: 8, validation: 4, test: 2 };
    assert_eq!(find("text").unwrap().probe(Some(root.path()), &Options::default()).unwrap().text(), Some(shape));
}

#[test]
fn a_limited_vocabulary_keeps_the_frequent_words_and_unknown() {
    let root = folder(["b a b\nc b a\n", "a", "c"]);
    let train = load(root.path(), &limited(3), Split::Train);
    assert_eq!(train.vocabulary, ["b", EOS, UNKNOWN]);
    assert_eq!(spelled(&train).join(" "), "b <unk> b <eos> <unk> b <unk> <eos>");
    // A limit that does not bite changes nothing.
    assert_eq!(load(root.path(), &limited(5), Split::Train), load(root.path(), &Options::default(), Split::Train));
}

#[test]
fn the_treebank_has_its_own_names() {
    let root = tempfile::tempdir().unwrap();
    for name in ["ptb.train.txt", "ptb.valid.txt", "ptb.test.txt"] {
        fs::write(root.path().join(name), " no it was n't <unk> \n").unwrap();
    }
    let ptb = find("ptb").unwrap();
    let shape = TextShape { vocabulary: 6, train: 6, validation: 6, test: 6 };
    assert_eq!(ptb.probe(Some(root.path()), &Options::default()).unwrap().text(), Some(shape));
    assert_eq!(ptb.about().name, "ptb");
}

proptest! {
    #[test]
    fn every_split_spells_its_file(
        lines in prop::array::uniform3(prop::collection::vec(prop::collection::vec("[a-d]{1,2}", 0..6), 1..8)),
    ) {
        let texts = lines.clone().map(|lines| {
            lines.iter().map(|line| line.join(" ") + "\n").collect::<String>()
        });
        prop_assume!(texts.iter().all(|text| text.split_whitespace().next().is_some()));
        let root = folder([&texts[0], &texts[1], &texts[2]]);
        let known: BTreeSet<&str> = texts[0].split_whitespace().collect();
        let mut counts: HashMap<&str, usize> = HashMap::new();
        for (split, text) in SPLITS.into_iter().zip(&texts) {
            let tokens = load(root.path(), &Options::default(), split);
            let expected: Vec<String> = text.replace('\n', " <eos> ").split_whitespace()
                .map(|word| if word == EOS || known.contains(word) { word.to_owned() } else { UNKNOWN.to_owned() })
                .collect();
            prop_assert_eq!(spelled(&tokens), expected);
        }
        for word in texts[0].split_whitespace() {
            *counts.entry(word).or_default() += 1;
        }
        let train = load(root.path(), &Options::default(), Split::Train);
        let frequencies: Vec<usize> = train.vocabulary.iter().filter_map(|w| counts.get(w.as_str()).copied()).collect();
        prop_assert!(frequencies.is_sorted_by(|a, b| a >= b));
    }

    #[test]
    fn streams_predict_every_word_but_the_first_of_each_once(
        n in 0usize..200, batch in 1usize..12, steps in 0usize..30,
    ) {
        let tokens = Tokens { ids: (0..n as i32).collect(), vocabulary: Vec::new() };
        let streams = tokens.streams(batch);
        prop_assert_eq!(streams.ids.len(), streams.batch * streams.length);
        prop_assert!(n - streams.ids.len() < batch);
        let mut predicted = Vec::new();
        let mut last_end = 0;
        for window in streams.windows(steps) {
            prop_assert!(window.start == last_end && !window.is_empty() && window.len() <= steps.max(1));
            last_end = window.end;
            for row in 0..batch {
                predicted.extend(window.clone().map(|place| streams.ids[row * streams.length + place + 1]));
            }
        }
        predicted.sort_unstable();
        let expected: Vec<i32> =
            (0..streams.ids.len()).filter(|id| !id.is_multiple_of(streams.length.max(1))).map(|id| id as i32).collect();
        prop_assert_eq!(predicted.len(), streams.predictions());
        prop_assert_eq!(predicted, expected);
    }
}

#[test]
fn wrong_files_are_named() {
    let error = |root: &Path| {
        let text = find("text").unwrap();
        let probed = text.probe(Some(root), &Options::default()).unwrap_err().to_string();
        assert!(text.load(Some(root), &Options::default(), Split::Test).is_err());
        probed
    };
    let root = folder(["a", "b", " \n\n"]);
    assert!(error(root.path()).ends_with("test.txt: holds no words, expected text"), "{}", error(root.path()));
    fs::write(root.path().join("test.txt"), b"good\nbad \xff\n").unwrap();
    assert!(error(root.path()).ends_with("line 2 is not UTF-8, expected plain text"), "{}", error(root.path()));
    fs::remove_file(root.path().join("test.txt")).unwrap();
    let absent = error(root.path());
    assert!(absent.contains("the test text are missing, expected one of `test.txt`"), "{absent}");
    fs::create_dir(root.path().join("test.txt")).unwrap();
    assert!(error(root.path()).ends_with("this is a folder, expected a file with the text"));
    let nowhere = find("ptb").unwrap().probe(None, &Options::default()).unwrap_err().to_string();
    assert!(nowhere.contains("set `dataset.root` to the one that holds `ptb.train.txt`, `ptb.valid.txt`"), "{nowhere}");
}

#[test]
fn synthetic_text_is_a_chain_that_can_be_learned() {
    let dataset = find("synthetic-text").unwrap();
    let load = |values: &[(&str, i64)], split| {
        let options = values.iter().map(|&(name, value)| (name.to_owned(), OptionValue::Int(value))).collect();
        dataset.load(None, &options, split).unwrap().text().unwrap()
    };
    let small = [("vocabulary", 40), ("train", 20_000)];
    let tokens = load(&small, Split::Train);
    assert_eq!((tokens.ids.len(), tokens.vocabulary.len()), (20_000, 40));
    assert!(tokens.ids.iter().all(|id| (0..40).contains(id)));
    let mut followers: HashMap<i32, HashMap<i32, f64>> = HashMap::new();
    for pair in tokens.ids.windows(2) {
        *followers.entry(pair[0]).or_default().entry(pair[1]).or_default() += 1.0;
    }
    // At most four words and the end of the line follow a word, and the entropy is that of the chain:
    // about 7/4 bits for the word, about 0.4 for the end of the line.
    let mut bits = 0.0;
    for counts in followers.values() {
        assert!(counts.len() <= 5);
        let all: f64 = counts.values().sum();
        bits -= counts.values().map(|n| n * (n / all).log2()).sum::<f64>() / 20_000.0;
    }
    assert!((1.6..2.1).contains(&bits), "{bits}");
    // A prefix does not depend on the length; splits and seeds differ.
    assert_eq!(load(&[("vocabulary", 40), ("train", 50)], Split::Train).ids, tokens.ids[..50]);
    assert_ne!(load(&small, Split::Test).ids[..50], tokens.ids[..50]);
    assert_ne!(load(&[("vocabulary", 40), ("train", 50), ("seed", 1)], Split::Train).ids, tokens.ids[..50]);
}
