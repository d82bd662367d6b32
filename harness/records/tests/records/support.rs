//! A catalog as the facade crates would hand it in, and ways to read a sweep from text.

use std::collections::HashMap;
use std::path::PathBuf;

use harness_records::catalog::{Catalog, Entry, Roles};
use harness_records::config::{KeyDefault, KeyDoc, KeyKind};
use harness_records::options::About;
use harness_records::spec::{SpecError, SweepSpec};

const WEIGHTS_ONLY: Roles = Roles { weights: true, activations: false, gradients: false };
const FORWARD: Roles = Roles { weights: true, activations: true, gradients: false };

const fn about(name: &'static str, options: &'static [KeyDoc]) -> About {
    About { name, summary: "A thing.", source: "", options }
}

const fn doc(name: &'static str, kind: KeyKind, default: KeyDefault) -> KeyDoc {
    KeyDoc { name, kind, default, doc: "An option." }
}

static FLOAT: About = about("float", &[]);
static UNIFORM: About = about(
    "uniform",
    &[
        doc("range", KeyKind::Choice(&["symmetric", "affine"]), KeyDefault::Text("symmetric")),
        doc("per", KeyKind::Choice(&["tensor", "channel"]), KeyDefault::Text("tensor")),
    ],
);
static BALANCED: About = about(
    "balanced",
    &[
        doc("threshold", KeyKind::Choice(&["median", "mean"]), KeyDefault::Text("median")),
        doc("momentum", KeyKind::Float { min: 0.0, max: 1.0 }, KeyDefault::Float(0.5)),
    ],
);
static STOCHASTIC: About = about(
    "stochastic",
    &[
        doc("average", KeyKind::Choice(&["off", "eval"]), KeyDefault::Text("off")),
        doc("skip", KeyKind::Int { min: 1, max: 64 }, KeyDefault::Int(1)),
        doc("noise", KeyKind::Bool, KeyDefault::Bool(true)),
        doc("table", KeyKind::Path, KeyDefault::Absent),
        doc("tag", KeyKind::Text, KeyDefault::Absent),
    ],
);
static XNOR: About = about("xnor", &[]);
static LENET: About = about("lenet", &[doc("width", KeyKind::Int { min: 1, max: 512 }, KeyDefault::Int(20))]);
static MLP: About = about("mlp", &[doc("hidden", KeyKind::Int { min: 1, max: 4096 }, KeyDefault::Int(64))]);
static DIGITS: About = about("digits", &[]);
static MNIST: About = about("mnist", &[doc("normalize", KeyKind::Bool, KeyDefault::Bool(true))]);

pub(crate) fn catalog() -> Catalog {
    Catalog {
        methods: vec![
            Entry::method(&FLOAT, None, Roles::ALL),
            Entry::method(&UNIFORM, Some((1, 8)), Roles::ALL),
            Entry::method(&BALANCED, Some((1, 8)), FORWARD),
            Entry::method(&STOCHASTIC, Some((1, 2)), FORWARD),
            Entry::method(&XNOR, Some((1, 1)), WEIGHTS_ONLY),
        ],
        models: vec![Entry::new(&LENET), Entry::new(&MLP)],
        datasets: vec![Entry::new(&DIGITS), Entry::new(&MNIST)],
        tables: vec!["accuracy"],
        figures: vec!["accuracy_vs_bits"],
        papers: vec!["Zhou et al. 2016 (arXiv:1606.06160)".to_owned()],
    }
}

/// A folder with sweep files.
pub(crate) struct Folder {
    pub(crate) dir: tempfile::TempDir,
    variables: HashMap<String, String>,
}

impl Folder {
    pub(crate) fn new() -> Folder {
        Folder { dir: tempfile::tempdir().unwrap(), variables: HashMap::new() }
    }

    pub(crate) fn file(self, name: &str, content: impl AsRef<[u8]>) -> Folder {
        std::fs::write(self.path(name), content).unwrap();
        self
    }

    pub(crate) fn variable(mut self, name: &str, value: &str) -> Folder {
        self.variables.insert(name.to_owned(), value.to_owned());
        self
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    pub(crate) fn read(&self, name: &str, sets: &[&str]) -> Result<SweepSpec, SpecError> {
        let sets: Vec<String> = sets.iter().map(|set| (*set).to_owned()).collect();
        SweepSpec::read_with(&self.path(name), &sets, &catalog(), &|name| self.variables.get(name).cloned())
    }

    /// The error as shown, the folder left out.
    pub(crate) fn error(&self, name: &str, sets: &[&str]) -> String {
        let error = self.read(name, sets).expect_err("this sweep must be refused").to_string();
        error.replace(&format!("{}/", self.dir.path().display()), "")
    }
}

/// A sweep from the text of `sweep.yaml`.
pub(crate) fn read(yaml: impl AsRef<[u8]>, sets: &[&str]) -> Result<SweepSpec, SpecError> {
    Folder::new().file("sweep.yaml", yaml).read("sweep.yaml", sets)
}

pub(crate) fn good(yaml: &str, sets: &[&str]) -> SweepSpec {
    read(yaml, sets).unwrap_or_else(|error| panic!("{error}"))
}

pub(crate) fn labels(spec: &SweepSpec) -> Vec<&str> {
    spec.trials().iter().map(|trial| trial.label.as_str()).collect()
}
