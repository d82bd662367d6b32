use super::*;
use crate::samples::{method, options, record};
use harness_records::catalog::{Entry, Roles};
use harness_records::config::{KeyDefault, KeyDoc, KeyKind};
use proptest::prelude::*;

/// Weights, activations and gradients of one trial, and the label it has in its sweep file.
type Trial<'a> = (MethodChoice, MethodChoice, MethodChoice, Option<&'a str>);

fn float() -> MethodChoice {
    MethodChoice::float()
}

fn built(catalog: &Catalog, trials: &[Trial<'_>]) -> (Names, Vec<QuantConfig>) {
    let mut labels = BTreeMap::new();
    let mut records = Vec::new();
    for (w, a, g, label) in trials {
        let record = record().quant(w.clone(), a.clone(), g.clone()).build();
        if let Some(label) = label {
            labels.insert(record.id.clone(), (*label).to_owned());
        }
        records.push(record);
    }
    let names = Names::new(&records, catalog, &labels);
    (names, records.into_iter().map(|record| record.config.quant).collect())
}

fn named(catalog: &Catalog, trials: &[Trial<'_>]) -> Vec<String> {
    let (names, quants) = built(catalog, trials);
    quants.iter().map(|quant| names.series(quant).name).collect()
}

fn expect(trials: &[Trial<'_>], expected: &[&str]) {
    assert_eq!(named(&Catalog::default(), trials), expected);
}

/// A method quantizing weights alone.
fn weights(name: &str, bits: u8, pairs: &[(&str, &str)]) -> Trial<'static> {
    (method(name, bits, pairs), float(), float(), None)
}

#[test]
fn methods_are_named_by_what_tells_them_apart() {
    let (a, b) = (|bits| method("a", bits, &[]), |bits| method("b", bits, &[]));
    expect(&[(float(), float(), float(), None)], &["float"]);
    expect(&[(a(2), float(), float(), None), (float(), a(2), float(), None)], &["a", "a"]);
    expect(&[(a(2), a(2), float(), None)], &["a"]);
    expect(&[(a(2), b(2), float(), None)], &["a + b"]);
    expect(&[(a(2), float(), b(2), None)], &["a + b"]);
    // Activations that are quantized by one method everywhere tell nothing apart.
    expect(&[(a(2), b(2), float(), None), (b(2), b(2), float(), None)], &["a", "b"]);
    // By two methods they do.
    let three = [(a(2), b(2), float(), None), (b(2), b(2), float(), None), (a(2), a(2), float(), None)];
    expect(&three, &["a + b", "b", "a"]);
}

#[test]
fn options_are_named_where_two_of_the_same_widths_differ() {
    // One variant at each width is one line.
    let along = [weights("ls", 2, &[("variant", "optimal")]), weights("ls", 3, &[("variant", "greedy")])];
    expect(&along, &["ls", "ls"]);
    let (names, _) = built(&Catalog::default(), &along);
    assert_eq!(names.remarks(), ["ls: variant of the weights is greedy at 3 and optimal at 2 bits."]);
    // Two at one width are two, and each goes on with its own name.
    let both = [along[0].clone(), along[1].clone(), weights("ls", 3, &[("variant", "optimal")])];
    expect(&both, &["ls, optimal", "ls, greedy", "ls, optimal"]);
    // A number needs its key, and so does a value that two options have.
    expect(
        &[weights("m", 2, &[("start", "0.5")]), weights("m", 2, &[("start", "1")])],
        &["m, start 0.5", "m, start 1"],
    );
    let of = |x, y| weights("m", 2, &[("x", x), ("y", y)]);
    expect(&[of("mean", "mean"), of("max", "mean")], &["m, mean", "m, max"]);
    let twins = [of("mean", "mean"), of("max", "mean"), of("mean", "max")];
    expect(&twins, &["m, x mean, y mean", "m, x max, y mean", "m, x mean, y max"]);
}

static ABOUT: About = About {
    name: "balanced",
    summary: "",
    source: "",
    options: &[KeyDoc {
        name: "threshold",
        kind: KeyKind::Choice(&["median", "mean"]),
        default: KeyDefault::Text("median"),
        doc: "",
    }],
};

#[test]
fn a_default_is_never_shown() {
    let catalog = Catalog { methods: vec![Entry::method(&ABOUT, Some((1, 8)), Roles::ALL)], ..Catalog::default() };
    let of = |value| weights("balanced", 2, &[("threshold", value)]);
    assert_eq!(named(&catalog, &[of("median"), of("mean")]), ["balanced", "balanced, mean"]);
    // A record that is older than the option has its default.
    assert_eq!(named(&catalog, &[weights("balanced", 2, &[]), of("mean")]), ["balanced", "balanced, mean"]);
    let (names, _) = built(&catalog, &[of("median"), of("mean")]);
    assert_eq!(names.families(), ["balanced"]);
    assert_eq!(names.variants("balanced"), ["balanced", "balanced, mean"]);
}

#[test]
fn a_label_of_the_sweep_file_is_the_name() {
    let (a, b) = (method("lsq", 2, &[]), method("lsq", 2, &[("lr", "0.1")]));
    let trials = [(a.clone(), float(), float(), Some("ours")), (b.clone(), float(), float(), None)];
    expect(&trials, &["ours", "lsq"]);
    // The same label twice at the same widths says too little.
    let trials = [(a, float(), float(), Some("ours")), (b, float(), float(), Some("ours"))];
    expect(&trials, &["ours: weights lsq", "ours: weights lsq (lr=0.1)"]);
}

#[test]
fn no_text_can_imitate_another_option() {
    let choice =
        |pairs: &[(&str, &str)]| MethodChoice { method: "m".to_owned(), bits: Some(1), options: options(pairs) };
    let honest = (choice(&[("a", "x"), ("b", "y")]), float(), float(), None);
    let hostile = (choice(&[("a", "x, y")]), float(), float(), None);
    let names = named(&Catalog::default(), &[honest, hostile]);
    assert_ne!(names[0], names[1]);
}

proptest! {
    #[test]
    fn two_combinations_of_the_same_widths_never_share_a_name(
        picks in prop::collection::vec((0usize..3, 1u8..3, 0usize..3, 0usize..3, 0usize..3, 0usize..3, any::<bool>()), 1..14),
    ) {
        let methods = ["float", "a", "b"];
        let values = ["x", "y", "0.5"];
        let choice = |m: usize, bits: u8, one: usize, two: usize| match m {
            0 => float(),
            m => method(methods[m], bits, &[("one", values[one]), ("two", values[two])]),
        };
        let trials: Vec<Trial<'_>> = picks
            .iter()
            .map(|&(m, bits, one, two, n, three, label)| {
                (choice(m, bits, one, two), choice(n, bits, three, one), float(), label.then_some("ours"))
            })
            .collect();
        let (names, quants) = built(&Catalog::default(), &trials);
        for a in &quants {
            for b in &quants {
                let widths = |quant: &QuantConfig| roles(quant).map(width);
                if key(a) != key(b) && widths(a) == widths(b) {
                    prop_assert_ne!(names.series(a).name, names.series(b).name);
                }
            }
        }
    }
}
