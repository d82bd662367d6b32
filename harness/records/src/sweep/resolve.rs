//! A tree of keys and values made into a [`TrialConfig`]: every key known, every type and range right, every
//! default filled in. All mistakes are collected, not only the first.

mod layers;
mod plugs;
mod resolver;
mod training;

use crate::config::catalog::Catalog;
use crate::config::trial_config::TrialConfig;
use crate::sweep::dependency::Reference;
use crate::sweep::outside::Outside;
use crate::sweep::resolve::resolver::Resolver;
use crate::yaml::diagnostics::Problem;
use crate::yaml::node::Node;

/// What became of one tree.
pub(crate) struct Resolved {
    /// The configuration; `None` when there are problems, or an unset variable hides what is meant. To be used only
    /// to match `exclude` as long as `unset` is not empty.
    pub(crate) config: Option<TrialConfig>,
    /// Mistakes.
    pub(crate) problems: Vec<Problem>,
    /// Unset variables: a mistake only if the trial is really to run.
    pub(crate) unset: Vec<Problem>,
    /// Other trials of the sweep that this one builds on; until they are found, the configuration has an empty id or
    /// nothing in their places.
    pub(crate) references: Vec<Reference>,
}

/// Resolves a complete tree. `outside` expands `${VAR}` in text and reads files; without it the tree is a resolved
/// configuration that was written down: text stays as it is, and other trials are named by their ids.
pub(crate) fn resolve(tree: &Node, catalog: &Catalog, outside: Option<&Outside<'_>>) -> Resolved {
    let mut resolver = Resolver::new(catalog, outside, false);
    let config = resolver.config(tree).filter(|_| resolver.problems.is_empty());
    let Resolver { problems, unset, references, .. } = resolver;
    Resolved { config, problems, unset, references }
}

/// The mistakes of a tree that axes will still complete: what is absent is not one of them.
pub(crate) fn check_partial(tree: &Node, catalog: &Catalog, outside: &Outside<'_>) -> Vec<Problem> {
    let mut resolver = Resolver::new(catalog, Some(outside), true);
    resolver.config(tree);
    resolver.problems
}

impl<'a> Resolver<'a> {
    fn config(&mut self, tree: &'a Node) -> Option<TrialConfig> {
        let pairs = self.map(tree, "", "a map with `dataset`, `model`, `train` and `quant`")?;
        self.known_keys(pairs, "", &["dataset", "model", "train", "quant"]);
        let dataset = self.dataset(tree);
        let model = self.model(tree);
        let train = self.train(tree);
        let quant = self.quant(tree);
        Some(TrialConfig { dataset: dataset?, model: model?, train: train?, quant: quant? })
    }
}
