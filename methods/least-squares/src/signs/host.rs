//! On the CPU: one pass over memory forward, in which a row that has its own scales is also measured, and one
//! backward.

use harness_method_core::MethodError;
use harness_torch::{slices, with_gradient};
use tch::{TchError, Tensor};

use crate::rows;
use crate::scales::Scales;

/// Calls a function with the scales as an array, so that the loop over them is unrolled for each width.
macro_rules! by_width {
    ($scales:expr, $function:ident($($argument:expr),*)) => {
        match $scales {
            &[a] => $function(&[a], $($argument),*),
            &[a, b] => $function(&[a, b], $($argument),*),
            &[a, b, c] => $function(&[a, b, c], $($argument),*),
            &[a, b, c, d] => $function(&[a, b, c, d], $($argument),*),
            &[a, b, c, d, e] => $function(&[a, b, c, d, e], $($argument),*),
            &[a, b, c, d, e, f] => $function(&[a, b, c, d, e, f], $($argument),*),
            &[a, b, c, d, e, f, g] => $function(&[a, b, c, d, e, f, g], $($argument),*),
            &[a, b, c, d, e, f, g, h] => $function(&[a, b, c, d, e, f, g, h], $($argument),*),
            // Codes are bytes.
            _ => {}
        }
    };
}

/// The scales of each row, on the host.
struct Table {
    rows: usize,
    k: usize,
    /// `k` numbers for all rows, or for each.
    scales: Vec<f32>,
}

impl Table {
    /// `rows` rows of zeros.
    fn zeros(rows: usize, k: usize) -> Table {
        Table { rows, k, scales: vec![0.0; rows * k] }
    }

    fn of(scales: &Tensor, rows: usize) -> Result<Table, TchError> {
        let k = usize::try_from(scales.size()[1]).unwrap_or(1);
        Ok(Table { rows, k, scales: slices::with(scales, <[f32]>::to_vec)? })
    }

    fn row(&self, row: usize) -> &[f32] {
        let row = if self.scales.len() == self.k { 0 } else { row };
        &self.scales[row * self.k..][..self.k]
    }

    fn to_tensor(&self) -> Result<Tensor, TchError> {
        Tensor::f_from_slice(&self.scales)?.f_view([-1, i64::try_from(self.k).unwrap_or(1)])
    }
}

fn rows_of(x: &Tensor) -> usize {
    x.size().first().map_or(1, |&n| usize::try_from(n).unwrap_or(0))
}

pub(crate) fn codes(x: &Tensor, scales: &Tensor, clamp: f32) -> Result<Tensor, TchError> {
    let table = Table::of(scales, rows_of(x))?;
    let codes = slices::with(x, |values| {
        let mut codes = vec![0u8; values.len()];
        let n = values.len() / table.rows.max(1);
        rows::for_each(table.rows, values.len(), (&mut codes, &mut [(); 0]), |row, to, _| {
            by_width!(table.row(row), encode(&values[row * n..][..n], to, clamp));
        });
        codes
    })?;
    Tensor::f_from_slice(&codes)?.f_view_as(x)
}

pub(crate) fn fake_quantize(x: &Tensor, scales: Scales<'_>, clamp: f32) -> Result<(Tensor, Tensor), MethodError> {
    let rows = rows_of(x);
    let saved = x.f_detach()?.f_contiguous()?;
    let (table, levels) = match scales {
        Scales::Own(solver) => {
            let mut table = Table::zeros(rows, solver.count());
            let levels = slices::with(&saved, |x| {
                let n = x.len() / rows.max(1);
                slices::fill(&saved.size(), |levels| {
                    rows::for_each(rows, x.len(), (&mut table.scales, levels), |row, scales, to| {
                        let from = &x[row * n..][..n];
                        solver.solve(from, clamp, scales);
                        by_width!(&*scales, decode(from, to, clamp));
                    });
                })
            })??;
            (table, levels)
        }
        Scales::Given(scales) => {
            let table = Table::of(scales, rows)?;
            let levels = slices::with(&saved, |x| {
                let n = x.len() / rows.max(1);
                slices::fill(&saved.size(), |levels| {
                    rows::for_each(rows, x.len(), (levels, &mut [(); 0]), |row, to, _| {
                        by_width!(table.row(row), decode(&x[row * n..][..n], to, clamp));
                    });
                })
            })??;
            (table, levels)
        }
    };
    let scales = table.to_tensor()?;
    let levels = with_gradient(&levels, &[x], move |g| {
        let gradient = slices::with(&saved, |x| {
            slices::with(g, |g| {
                let n = x.len() / rows.max(1);
                slices::fill(&saved.size(), |gradient| {
                    rows::for_each(rows, x.len(), (gradient, &mut [(); 0]), |row, to, _| {
                        let range = row * n..(row + 1) * n;
                        by_width!(table.row(row), backward(&x[range.clone()], &g[range], to, clamp));
                    });
                })
            })
        })???;
        Ok(vec![Some(gradient)])
    })?;
    Ok((levels, scales))
}

/// `x` in `[-clamp, clamp]`; a NaN stays one.
#[inline]
fn clamped(x: f32, clamp: f32) -> f32 {
    let x = if x > clamp { clamp } else { x };
    if x < -clamp { -clamp } else { x }
}

/// Which signs are +1, the first first.
#[inline]
fn signs<const K: usize>(x: f32, scales: &[f32; K]) -> [bool; K] {
    let mut left = x;
    scales.map(|v| {
        let up = left >= 0.0;
        left -= if up { v } else { -v };
        up
    })
}

fn encode<const K: usize>(scales: &[f32; K], from: &[f32], to: &mut [u8], clamp: f32) {
    for (to, &x) in to.iter_mut().zip(from) {
        *to = signs(clamped(x, clamp), scales).into_iter().fold(0, |code, up| code << 1 | u8::from(up));
    }
}

fn decode<const K: usize>(scales: &[f32; K], from: &[f32], to: &mut [f32], clamp: f32) {
    let offset = -scales[1..].iter().fold(scales[0], |sum, v| sum + v);
    let doubled = scales.map(|v| 2.0 * v);
    for (to, &x) in to.iter_mut().zip(from) {
        let ups = signs(clamped(x, clamp), scales);
        let mut level = offset;
        for (&up, scale) in ups.iter().zip(&doubled).rev() {
            level = if up { level + scale } else { level };
        }
        // A NaN must not become a level.
        *to = if x.is_nan() { x } else { level };
    }
}

fn backward<const K: usize>(scales: &[f32; K], x: &[f32], g: &[f32], to: &mut [f32], clamp: f32) {
    for ((to, &x), &g) in to.iter_mut().zip(x).zip(g) {
        let (mut left, mut product, mut slope) = (x, 1.0, 0.0);
        for &v in scales {
            let inside = if left.abs() <= 1.0 { v } else { 0.0 };
            slope += inside * product;
            product *= 1.0 - inside;
            left -= if left >= 0.0 { v } else { -v };
        }
        let passed = g * slope;
        *to = if x.abs() <= clamp { passed } else { 0.0 };
    }
}
