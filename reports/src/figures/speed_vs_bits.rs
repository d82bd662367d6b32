//! Kernels: speed over libtorch against bit widths, over all shapes of a run.

use harness_records::bench_report::KernelResult;

use crate::encode::one_line;
use crate::error::ReportError;
use crate::figures::kernel_speed::WITHOUT;
use crate::figures::{Drawn, Figure, Picture};
use crate::kernels::Kernels;
use crate::plot::axes::{Panel, Scale};
use crate::plot::chart::{Chart, Item, Plot};
use crate::plot::legend::Key;
use crate::plot::style::{LIMIT, look};
use crate::plot::text::Lettering;
use crate::sheet::{Data, Value};
use crate::trials::Trials;

/// `speed_vs_bits`.
pub(crate) struct SpeedVsBits;

/// What speeds are compared with: its name, and the ratio of a cell.
type Peer = (&'static str, fn(&KernelResult) -> Option<f64>);

const PEERS: [Peer; 2] = [("f32", KernelResult::speedup_f32), ("int8", KernelResult::speedup_int8)];

/// Speeds over a peer at a pair of widths.
struct Spot {
    bits: String,
    weights: u32,
    activations: u32,
    /// A shape and its ratio.
    ratios: Vec<(String, f64)>,
}

impl Spot {
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
fn spots(kernels: &Kernels, of: fn(&KernelResult) -> Option<f64>) -> Vec<Spot> {
    let mut spots: Vec<Spot> = Vec::new();
    for cell in kernels.chosen() {
        let Some(ratio) = of(cell) else { continue };
        let place = spots.iter().position(|spot| spot.bits == cell.bits).unwrap_or_else(|| {
            let (weights, activations) = (u32::from(cell.weight_bits), u32::from(cell.activation_bits));
            spots.push(Spot { bits: cell.bits.clone(), weights, activations, ratios: Vec::new() });
            spots.len() - 1
        });
        spots[place].ratios.push((cell.shape.clone(), ratio));
    }
    spots.sort_by_key(|spot| (spot.weights * spot.activations, spot.weights));
    spots
}

impl Figure for SpeedVsBits {
    fn name(&self) -> &'static str {
        "speed_vs_bits"
    }

    fn title(&self) -> &'static str {
        "Kernel speed against bits"
    }

    fn draw(&self, trials: &Trials, lettering: &Lettering) -> Result<Drawn, ReportError> {
        let Some(kernels) = &trials.kernels else { return Ok(Drawn::Nothing(WITHOUT.to_owned())) };
        let mut panels = Vec::new();
        let mut rows = Vec::new();
        for (peer, of) in PEERS {
            let spots = spots(kernels, of);
            if spots.is_empty() {
                continue;
            }
            panels.push(panel(peer, &spots));
            for spot in &spots {
                rows.extend(spot.ratios.iter().map(|(shape, ratio)| fact(peer, spot, shape, *ratio)));
                rows.push(fact(peer, spot, "geometric mean", spot.mean()));
            }
        }
        if panels.is_empty() {
            return Ok(Drawn::Nothing("no cell of the kernel bench has a ratio to f32 or int8".to_owned()));
        }
        let key = vec![
            (Key::Series(look(0)), "geometric mean over shapes".to_owned()),
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
        let canvas = Chart::new(panels, key).draw(lettering);
        Ok(Drawn::Picture(Picture { canvas, data: Data { columns, rows }, caption }))
    }
}

fn panel(peer: &str, spots: &[Spot]) -> Plot {
    let placed = || spots.iter().enumerate().map(|(i, spot)| (i as f64, spot));
    let mut items = Vec::new();
    if spots.len() > 1 {
        items.push(Item::Band {
            points: placed().map(|(x, spot)| (x, spot.min(), spot.max())).collect(),
            look: look(0),
            edged: false,
        });
    }
    items.push(Item::Reference { y: 1.0, spread: None });
    for (x, spot) in placed() {
        items.extend(spot.ratios.iter().map(|(_, ratio)| Item::Marker { x, y: *ratio, spread: None, look: LIMIT }));
    }
    items.push(Item::Line { points: placed().map(|(x, spot)| (x, spot.mean())).collect(), look: look(0) });
    items.extend(placed().map(|(x, spot)| Item::Marker { x, y: spot.mean(), spread: None, look: look(0) }));
    Plot {
        panel: Panel {
            title: format!("over {peer}"),
            x_label: "Bits of weights and activations".to_owned(),
            y_label: format!("Times as fast as {peer}"),
            x: Scale::Categories(spots.iter().map(|spot| one_line(&spot.bits)).collect()),
            y: Scale::log(spots.iter().flat_map(|spot| [spot.min(), spot.max()]).chain([1.0])),
        },
        items,
    }
}

fn fact(peer: &str, spot: &Spot, shape: &str, ratio: f64) -> Vec<Value> {
    vec![
        peer.into(),
        Value::from(&*spot.bits),
        spot.weights.into(),
        spot.activations.into(),
        shape.into(),
        Some(ratio).into(),
    ]
}
