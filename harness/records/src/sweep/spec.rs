//! Sweep files: YAML in, checked trials out.
//!
//! ```yaml
//! name: quickstart            # folder under runs/; absent: the file's stem
//! extends: other.yaml         # this file goes over that one
//! base:                       # every trial starts from this
//!   train: {epochs: 10}
//! axes:                       # grid: every combination, the last axis fastest
//!   quant.weights:            # a dotted key of the configuration
//!     - {method: float}
//!     - {method: uniform, bits: 2}
//!   cell:                     # any other name: its values are maps that vary several keys together
//!     - {quant.activations.method: float}
//!     - {quant.activations: {method: uniform, bits: 2}, train.epochs: 20}
//!     - {quant.activations: {method: lsq, bits: 2}, label: LSQ}  # what reports call it; no part of the trial
//! exclude: [{quant.weights.method: float, train.epochs: 20}]
//! include: [{train.seed: 7}]  # extra trials, merged over base; `exclude` does not concern them
//! report: {tables: [accuracy], figures: [accuracy_vs_bits]}    # `paper:` lays out the table `paper`, see `sweep::paper`
//! slurm: {partition: gpu, gpus: 1, time: 240}  # see `slurm`; where trials run, not what they are
//! ```
//!
//! How the parts go over each other is said in `overlay`: in short, a choice given as a map with its `method:` or
//! `name:` replaces what was there, and options of one method never reach another.
//!
//! `extends` merges `base`, `report` and `slurm` key by key and axes by name; `exclude` and `include` replace those of the
//! file below, and `name` is never inherited.
//!
//! `--set key=value` goes over everything else in every trial: an axis whose keys are all set is left with that one
//! value, and a key inside an axis's maps is set in each of them. It also takes `name`, `report.tables`,
//! `report.figures`, `slurm.KEY`, `exclude`, `include` and `axes.KEY` (a list, which replaces or adds that axis).
//!
//! A trial can build on another one of the same sweep, which then runs before it:
//! ```yaml
//! train:
//!   init: {trial: {quant.weights.method: float, train.seed: same}}      # its network as first weights
//!   distill: {teacher: {quant.weights.method: float, train.seed: same}} # its network as teacher
//! ```
//! The map says what the other trial has, `same` standing for this trial's own value, and must fit exactly one trial.
//! Either key with `null` takes back what `base` says, as the trial that comes first needs it.
//!
//! `${VAR}` in a text is the environment variable, wherever a trial that is to run uses it; `$${` stands for `${`.

use std::collections::{BTreeMap, HashSet};
use std::path::Path;
use std::sync::Arc;

use crate::config::catalog::Catalog;
use crate::config::trial::Trial;
use crate::config::trial_config::TrialConfig;
pub use crate::config::trial_config::config_yaml;
use crate::sweep::document::{self, Document};
use crate::sweep::expand;
use crate::sweep::filter;
use crate::sweep::outside::Outside;
pub use crate::sweep::paper::{PaperLayout, PaperLine, PaperValue, PublishedPlace, Shown};
use crate::sweep::resolve;
use crate::sweep::sections::Checked;
pub use crate::sweep::sections::ReportSpec;
use crate::sweep::slurm::SlurmOptions;
use crate::yaml::diagnostics::Problem;
pub use crate::yaml::diagnostics::SpecError;
use crate::yaml::node::{self, Node, Origin, Source};

/// A sweep file that was found to be right.
#[derive(Debug, Clone)]
pub struct SweepSpec {
    /// Name: the folder under `runs/`.
    pub name: String,
    /// The axes with their values as shown in tables, in the order of the file.
    pub axes: Vec<(String, Vec<String>)>,
    /// What to report.
    pub report: ReportSpec,
    /// What `--executor slurm` asks of the cluster.
    pub slurm: SlurmOptions,
    /// What the user may want to know although nothing is wrong.
    pub notes: Vec<String>,
    /// What reports call a trial, by id, where the file has a `label`.
    pub labels: BTreeMap<String, String>,
    trials: Vec<Trial>,
    trees: Vec<Node>,
}

impl SweepSpec {
    /// Reads a sweep file, applies `sets` (`key=value`), checks everything and expands the axes.
    ///
    /// # Errors
    /// Every mistake that can be found without running anything, with its place and what would be right.
    pub fn read(path: &Path, sets: &[String], catalog: &Catalog) -> Result<SweepSpec, SpecError> {
        SweepSpec::read_with(path, sets, catalog, &|name| std::env::var(name).ok())
    }

    /// As [`SweepSpec::read`], with another environment for `${VAR}`.
    ///
    /// # Errors
    /// As [`SweepSpec::read`].
    pub fn read_with(
        path: &Path,
        sets: &[String],
        catalog: &Catalog,
        env: &dyn Fn(&str) -> Option<String>,
    ) -> Result<SweepSpec, SpecError> {
        SweepSpec::read_changed(path, sets, catalog, &Outside::new(env, false), &|_| {})
    }

    /// Reads a sweep file for a trial run of the file itself: `change` goes over each configuration before its id is
    /// taken, variables of the environment that are not set and files of `train.init` that are not there are no
    /// mistakes, and the sweep's name ends in `-smoke`, so that its runs never mix with real ones.
    ///
    /// # Errors
    /// As [`SweepSpec::read`].
    pub fn read_smoke(
        path: &Path,
        sets: &[String],
        catalog: &Catalog,
        env: &dyn Fn(&str) -> Option<String>,
        change: &dyn Fn(&mut TrialConfig),
    ) -> Result<SweepSpec, SpecError> {
        // A path that leads nowhere: whoever looks for data there finds that they are absent.
        let env = |name: &str| Some(env(name).unwrap_or_else(|| format!("the-unset-variable-{name}")));
        let mut spec = SweepSpec::read_changed(path, sets, catalog, &Outside::new(&env, true), change)?;
        spec.name.push_str("-smoke");
        spec.trials.iter_mut().for_each(|trial| trial.sweep.clone_from(&spec.name));
        Ok(spec)
    }

    fn read_changed(
        path: &Path,
        sets: &[String],
        catalog: &Catalog,
        outside: &Outside<'_>,
        change: &dyn Fn(&mut TrialConfig),
    ) -> Result<SweepSpec, SpecError> {
        let mut problems = Vec::new();
        let mut document = Document::read(path, &mut problems)?;
        let mut assignments = Vec::new();
        for argument in sets {
            let (key, value) = filter::split_argument("--set", argument)?;
            match document::set(&mut document, &key, value, catalog) {
                Ok(new) => assignments.extend(new),
                Err(problem) => problems.push(problem),
            }
        }
        let checked = Checked::new(&document, assignments, path, catalog, &mut problems);
        problems.extend(resolve::check_partial(&document.base, catalog, outside));
        let Some(checked) = checked.filter(|_| problems.is_empty()) else {
            return Err(SpecError { problems: unique(problems) });
        };
        let Checked { plan, report, slurm, notes } = checked;
        let expansion = expand::expand(&plan, catalog, outside, change);
        if !expansion.problems.is_empty() {
            return Err(SpecError { problems: unique(expansion.problems) });
        }
        if expansion.trials.is_empty() {
            let origin = plan.exclude.first().map_or(&document.origin, |(entry, _)| &entry.origin);
            return Err(Problem::new(origin.clone(), "no trial is left: `exclude` removes every combination").into());
        }
        let all: Vec<&Trial> = expansion.trials.iter().map(|(trial, _)| trial).collect();
        let (unclear, empty) = report.paper.as_ref().map_or_else(Default::default, |paper| paper.check(&all));
        if !unclear.is_empty() {
            return Err(SpecError { problems: unclear });
        }
        let axes = plan.axes.iter();
        let axes = axes.map(|axis| (axis.key.name.clone(), axis.values.iter().map(|v| v.shown.clone()).collect()));
        let labels = expansion.names;
        let (trials, trees) = expansion.trials.into_iter().unzip();
        let notes = notes.into_iter().chain(expansion.notes).chain(empty).collect();
        Ok(SweepSpec { axes: axes.collect(), name: plan.name, report, slurm, notes, labels, trials, trees })
    }

    /// These trials and all that they build on, in the order of the file.
    #[must_use]
    pub fn with_needs(&self, wanted: impl Fn(&Trial) -> bool) -> Vec<Trial> {
        let mut ids: HashSet<&str> = HashSet::new();
        let mut open: Vec<&Trial> = self.trials.iter().filter(|trial| wanted(trial)).collect();
        while let Some(trial) = open.pop() {
            if ids.insert(&trial.id) {
                let needs: HashSet<&str> = trial.config.train.needs().collect();
                open.extend(self.trials.iter().filter(|other| needs.contains(other.id.as_str())));
            }
        }
        self.trials.iter().filter(|trial| ids.contains(trial.id.as_str())).cloned().collect()
    }

    /// Every trial once, in the order of the file: axes in their order, the last one fastest, then `include`.
    #[must_use]
    pub fn trials(&self) -> &[Trial] {
        &self.trials
    }

    /// Where a dotted key of a trial was given, `sweep.yaml:12:5`, or the nearest enclosing key.
    #[must_use]
    pub fn place(&self, trial: &Trial, key: &str) -> Option<String> {
        let index = self.trials.iter().position(|t| t.id == trial.id)?;
        Some(innermost(self.trees.get(index)?, key).origin.to_string())
    }

    /// An error at the place where a dotted key of a trial was given, for mistakes that only others can find (a
    /// folder that does not exist, a model too small for a data set). Falls back to the nearest enclosing key.
    #[must_use]
    pub fn error_at(&self, trial: &Trial, key: &str, message: &str, hint: Option<&str>) -> SpecError {
        let tree = self.trials.iter().position(|t| t.id == trial.id).and_then(|index| self.trees.get(index));
        let Some(tree) = tree else {
            let source = Source { name: self.name.clone(), text: String::new(), is_file: true };
            return Problem::new(Origin::whole(&Arc::new(source)), message).into();
        };
        let problem = Problem::new(innermost(tree, key).origin.clone(), message);
        match hint {
            Some(hint) => problem.hint(hint),
            None => problem,
        }
        .into()
    }
}

/// The node of a dotted key, or of the longest beginning of it that is there. Names of layers may contain dots.
fn innermost<'a>(tree: &'a Node, key: &str) -> &'a Node {
    let begins = |name: &str| key == name || key.strip_prefix(name).is_some_and(|rest| rest.starts_with('.'));
    let inner = tree.pairs().into_iter().flatten().filter(|(name, _)| begins(&name.name));
    match inner.max_by_key(|(name, _)| name.name.len()) {
        Some((name, node)) => innermost(node, key.get(name.name.len() + 1..).unwrap_or_default()),
        None => tree,
    }
}

/// Reads a resolved configuration back, as the store writes it (`config.yaml`). Nothing is expanded in it.
///
/// # Errors
/// As [`SweepSpec::read`].
pub fn read_config(path: &Path, catalog: &Catalog) -> Result<TrialConfig, SpecError> {
    let name = path.display().to_string();
    parse_config(&name, &document::load(path, &document::file_origin(path))?, catalog)
}

/// As [`read_config`], from memory; `name` is what errors call the text.
///
/// # Errors
/// As [`SweepSpec::read`].
pub fn parse_config(name: &str, bytes: &[u8], catalog: &Catalog) -> Result<TrialConfig, SpecError> {
    let tree = node::parse(name, bytes)?;
    let resolved = resolve::resolve(&tree, catalog, None);
    match resolved.config {
        Some(config) => Ok(config),
        None => Err(SpecError { problems: resolved.problems }),
    }
}

fn unique(problems: Vec<Problem>) -> Vec<Problem> {
    let mut unique: Vec<Problem> = Vec::new();
    for problem in problems {
        if !unique.iter().any(|known| known.origin == problem.origin && known.message == problem.message) {
            unique.push(problem);
        }
    }
    unique
}
