//! Algorithm 2, word for word: a recursion over masks, one number at a time, in f64.

use crate::partition::Split;

/// Leaf and equalized value of each number.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Equalized {
    /// Number of the leaf, left to right.
    pub(crate) leaf: usize,
    /// `W_e`, in [0, 1].
    pub(crate) value: f64,
}

/// Equalizes `w` in `2^level` leaves.
pub(crate) fn equalize(w: &[f32], split: Split, level: u8) -> Vec<Equalized> {
    let w: Vec<f64> = w.iter().map(|&v| f64::from(v)).collect();
    recurse(&w, &vec![true; w.len()], split, level)
}

fn recurse(w: &[f64], mask: &[bool], split: Split, level: u8) -> Vec<Equalized> {
    let nothing = Equalized { leaf: 0, value: 0.0 };
    let mut set: Vec<f64> = w.iter().zip(mask).filter(|(_, m)| **m).map(|(v, _)| *v).collect();
    if set.is_empty() {
        return vec![nothing; w.len()];
    }
    set.sort_by(f64::total_cmp);
    if level == 0 {
        let (min, max) = (set[0], set[set.len() - 1]);
        let map = |v: f64| if max > min { (v - min) / (max - min) } else { 0.0 };
        let inside = |v: f64| Equalized { leaf: 0, value: map(v) };
        return w.iter().zip(mask).map(|(v, m)| if *m { inside(*v) } else { nothing }).collect();
    }
    let threshold = match split {
        Split::Mean => set.iter().sum::<f64>() / set.len() as f64,
        Split::Median => set[set.len() / 2],
    };
    let side =
        |right: bool| -> Vec<bool> { w.iter().zip(mask).map(|(v, m)| *m && (*v >= threshold) == right).collect() };
    let (less, greater) = (side(false), side(true));
    let left = recurse(w, &less, split, level - 1);
    let right = recurse(w, &greater, split, level - 1);
    let join = |i: usize| {
        let offset = if greater[i] { (0.5, 1 << (level - 1)) } else { (0.0, 0) };
        Equalized {
            leaf: left[i].leaf + right[i].leaf + offset.1,
            value: 0.5 * left[i].value + 0.5 * right[i].value + offset.0,
        }
    };
    (0..w.len()).map(join).collect()
}

/// `sign(x) ceil(|x| - 1/2)`.
pub(crate) fn rtz(x: f64) -> f64 {
    (x.abs() - 0.5).ceil().max(0.0).copysign(x)
}
