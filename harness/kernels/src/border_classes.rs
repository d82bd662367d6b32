//! Border classes: windows of a convolution by the part of them that lies inside the image.
//!
//! Padding counts as the number zero, not as code 0. So what is added for each code of a window depends on which of its
//! pixels are padding. All windows inside the image are one class; only those at its borders are in others.

use std::ops::Range;

use crate::geometry::Conv2d;

/// The border classes of a convolution.
#[derive(Debug, Clone)]
pub(crate) struct BorderClasses {
    /// The class of the window at output row `y` and column `x` is `rows[y] + columns[x]`.
    pub(crate) rows: Vec<usize>,
    pub(crate) columns: Vec<usize>,
    /// Rows and columns of the window that lie inside the image, by class.
    inside: Vec<[Range<usize>; 2]>,
    kernel_width: usize,
}

impl BorderClasses {
    pub(crate) fn new(shape: &Conv2d, output: [usize; 2]) -> BorderClasses {
        let rows = inside(shape, 0, output[0], shape.height);
        let columns = inside(shape, 1, output[1], shape.width);
        let (row_kinds, column_kinds) = (distinct(&rows), distinct(&columns));
        let index = |kinds: &[(usize, usize)], ranges: &[(usize, usize)], factor: usize| {
            let position = |range| kinds.iter().position(|kind| kind == range).unwrap_or(0) * factor;
            ranges.iter().map(position).collect()
        };
        let pair = |y: &(usize, usize), x: &(usize, usize)| [y.0..y.1, x.0..x.1];
        BorderClasses {
            rows: index(&row_kinds, &rows, column_kinds.len()),
            columns: index(&column_kinds, &columns, 1),
            inside: row_kinds.iter().flat_map(|y| column_kinds.iter().map(move |x| pair(y, x))).collect(),
            kernel_width: shape.kernel[1],
        }
    }

    /// Number of classes.
    pub(crate) fn count(&self) -> usize {
        self.inside.len()
    }

    /// The taps of a window of this class that lie inside the image.
    pub(crate) fn taps(&self, class: usize) -> impl Iterator<Item = usize> {
        let [rows, columns] = self.inside[class].clone();
        let width = self.kernel_width;
        rows.flat_map(move |y| columns.clone().map(move |x| y * width + x))
    }
}

/// For every row of the output, `(first, end)` of the window's rows inside the image; for `axis` 1, the same of columns.
fn inside(shape: &Conv2d, axis: usize, count: usize, input: usize) -> Vec<(usize, usize)> {
    let at = |o: usize, k: usize| {
        let pixel = o * shape.stride[axis] + k * shape.dilation[axis];
        pixel >= shape.padding[axis] && pixel < shape.padding[axis] + input
    };
    let range = |o: usize| {
        let inside: Vec<usize> = (0..shape.kernel[axis]).filter(|&k| at(o, k)).collect();
        inside.first().map_or((0, 0), |&first| (first, first + inside.len()))
    };
    (0..count).map(range).collect()
}

/// The distinct ranges, in order.
fn distinct(ranges: &[(usize, usize)]) -> Vec<(usize, usize)> {
    let mut kinds = ranges.to_vec();
    kinds.sort_unstable();
    kinds.dedup();
    kinds
}
