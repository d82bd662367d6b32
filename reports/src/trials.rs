//! The trials of a report: each once, in an order of their own, as records and as a frame.

use std::cell::OnceCell;
use std::collections::BTreeMap;

use harness_records::catalog::Catalog;
use harness_records::record::{RunRecord, Status};
use harness_records::spec::PaperLayout;

use crate::Verified;
use crate::accuracy::{self, Row};
use crate::bit_widths;
use crate::error::ReportError;
use crate::frames::Frame;
use crate::kernels::Kernels;
use crate::labels::Labels;

/// What tables and figures are made from.
#[derive(Debug)]
pub(crate) struct Trials {
    /// Sorted by seed, then id: the same records give the same report in whatever order they were read.
    pub(crate) records: Vec<RunRecord>,
    /// Names for their configurations.
    pub(crate) labels: Labels,
    /// Everything that a sweep file can name, with its options.
    pub(crate) catalog: Catalog,
    /// The same trials as columns, row by row.
    pub(crate) frame: Frame,
    /// One sentence for each trial that was recorded more than once.
    pub(crate) repeated: Vec<String>,
    /// Kernel speeds, where they are known.
    pub(crate) kernels: Option<Kernels>,
    /// How many were run again, and came out the same.
    pub(crate) verified: Verified,
    /// Rows and columns of the table of results, where the sweep file gives them.
    pub(crate) paper: Option<PaperLayout>,
    /// Configurations, once somebody asked for them.
    rows: OnceCell<Vec<Row>>,
}

impl Trials {
    /// A trial recorded more than once (two sweeps that share it) counts once: the one that ended well, otherwise the
    /// one that finished last.
    ///
    /// # Errors
    /// [`ReportError::NoRecords`], or a frame that cannot be built.
    #[cfg(test)]
    pub(crate) fn new(records: &[RunRecord], problems: &[String]) -> Result<Trials, ReportError> {
        Trials::named(records, problems, &Catalog::default(), &BTreeMap::new())
    }

    /// As [`Trials::new`], with what names are made from: `catalog` knows the defaults of options, `given` holds names
    /// from the sweep file, by trial.
    pub(crate) fn named(
        records: &[RunRecord],
        problems: &[String],
        catalog: &Catalog,
        given: &BTreeMap<String, String>,
    ) -> Result<Trials, ReportError> {
        if records.is_empty() {
            return Err(ReportError::NoRecords { problems: problems.to_vec() });
        }
        let mut by_id: BTreeMap<&str, Vec<&RunRecord>> = BTreeMap::new();
        for record in records {
            by_id.entry(&record.id).or_default().push(record);
        }
        let mut repeated = Vec::new();
        let mut kept = Vec::with_capacity(by_id.len());
        for (id, mut same) in by_id {
            same.sort_by_key(|record| (record.status == Status::Ok, record.time.finished));
            if same.len() > 1 {
                let sweeps: Vec<&str> = same.iter().map(|record| record.sweep.as_str()).collect();
                repeated.push(format!(
                    "trial {id} is recorded {} times (sweeps {}): the record of sweep {} is used",
                    same.len(),
                    sweeps.join(", "),
                    sweeps[sweeps.len() - 1],
                ));
            }
            kept.extend(same.pop().cloned());
        }
        kept.sort_by(|a, b| (a.seed, &a.id).cmp(&(b.seed, &b.id)));
        let labels = Labels::new(&kept, catalog, given);
        let frame = Frame::new(&kept, &labels)?;
        let (catalog, verified, rows) = (catalog.clone(), Verified::default(), OnceCell::new());
        Ok(Trials { records: kept, labels, catalog, frame, repeated, kernels: None, verified, paper: None, rows })
    }

    /// With what is known of trials that were run again.
    pub(crate) fn with_verified(self, verified: Verified) -> Trials {
        Trials { verified, ..self }
    }

    /// With rows and columns for the table of results.
    pub(crate) fn with_paper(self, paper: Option<PaperLayout>) -> Trials {
        Trials { paper, ..self }
    }

    /// No trials, kernel speeds alone.
    ///
    /// # Errors
    /// A frame that cannot be built.
    pub(crate) fn of_kernels(kernels: Kernels) -> Result<Trials, ReportError> {
        let labels = Labels::new(&[], &Catalog::default(), &BTreeMap::new());
        let frame = Frame::new(&[], &labels)?;
        let (records, repeated, catalog) = (Vec::new(), Vec::new(), Catalog::default());
        let (verified, rows, kernels) = (Verified::default(), OnceCell::new(), Some(kernels));
        Ok(Trials { records, labels, catalog, frame, repeated, kernels, verified, paper: None, rows })
    }

    /// The same with kernel speeds.
    pub(crate) fn with_kernels(self, kernels: Option<Kernels>) -> Trials {
        Trials { kernels, ..self }
    }

    /// One row a configuration, see [`accuracy::rows`]. Most tables and figures start from them.
    pub(crate) fn rows(&self) -> Result<&[Row], ReportError> {
        if self.rows.get().is_none() {
            let rows = accuracy::rows(&self.frame, &self.records)?;
            return Ok(self.rows.get_or_init(|| rows));
        }
        Ok(self.rows.get().map_or(&[], Vec::as_slice))
    }

    /// How many ended in a way.
    pub(crate) fn count(&self, status: Status) -> usize {
        self.records.iter().filter(|record| record.status == status).count()
    }

    /// A trial in words: `digits, lenet, dorefa 2/32, seed 1 (0123456789abcdef)`.
    pub(crate) fn name(&self, record: &RunRecord) -> String {
        let config = &record.config;
        let mut parts = vec![self.labels.dataset(config), self.labels.model(config)];
        parts.extend(Some(self.labels.setting(config)).filter(|setting| !setting.is_empty()));
        parts.push(match config.quant.is_float() {
            true => self.labels.quant(&config.quant),
            false => format!(
                "{} {}",
                self.labels.quant(&config.quant),
                bit_widths::in_words(bit_widths::widths(&config.quant))
            ),
        });
        parts.push(format!("seed {}", record.seed));
        format!("{} ({})", parts.join(", "), record.id)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::samples::{method, record};
    use harness_records::record::FailureClass;

    #[test]
    fn a_trial_recorded_twice_counts_once() {
        let first = record().edit(|r| r.time.finished = 1).build();
        let later = record().edit(|r| (r.sweep, r.time.finished) = ("again".to_owned(), 2)).build();
        let failed =
            record().ended(Status::Failed, FailureClass::Crash, "killed").edit(|r| r.time.finished = 3).build();
        let trials = Trials::new(&[failed, later.clone(), first], &[]).unwrap();
        assert_eq!(trials.records, [later]);
        assert_eq!(trials.repeated.len(), 1);
        assert!(trials.repeated[0].ends_with("the record of sweep again is used"), "{:?}", trials.repeated);
    }

    #[test]
    fn names_say_which_trial() {
        let check = |record: RunRecord, expected: &str| {
            let trials = Trials::new(std::slice::from_ref(&record), &[]).unwrap();
            assert_eq!(trials.name(&record), format!("{expected} ({})", record.id));
        };
        let dorefa = |bits| method("dorefa", bits, &[]);
        check(record().build(), "digits, lenet, float, seed 0");
        check(record().weights(dorefa(2)).seed(3).build(), "digits, lenet, dorefa 2/32, seed 3");
        check(record().quant(dorefa(1), dorefa(2), dorefa(6)).build(), "digits, lenet, dorefa 1/2/6, seed 0");
    }
}
