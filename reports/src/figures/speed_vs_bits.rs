//! Kernels: speed over libtorch against bit widths, over all shapes of a run.

use harness_records::bench_report::KernelResult;

use crate::encode::one_line;
use crate::error::ReportError;
use crate::figures::kernel_speed::WITHOUT;
use crate::figures::{Drawn, Figure, Picture};
use crate::kernels::Kernels;
use crate::plot::axes::{Panel, Scale};
use crate::plot::chart::{Chart, Plot};
use crate::plot::item::Item;
use crate::plot::legend::Key;
use crate::plot::style::{LIMIT, plain_look};
use crate::plot::theme::Theme;
use crate::sheet::{Data, Value};
use crate::trials::Trials;

/// `speed_vs_bits`.
pub(crate) struct SpeedVsBits;

/// What speeds are compared with: its name, and the ratio of a cell.
type Peer = (&'static str, fn(&KernelResult) -> Option<f64>);

const PEERS: [Peer; 2] = [("f32", KernelResult::speedup_f32), ("int8", KernelResult::speedup_int8)];

/// Speeds over a peer at a pair of widths.
struct WidthSpeeds {
    bits: String,
    weights: u32,
    activations: u32,
    /// A shape and its ratio.
    ratios: Vec<(String, f64)>,
}

impl WidthSpeeds {
    /// Geometric mean over shapes.
    fn mean(&self) -> f64 {
        (self.ratios.iter().map(|(_, ratio)| ratio.ln()).sum::<f64>() / self.ratios.len() as f64).exp()
    }

    fn min(&self) -> f64 {
        self.ratios.iter().map(|(_, ratio)| *ratio).fold(f64::INFINITY, f64::min)
    }

    fn max(&self) -> f64 {
        self.ratios.iter().map(|(_, ratio)| *ratio).fold(f64::NEG_INFINITY, f64::max)
    }
}

/// Pairs of widths by the product of their bits, which is the work of a kernel on bit-planes.
fn pairs(kernels: &Kernels, of: fn(&KernelResult) -> Option<f64>) -> Vec<WidthSpeeds> {
    let mut pairs: Vec<WidthSpeeds> = Vec::new();
    for cell in kernels.chosen() {
        let Some(ratio) = of(cell) else { continue };
        let place = pairs.iter().position(|pair| pair.bits == cell.bits).unwrap_or_else(|| {
            let (weights, activations) = (u32::from(cell.weight_bits), u32::from(cell.activation_bits));
            pairs.push(WidthSpeeds { bits: cell.bits.clone(), weights, activations, ratios: Vec::new() });
            pairs.len() - 1
        });
        pairs[place].ratios.push((cell.shape.clone(), ratio));
    }
    pairs.sort_by_key(|pair| (pair.weights * pair.activations, pair.weights));
    pairs
}

impl Figure for SpeedVsBits {
    fn name(&self) -> &'static str {
        "speed_vs_bits"
    }

    fn title(&self) -> &'static str {
        "Kernel speed against bits"
    }

    fn draw(&self, trials: &Trials, theme: &Theme) -> Result<Drawn, ReportError> {
        let Some(kernels) = &trials.kernels else { return Ok(Drawn::Nothing(WITHOUT.to_owned())) };
        let mut panels = Vec::new();
        let mut rows = Vec::new();
        for (peer, of) in PEERS {
            let pairs = pairs(kernels, of);
            if pairs.is_empty() {
                continue;
            }
            panels.push(panel(peer, &pairs));
            for pair in &pairs {
                rows.extend(pair.ratios.iter().map(|(shape, ratio)| fact(peer, pair, shape, *ratio)));
                rows.push(fact(peer, pair, "geometric mean", pair.mean()));
            }
        }
        if panels.is_empty() {
            return Ok(Drawn::Nothing("no cell of the kernel bench has a ratio to f32 or int8".to_owned()));
        }
        let key = vec![
            (Key::Series(plain_look(0)), "geometric mean over shapes".to_owned()),
            (Key::Marker(LIMIT), "a shape".to_owned()),
            (Key::Reference { band: false }, "libtorch".to_owned()),
        ];
        let caption = format!(
            "Speed of the kernels over the fastest f32 and the fastest int8 of libtorch in the same run, quantizing and \
             packing included on our side, against bits of weights and activations in order of their product{}. Band: \
             from the slowest to the fastest of {} shapes.",
            kernels.place(),
            kernels.shapes().len()
        );
        let columns = vec!["over", "bits", "weight_bits", "activation_bits", "shape", "ratio"];
        let pages = Chart::new(panels, key).draw(theme);
        Ok(Drawn::Picture(Picture { pages, data: Data { columns, rows }, caption }))
    }
}

fn panel(peer: &str, pairs: &[WidthSpeeds]) -> Plot {
    let placed = || pairs.iter().enumerate().map(|(i, pair)| (i as f64, pair));
    let mut items = Vec::new();
    if pairs.len() > 1 {
        items.push(Item::Band {
            points: placed().map(|(x, pair)| (x, pair.min(), pair.max())).collect(),
            look: plain_look(0),
            edged: false,
        });
    }
    items.push(Item::Reference { y: 1.0, spread: None });
    for (x, pair) in placed() {
        items.extend(pair.ratios.iter().map(|(_, ratio)| Item::Marker { x, y: *ratio, spread: None, look: LIMIT }));
    }
    items.push(Item::Line { points: placed().map(|(x, pair)| (x, pair.mean())).collect(), look: plain_look(0) });
    items.extend(placed().map(|(x, pair)| Item::Marker { x, y: pair.mean(), spread: None, look: plain_look(0) }));
    Plot {
        panel: Panel {
            title: format!("over {peer}"),
            x_label: "Bits of weights and activations".to_owned(),
            y_label: format!("Times as fast as {peer}"),
            x: Scale::Categories(pairs.iter().map(|pair| one_line(&pair.bits)).collect()),
            y: Scale::log(pairs.iter().flat_map(|pair| [pair.min(), pair.max()]).chain([1.0])),
        },
        items,
    }
}

fn fact(peer: &str, pair: &WidthSpeeds, shape: &str, ratio: f64) -> Vec<Value> {
    vec![
        peer.into(),
        Value::from(&*pair.bits),
        pair.weights.into(),
        pair.activations.into(),
        shape.into(),
        Some(ratio).into(),
    ]
}
