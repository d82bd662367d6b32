//! Records as a data frame: one row a trial, one typed column a fact that configurations are told apart by or summed up
//! in.

use harness_records::record::{Role, RunRecord, Status};
use polars::prelude::{
    Column, DataFrame, Float64Chunked, GroupsIndicator, NamedFrom, PolarsError, Series, StringChunked, UInt32Chunked,
    UInt64Chunked,
};

use crate::bit_widths::width;
use crate::error::ReportError;
use crate::labels::Labels;

/// Trials as columns. Names and types:
///
/// * text: `dataset`, `model`, `setting`, `float_setting`, `method`, `weight_method`, `activation_method`,
///   `gradient_method` (labels, see [`Labels`])
/// * whole numbers: `weight_width`, `activation_width`, `gradient_width` (bits, full precision as 32), `is_float` (0
///   or 1), `seed`
/// * numbers, absent where there is none or it is not finite: `top1`, `top5` (fractions), `perplexity`,
///   `effective_weight_bits`, `effective_activation_bits` (mean over quantized layers)
///
/// Metrics of trials that did not end well are absent: those networks are not finished.
#[derive(Debug)]
pub(crate) struct Frame(DataFrame);

impl From<PolarsError> for ReportError {
    fn from(error: PolarsError) -> ReportError {
        ReportError::Build { what: "the frame of trials", reason: error.to_string() }
    }
}

impl Frame {
    /// One row a record, in their order.
    ///
    /// # Errors
    /// Only if this module contradicts itself: columns of different lengths or the same name.
    pub(crate) fn new(records: &[RunRecord], labels: &Labels) -> Result<Frame, ReportError> {
        let text = |name: &str, of: &dyn Fn(&RunRecord) -> String| {
            let values: Vec<String> = records.iter().map(of).collect();
            Column::from(Series::new(name.into(), values))
        };
        let bits = |name: &str, of: &dyn Fn(&RunRecord) -> u32| {
            let values: Vec<u32> = records.iter().map(of).collect();
            Column::from(Series::new(name.into(), values))
        };
        let whole = |name: &str, of: &dyn Fn(&RunRecord) -> u64| {
            let values: Vec<u64> = records.iter().map(of).collect();
            Column::from(Series::new(name.into(), values))
        };
        let number = |name: &str, of: &dyn Fn(&RunRecord) -> Option<f64>| {
            let values: Vec<Option<f64>> = records.iter().map(|r| of(r).filter(|v| v.is_finite())).collect();
            Column::from(Series::new(name.into(), values))
        };
        let metrics = |record: &RunRecord| record.metrics.clone().filter(|_| record.status == Status::Ok);
        let columns = vec![
            text("dataset", &|r| labels.dataset(&r.config)),
            text("model", &|r| labels.model(&r.config)),
            text("setting", &|r| labels.setting(&r.config)),
            text("float_setting", &|r| labels.float_setting(&r.config)),
            text("method", &|r| labels.quant(&r.config.quant)),
            text("weight_method", &|r| labels.method(&r.config.quant.weights)),
            bits("weight_width", &|r| width(&r.config.quant.weights)),
            text("activation_method", &|r| labels.method(&r.config.quant.activations)),
            bits("activation_width", &|r| width(&r.config.quant.activations)),
            text("gradient_method", &|r| labels.method(&r.config.quant.gradients)),
            bits("gradient_width", &|r| width(&r.config.quant.gradients)),
            bits("is_float", &|r| u32::from(r.config.quant.is_float())),
            whole("seed", &|r| r.seed),
            number("top1", &|r| metrics(r)?.top1),
            number("top5", &|r| metrics(r)?.top5),
            number("perplexity", &|r| metrics(r)?.perplexity),
            number("effective_weight_bits", &|r| effective_bits(r, Role::Weight)),
            number("effective_activation_bits", &|r| effective_bits(r, Role::Activation)),
        ];
        Ok(Frame(DataFrame::new(records.len(), columns)?))
    }

    /// A text column.
    pub(crate) fn text(&self, name: &str) -> Result<&StringChunked, ReportError> {
        Ok(self.0.column(name)?.str()?)
    }

    /// A column of bit widths.
    pub(crate) fn bits(&self, name: &str) -> Result<&UInt32Chunked, ReportError> {
        Ok(self.0.column(name)?.u32()?)
    }

    /// A column of whole numbers.
    pub(crate) fn whole(&self, name: &str) -> Result<&UInt64Chunked, ReportError> {
        Ok(self.0.column(name)?.u64()?)
    }

    /// A column of numbers.
    pub(crate) fn number(&self, name: &str) -> Result<&Float64Chunked, ReportError> {
        Ok(self.0.column(name)?.f64()?)
    }

    /// Rows that agree in all columns `by`, in the order of their first row.
    pub(crate) fn groups(&self, by: &[&str]) -> Result<Vec<Vec<usize>>, ReportError> {
        let groups = self.0.group_by_stable(by.iter().copied())?.into_groups();
        let rows = |group: GroupsIndicator| match group {
            GroupsIndicator::Idx((_, rows)) => rows.iter().map(|&row| row as usize).collect(),
            GroupsIndicator::Slice([first, len]) => (first as usize..(first + len) as usize).collect(),
        };
        Ok(groups.iter().map(rows).collect())
    }
}

/// The name in records, tables and summaries.
pub(crate) fn status_name(status: Status) -> &'static str {
    match status {
        Status::Ok => "ok",
        Status::Diverged => "diverged",
        Status::Failed => "failed",
    }
}

/// Mean over the quantized layers of one role; `None` where none is quantized.
fn effective_bits(record: &RunRecord, role: Role) -> Option<f64> {
    let (mut sum, mut count) = (0.0, 0u32);
    for layer in record.layers.iter().filter(|layer| layer.role == role) {
        sum += layer.effective_bits;
        count += 1;
    }
    (count > 0).then(|| sum / f64::from(count))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::samples::{method, record};
    use harness_records::catalog::Catalog;
    use harness_records::record::FailureClass;
    use std::collections::BTreeMap;

    #[test]
    fn columns_hold_what_the_records_say() {
        let records = [
            record()
                .weights(method("dorefa", 2, &[]))
                .effective_bits(&[(Role::Weight, 1.5), (Role::Weight, 2.0)])
                .build(),
            record().seed(4).top1(f64::NAN).build(),
            record().seed(5).top1(0.5).edit(|r| r.status = Status::Diverged).build(),
            record().seed(6).ended(Status::Failed, FailureClass::Oom, "out of memory").build(),
        ];
        let frame = Frame::new(&records, &Labels::new(&records, &Catalog::default(), &BTreeMap::new())).unwrap();
        let collect = |name: &str| frame.number(name).unwrap().iter().collect::<Vec<_>>();
        assert_eq!(collect("top1"), [Some(0.975), None, None, None]);
        assert_eq!(collect("effective_weight_bits"), [Some(1.75), None, None, None]);
        assert_eq!(collect("effective_activation_bits"), [None; 4]);
        assert_eq!(frame.bits("weight_width").unwrap().iter().collect::<Vec<_>>(), [2, 32, 32, 32].map(Some));
        assert_eq!(frame.whole("seed").unwrap().iter().collect::<Vec<_>>(), [0, 4, 5, 6].map(Some));
        assert_eq!(frame.text("weight_method").unwrap().get(0), Some("dorefa"));
        assert!(frame.text("no such column").is_err());
    }

    #[test]
    fn groups_are_the_rows_that_agree() {
        let records: Vec<RunRecord> = (0..40u64)
            .map(|seed| {
                let bits = u8::try_from(1 + seed % 3).unwrap();
                record().weights(method(if seed % 2 == 0 { "a" } else { "b" }, bits, &[])).seed(seed).build()
            })
            .collect();
        let frame = Frame::new(&records, &Labels::new(&records, &Catalog::default(), &BTreeMap::new())).unwrap();
        let groups = frame.groups(&["weight_method", "weight_width"]).unwrap();
        assert_eq!(groups.len(), 6);
        for (first, group) in groups.iter().enumerate() {
            assert_eq!(*group, (0..40).filter(|row| row % 6 == first).collect::<Vec<_>>());
        }
    }
}
