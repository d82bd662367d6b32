//! Trials that build on other trials of the same sweep: on their networks as first weights, or as teachers.
//!
//! A sweep file says what the other trial has, `{quant.weights.method: float, train.seed: same}`, and exactly one
//! trial must have all of it; `same` stands for the value of the trial that asks. The id of the other trial then
//! stands in the resolved configuration, and so goes into the id of the one that builds on it.

use serde_json::Value as Json;

use crate::config::trial_config::{Init, TrialConfig};
use crate::sweep::filter::{Filter, SAME};
use crate::yaml::diagnostics::Problem;
use crate::yaml::origin::Origin;

/// Labels of trials that a message lists at most.
const LISTED: usize = 4;

/// Where in a configuration the id of another trial belongs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Place {
    Init,
    Teacher,
}

impl Place {
    pub(crate) fn key(self) -> &'static str {
        match self {
            Place::Init => "train.init.trial",
            Place::Teacher => "train.distill.teacher",
        }
    }

    fn put(self, config: &mut TrialConfig, id: &str) {
        match self {
            Place::Init => config.train.init = Some(Init::Trial(id.to_owned())),
            Place::Teacher => {
                if let Some(distill) = &mut config.train.distill {
                    distill.teacher = id.to_owned();
                }
            }
        }
    }
}

/// Another trial, as a sweep file asks for it.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Reference {
    pub(crate) place: Place,
    pub(crate) wanted: Filter,
    pub(crate) origin: Origin,
}

/// A trial whose references are not found yet.
pub(crate) struct Unlinked {
    pub(crate) config: TrialConfig,
    pub(crate) references: Vec<Reference>,
    pub(crate) label: String,
}

/// Finds what every trial refers to, puts the ids into the configurations and returns the id of each trial; `None`
/// for a trial with a problem.
pub(crate) fn link(
    trials: &mut [Unlinked],
    id_of: &dyn Fn(&TrialConfig) -> String,
    problems: &mut Vec<Problem>,
) -> Vec<Option<String>> {
    let jsons = if trials.iter().any(|trial| !trial.references.is_empty()) {
        trials.iter().map(|trial| serde_json::to_value(&trial.config).unwrap_or_default()).collect()
    } else {
        Vec::new()
    };
    let mut linker = Linker { states: vec![State::Unseen; trials.len()], trials, jsons, id_of, problems };
    (0..linker.trials.len()).map(|index| linker.id(index)).collect()
}

#[derive(Clone)]
enum State {
    Unseen,
    /// Its own references are being looked for.
    Open,
    /// Its id, unless something is wrong with it.
    Done(Option<String>),
}

struct Linker<'a> {
    trials: &'a mut [Unlinked],
    /// The configurations as they were before any id was put in; none where nothing is referred to.
    jsons: Vec<Json>,
    states: Vec<State>,
    id_of: &'a dyn Fn(&TrialConfig) -> String,
    problems: &'a mut Vec<Problem>,
}

impl Linker<'_> {
    fn id(&mut self, index: usize) -> Option<String> {
        match &self.states[index] {
            State::Done(id) => return id.clone(),
            State::Open => return None,
            State::Unseen => self.states[index] = State::Open,
        }
        let mut fine = true;
        for reference in self.trials[index].references.clone() {
            match self.find(index, &reference) {
                Ok(Some(id)) => reference.place.put(&mut self.trials[index].config, &id),
                // What it refers to has a problem of its own, which is reported there.
                Ok(None) => fine = false,
                Err(problem) => {
                    self.problems.push(problem);
                    fine = false;
                }
            }
        }
        let id = fine.then(|| (self.id_of)(&self.trials[index].config));
        self.states[index] = State::Done(id.clone());
        id
    }

    /// The id of the one trial that fits.
    fn find(&mut self, asking: usize, reference: &Reference) -> Result<Option<String>, Problem> {
        let key = reference.place.key();
        let problem = |message: String| Problem::new(reference.origin.clone(), message);
        let fits = |&other: &usize| {
            other != asking && reference.wanted.matches_beside(&self.jsons[other], &self.jsons[asking])
        };
        let fitting: Vec<usize> = (0..self.trials.len()).filter(fits).collect();
        let parent = key.rsplit_once('.').map_or(key, |(parent, _)| parent);
        if let Some(circle) = fitting.iter().find(|&&other| matches!(self.states[other], State::Open)) {
            let labels = (&self.trials[asking].label, &self.trials[*circle].label);
            let message = format!("`{key}` makes a circle: `{}` and `{}` need each other", labels.0, labels.1);
            return Err(problem(message).hint(format!("give the trial that comes first `{parent}: null`")));
        }
        let mut found: Vec<(String, usize)> = Vec::new();
        for &other in &fitting {
            let Some(id) = self.id(other) else { return Ok(None) };
            // The same trial may come out of several combinations.
            if found.iter().all(|(known, _)| *known != id) {
                found.push((id, other));
            }
        }
        match found.as_slice() {
            [(id, _)] => Ok(Some(id.clone())),
            [] => {
                let label = &self.trials[asking].label;
                let message = format!("`{key}` of the trial `{label}` fits no other trial of the sweep");
                let itself = reference.wanted.matches_beside(&self.jsons[asking], &self.jsons[asking]);
                Err(problem(message).hint(if itself {
                    format!("it fits that trial itself: give it `{parent}: null`")
                } else {
                    "a trial that others build on is one of the sweep's own: a value of an axis, or an entry of `include`"
                        .to_owned()
                }))
            }
            several => {
                let labels: Vec<String> =
                    several.iter().take(LISTED).map(|(_, i)| format!("`{}`", self.trials[*i].label)).collect();
                let more = if several.len() > LISTED { ", ..." } else { "" };
                let (count, labels) = (several.len(), labels.join(", "));
                let message = format!("`{key}` fits {count} trials, {labels}{more}, expected one");
                Err(problem(message).hint(format!(
                    "say more of it; `train.seed: {SAME}` is the one with the seed of the trial that asks"
                )))
            }
        }
    }
}
