//! Which part of a window lies inside the image.
//!
//! Padding counts as zero, not as code zero, so whatever is added for every code in a window depends on how much of it
//! is image. Only a few kinds of windows differ in that: those at the edges.

use std::ops::Range;

use crate::geometry::Conv2d;

/// The kinds of windows of a convolution.
#[derive(Debug, Clone)]
pub(crate) struct Classes {
    /// The class of the window at output row `y` and column `x` is `rows[y] + columns[x]`.
    pub(crate) rows: Vec<usize>,
    pub(crate) columns: Vec<usize>,
    /// Rows and columns of the window inside the image, by class.
    inside: Vec<[Range<usize>; 2]>,
    kernel_width: usize,
}

impl Classes {
    pub(crate) fn new(shape: &Conv2d, output: [usize; 2]) -> Classes {
        let rows = inside(shape, 0, output[0], shape.height);
        let columns = inside(shape, 1, output[1], shape.width);
        let (row_kinds, column_kinds) = (distinct(&rows), distinct(&columns));
        let index = |kinds: &[(usize, usize)], ranges: &[(usize, usize)], factor: usize| {
            let place = |range| kinds.iter().position(|kind| kind == range).unwrap_or(0) * factor;
            ranges.iter().map(place).collect()
        };
        let pair = |y: &(usize, usize), x: &(usize, usize)| [y.0..y.1, x.0..x.1];
        Classes {
            rows: index(&row_kinds, &rows, column_kinds.len()),
            columns: index(&column_kinds, &columns, 1),
            inside: row_kinds.iter().flat_map(|y| column_kinds.iter().map(move |x| pair(y, x))).collect(),
            kernel_width: shape.kernel[1],
        }
    }

    pub(crate) fn count(&self) -> usize {
        self.inside.len()
    }

    /// Taps of the window that lie inside the image.
    pub(crate) fn taps(&self, class: usize) -> impl Iterator<Item = usize> {
        let [rows, columns] = self.inside[class].clone();
        let width = self.kernel_width;
        rows.flat_map(move |y| columns.clone().map(move |x| y * width + x))
    }
}

/// `(first, end)` of the window's rows (or columns) inside the image, for every row (or column) of the output.
fn inside(shape: &Conv2d, axis: usize, count: usize, input: usize) -> Vec<(usize, usize)> {
    let at = |o: usize, k: usize| {
        let place = o * shape.stride[axis] + k * shape.dilation[axis];
        place >= shape.padding[axis] && place < shape.padding[axis] + input
    };
    let range = |o: usize| {
        let inside: Vec<usize> = (0..shape.kernel[axis]).filter(|&k| at(o, k)).collect();
        inside.first().map_or((0, 0), |&first| (first, first + inside.len()))
    };
    (0..count).map(range).collect()
}

fn distinct(ranges: &[(usize, usize)]) -> Vec<(usize, usize)> {
    let mut kinds = ranges.to_vec();
    kinds.sort_unstable();
    kinds.dedup();
    kinds
}
