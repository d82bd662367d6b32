//! The run of the kernel bench that a report was given.

use crate::error::ReportError;
use crate::kernels::Cell;
use crate::numbers::two_decimals;
use crate::sheet::{Align, Data, Grid, Sheet, Value};
use crate::tables::Table;
use crate::trials::Trials;

/// `kernels`.
pub(crate) struct KernelTable;

impl Table for KernelTable {
    fn name(&self) -> &'static str {
        "kernels"
    }

    fn title(&self) -> &'static str {
        "Kernel speed"
    }

    fn build(&self, trials: &Trials) -> Result<Sheet, ReportError> {
        let (cells, place) = match &trials.kernels {
            Some(kernels) => (kernels.all.as_slice(), kernels.place()),
            None => (&[][..], String::new()),
        };
        Ok(Sheet { grid: grid(cells, &place), data: data(cells) })
    }
}

fn grid(cells: &[Cell], place: &str) -> Grid {
    let left = |title: &str| (title.to_owned(), Align::Left);
    let right = |title: &str| (title.to_owned(), Align::Right);
    let columns = vec![
        left("Shape"),
        left("Bits"),
        left("Route"),
        right("Time (µs)"),
        right("GOP/s"),
        right("× f32"),
        right("× int8"),
        right("Of limit (%)"),
        left("Limit"),
        right("Packing (%)"),
    ];
    let shown = |value: Option<f64>| value.map_or_else(|| "–".to_owned(), two_decimals);
    let whole = |value: Option<f64>| value.map_or_else(|| "–".to_owned(), |value| format!("{value:.0}"));
    let cells = cells.iter().map(|cell| {
        let noisy = if cell.noisy { "*" } else { "" };
        vec![
            cell.shape.clone(),
            cell.bits.clone(),
            cell.route.clone(),
            cell.seconds.map_or_else(|| "–".to_owned(), |seconds| format!("{:.1}{noisy}", 1e6 * seconds)),
            whole(cell.gops),
            shown(cell.ratio_f32),
            shown(cell.ratio_int8),
            whole(cell.fraction_of_limit.map(|part| 100.0 * part)),
            cell.bound.clone(),
            whole(cell.packing_share.map(|part| 100.0 * part)),
        ]
    });
    let rows: Vec<Vec<String>> = cells.collect();
    let notes = match rows.is_empty() {
        true => vec!["No kernel speeds were given (`--bench FILE`).".to_owned()],
        false => vec![
            format!(
                "Time and GOP/s: medians, on packed activations{place}. × f32, × int8: speed against the fastest form of \
                 libtorch in the same run, quantizing and packing included on our side. Limit: the rate of the route's \
                 innermost instructions alone, or of reading the weights (memory). Packing: its share of both."
            ),
            "* The middle half of the times is more than 10 % apart.".to_owned(),
        ],
    };
    Grid { columns, rows, notes }
}

fn data(cells: &[Cell]) -> Data {
    let columns = vec![
        "shape",
        "bits",
        "weight_bits",
        "activation_bits",
        "route",
        "time_s",
        "gops",
        "ratio_f32",
        "ratio_int8",
        "fraction_of_limit",
        "bound",
        "limit_gops",
        "packing_share",
        "intensity",
        "noisy",
    ];
    let row = |cell: &Cell| {
        vec![
            Value::from(&*cell.shape),
            Value::from(&*cell.bits),
            cell.weight_bits.into(),
            cell.activation_bits.into(),
            Value::from(&*cell.route),
            cell.seconds.into(),
            cell.gops.into(),
            cell.ratio_f32.into(),
            cell.ratio_int8.into(),
            cell.fraction_of_limit.into(),
            Value::from(&*cell.bound),
            cell.limit_gops.into(),
            cell.packing_share.into(),
            cell.intensity.into(),
            if cell.noisy { "true" } else { "false" }.into(),
        ]
    };
    Data { columns, rows: cells.iter().map(row).collect() }
}
