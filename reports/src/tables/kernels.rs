//! The run of the kernel bench that a report was given.

use harness_records::bench_report::KernelResult;

use crate::error::ReportError;
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
            Some(kernels) => (kernels.all(), kernels.place()),
            None => (&[][..], String::new()),
        };
        Ok(Sheet { grid: grid(cells, &place), data: data(cells) })
    }
}

fn grid(cells: &[KernelResult], place: &str) -> Grid {
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
    let whole = |value: f64| format!("{value:.0}");
    let cells = cells.iter().map(|cell| {
        let noisy = if cell.noisy { "*" } else { "" };
        vec![
            cell.shape.clone(),
            cell.bits.clone(),
            cell.route.clone(),
            format!("{:.1}{noisy}", 1e6 * cell.time_s),
            whole(cell.gops),
            shown(cell.speedup_f32()),
            shown(cell.speedup_int8()),
            whole(100.0 * cell.fraction_of_limit),
            cell.bound.to_string(),
            whole(100.0 * cell.packing_share),
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
    Grid { columns, rows, notes, ..Grid::default() }
}

fn data(cells: &[KernelResult]) -> Data {
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
    let row = |cell: &KernelResult| {
        vec![
            Value::from(&*cell.shape),
            Value::from(&*cell.bits),
            u32::from(cell.weight_bits).into(),
            u32::from(cell.activation_bits).into(),
            Value::from(&*cell.route),
            Some(cell.time_s).into(),
            Some(cell.gops).into(),
            cell.speedup_f32().into(),
            cell.speedup_int8().into(),
            Some(cell.fraction_of_limit).into(),
            cell.bound.to_string().as_str().into(),
            Some(cell.limit_gops).into(),
            Some(cell.packing_share).into(),
            Some(cell.intensity).into(),
            if cell.noisy { "true" } else { "false" }.into(),
        ]
    };
    Data { columns, rows: cells.iter().map(row).collect() }
}
