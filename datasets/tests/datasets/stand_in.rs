//! What runs where there are no files.

use harness_datasets::{Contents, DATASETS, Shape, Split, find, stand_in};
use harness_records::config::DatasetChoice;
use harness_records::options::{OptionValue, Options};

fn choice(name: &str, options: Options) -> DatasetChoice {
    DatasetChoice { name: name.to_owned(), root: Some("/nowhere".into()), options }
}

fn contents(choice: &DatasetChoice) -> Contents {
    find(&choice.name).unwrap().probe(choice.root.as_deref(), &choice.options).unwrap()
}

#[test]
fn every_data_set_with_files_has_a_small_one_without() {
    for dataset in DATASETS {
        let about = dataset.about();
        let chosen = choice(about.name, Options::defaults(about.options));
        let Some(made_up) = stand_in(&chosen) else {
            assert!(dataset.probe(None, &chosen.options).is_ok(), "{} needs files and has no stand-in", about.name);
            continue;
        };
        // Its options are valid, it needs no folder, and it holds what it says.
        let kind = find(&made_up.name).unwrap();
        let given = made_up.options.iter().map(|(name, value)| (name.to_owned(), value.clone())).collect();
        assert_eq!(Options::resolve(kind.about().options, &given).unwrap(), made_up.options, "{}", about.name);
        assert_eq!(made_up.root, None);
        match contents(&made_up) {
            Contents::Images(shape) => {
                let images = kind.load(None, &made_up.options, Split::Train).unwrap().images().unwrap();
                assert_eq!((images.shape[0], images.len()), (shape.channels, shape.train));
            }
            Contents::Text(shape) => {
                let tokens = kind.load(None, &made_up.options, Split::Train).unwrap().text().unwrap();
                assert_eq!((tokens.vocabulary.len(), tokens.ids.len()), (shape.vocabulary, shape.train));
            }
        }
    }
    assert_eq!(stand_in(&choice("no-such-data-set", Options::default())), None);
}

#[test]
fn a_stand_in_has_the_form_of_what_it_stands_for() {
    let mnist = contents(&stand_in(&choice("mnist", Options::default())).unwrap());
    let expected = Shape { channels: 1, height: 28, width: 28, classes: 10, train: 64, test: 64 };
    assert_eq!(mnist.images(), Some(expected));
    let ptb = contents(&stand_in(&choice("ptb", Options::default())).unwrap());
    assert_eq!(ptb.text().unwrap().vocabulary, 10_000);
    let few = [("vocabulary".to_owned(), OptionValue::Int(50))].into_iter().collect();
    assert_eq!(contents(&stand_in(&choice("text", few)).unwrap()).text().unwrap().vocabulary, 50);
}
