//! Which trials of which sweep file, and where their runs are: what `sweep`, `status` and `cancel` have in common.

use std::cell::RefCell;
use std::collections::BTreeSet;
use std::path::PathBuf;
use std::time::Duration;

use clap::Args;
use harness_engine::smoke;
use harness_records::catalog::Catalog;
use harness_records::filter::Filter;
use harness_records::spec::SweepSpec;
use harness_records::store::Store;
use harness_records::trial::Trial;

use crate::exit::{Stop, refuse};
use crate::output::talk;
use crate::rules::parse_time;

#[derive(Debug, Args)]
pub(crate) struct SelectionArguments {
    /// The sweep file
    pub(crate) file: PathBuf,
    /// Override a key in every trial (repeatable)
    #[arg(long = "set", value_name = "KEY=VALUE")]
    pub(crate) sets: Vec<String>,
    /// Keep only trials whose configuration has this value (repeatable: all must hold)
    #[arg(long = "filter", value_name = "KEY=VALUE")]
    filters: Vec<String>,
    /// Keep only the trial with this id, as shown by `sweep --dry-run` (repeatable: any of them)
    #[arg(long, value_name = "ID")]
    only: Vec<String>,
    /// Folder of the runs
    #[arg(long, default_value = "runs")]
    pub(crate) runs: PathBuf,
    /// A process on another machine that has shown no sign of life for this time counts as dead, and its trial may be
    /// taken over
    #[arg(long, value_name = "TIME", default_value = "120s", value_parser = parse_time)]
    stale_after: Duration,
}

impl SelectionArguments {
    /// The store of the runs.
    pub(crate) fn store(&self) -> Store {
        Store::with_stale_after(&self.runs, self.stale_after)
    }

    /// The sweep file, as it is or made small, with `more` settings of the same form as `--set` over it.
    pub(crate) fn read(&self, more: &[String], is_smoke: bool, catalog: &Catalog) -> Result<SweepSpec, Stop> {
        let sets: Vec<String> = self.sets.iter().chain(more).cloned().collect();
        let (file, sets) = (&self.file, &sets);
        if !is_smoke {
            return SweepSpec::read(file, sets, catalog).map_err(refuse);
        }
        let given: Vec<&str> = sets.iter().map(|set| set.split('=').next().unwrap_or_default().trim()).collect();
        let made_up = RefCell::new(BTreeSet::new());
        let spec = SweepSpec::read_smoke(file, sets, catalog, &|name| std::env::var(name).ok(), &|config| {
            made_up.borrow_mut().extend(smoke::shrink(config, &given));
        });
        let spec = spec.map_err(refuse)?;
        // Also with --quiet: nobody may take these numbers for results.
        talk(format_args!("SMOKE RUN of {}: one epoch of a few samples, its numbers mean nothing", file.display()));
        for line in made_up.into_inner() {
            talk(line);
        }
        Ok(spec)
    }

    /// The trials that pass every filter, with those they build on.
    pub(crate) fn trials(&self, spec: &SweepSpec, catalog: &Catalog) -> Result<Vec<Trial>, Stop> {
        let filters = self.filters.iter().map(|filter| Filter::parse(filter, catalog));
        let filters = filters.collect::<Result<Vec<_>, _>>().map_err(refuse)?;
        if let Some(id) = self.only.iter().find(|id| spec.trials().iter().all(|trial| trial.id != **id)) {
            return Err(refuse(format!("--only {id}: the sweep has no trial of this id, --dry-run lists them")));
        }
        let trials = spec.with_needs(|trial| {
            (self.only.is_empty() || self.only.contains(&trial.id))
                && filters.iter().all(|filter| filter.matches(&trial.config))
        });
        if trials.is_empty() {
            return Err(refuse("no trial of the sweep passes every --filter (and --only)"));
        }
        Ok(trials)
    }
}
