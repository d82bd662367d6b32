//! The figures of a report, by name. Adding one: a file with a [`Figure`] in it, and its line in [`FIGURES`].

mod accuracy_grid;
pub(crate) mod accuracy_vs_bits;
mod configs;
mod epochs;
mod groups;
mod kernel_speed;
mod layers;
mod looks;
pub(crate) mod measure;
mod over_training;
mod pareto;
pub(crate) mod questions;
mod ranking;
mod roofline;
mod sensitivity;
mod speed_vs_bits;
#[cfg(test)]
mod tests;
mod titles;
mod training_curves;

use crate::error::ReportError;
use crate::plot::canvas::Canvas;
use crate::plot::chart::Plot;
use crate::plot::theme::Theme;
use crate::sheet::Data;
use crate::trials::Trials;

/// A figure, found by name.
pub(crate) trait Figure: Sync {
    /// Name in sweep files, also of its files.
    fn name(&self) -> &'static str;

    /// Heading.
    fn title(&self) -> &'static str;

    /// The figure of these trials.
    fn draw(&self, trials: &Trials, theme: &Theme) -> Result<Drawn, ReportError>;
}

/// What came of drawing a figure.
#[derive(Debug)]
pub(crate) enum Drawn {
    /// A picture.
    Picture(Picture),
    /// These trials have nothing to show in it: why, in a sentence.
    Nothing(String),
}

/// A figure with all that goes with it.
#[derive(Debug)]
pub(crate) struct Picture {
    /// The drawing, a canvas for each page.
    pub(crate) pages: Vec<Canvas>,
    /// Everything that is in the drawing, and what did not fit into it.
    pub(crate) data: Data,
    /// What is shown, for the text below it and for those who cannot see it.
    pub(crate) caption: String,
}

/// All figures.
pub(crate) static FIGURES: &[&dyn Figure] = &[
    &accuracy_vs_bits::AccuracyVsBits,
    &accuracy_grid::AccuracyGrid,
    &ranking::Ranking,
    &sensitivity::Sensitivity,
    &pareto::AccuracyVsBitOps,
    &pareto::AccuracyVsKernelTime,
    &training_curves::TrainingCurves,
    &layers::WeightHistograms,
    &layers::LayerError,
    &over_training::CodePopulations,
    &over_training::StochasticPortion,
    &kernel_speed::KernelSpeed,
    &speed_vs_bits::SpeedVsBits,
    &roofline::Roofline,
];

/// Those that need no trial.
pub(crate) static OF_KERNELS: &[&dyn Figure] =
    &[&kernel_speed::KernelSpeed, &speed_vs_bits::SpeedVsBits, &roofline::Roofline];

/// Panels of figures that look into trials one by one, at most: four pages. There is far more in the records.
pub(crate) const MOST_PANELS: usize = 32;

/// So many panels as a figure of single trials can hold, and a sentence on those left out.
fn most_panels(mut panels: Vec<Plot>) -> (Vec<Plot>, String) {
    let hidden = panels.len().saturating_sub(MOST_PANELS);
    panels.truncate(MOST_PANELS);
    let sentence = if hidden == 0 { String::new() } else { format!(" {hidden} more panels are in the data only.") };
    (panels, sentence)
}

/// The figure of a name.
pub(crate) fn find(name: &str) -> Result<&'static dyn Figure, ReportError> {
    FIGURES.iter().copied().find(|figure| figure.name() == name).ok_or_else(|| ReportError::UnknownFigure {
        name: name.to_owned(),
        expected: FIGURES.iter().map(|figure| figure.name()).collect(),
    })
}
