//! Work on the rows of a matrix on the CPU, spread over the threads that libtorch may use.

use rayon::iter::{IntoParallelIterator, ParallelIterator};

/// Fewer numbers than this in all are not worth a second thread.
const LEAST_SHARED: usize = 1 << 15;

/// Calls `work` with the index of each of `rows` rows and the row's part of two outputs, whose lengths are multiples of
/// `rows`. `numbers` is how many numbers are to be worked on in all. Rows are independent of each other, so the result
/// does not depend on the number of threads.
pub(crate) fn for_each<A: Send, B: Send>(
    rows: usize,
    numbers: usize,
    (first, second): (&mut [A], &mut [B]),
    work: impl Fn(usize, &mut [A], &mut [B]) + Sync,
) {
    if rows == 0 || numbers == 0 {
        return;
    }
    let (a_width, b_width) = (first.len() / rows, second.len() / rows);
    let run = |start: usize, mut a: &mut [A], mut b: &mut [B], count: usize| {
        for row in start..start + count {
            let (a_row, a_rest) = a.split_at_mut(a_width);
            let (b_row, b_rest) = b.split_at_mut(b_width);
            work(row, a_row, b_row);
            (a, b) = (a_rest, b_rest);
        }
    };
    let threads = usize::try_from(tch::get_num_threads()).unwrap_or(1).clamp(1, rows);
    let threads = if numbers < LEAST_SHARED { 1 } else { threads };
    let share = rows.div_ceil(threads);
    let (mut a, mut b, mut shares) = (first, second, Vec::with_capacity(threads));
    for start in (0..rows).step_by(share) {
        let count = share.min(rows - start);
        let (a_share, a_rest) = a.split_at_mut(count * a_width);
        let (b_share, b_rest) = b.split_at_mut(count * b_width);
        shares.push((start, a_share, b_share, count));
        (a, b) = (a_rest, b_rest);
    }
    if threads == 1 {
        shares.into_iter().for_each(|(start, a, b, count)| run(start, a, b, count));
    } else {
        // As many shares as threads, so that no more of rayon's threads work than libtorch may use.
        shares.into_par_iter().for_each(|(start, a, b, count)| run(start, a, b, count));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_row_is_visited_once_however_many_threads() {
        let before = tch::get_num_threads();
        for threads in [1, 2, 3, 7] {
            tch::set_num_threads(threads);
            for rows in [0usize, 1, 2, 5, 8] {
                let (mut a, mut b) = (vec![0usize; rows * 3], vec![0u8; rows]);
                for_each(rows, LEAST_SHARED, (&mut a, &mut b), |row, a, b| {
                    a.iter_mut().enumerate().for_each(|(i, to)| *to += 10 * row + i);
                    b[0] += 1;
                });
                assert_eq!(a, (0..rows * 3).map(|i| 10 * (i / 3) + i % 3).collect::<Vec<_>>());
                assert!(b.iter().all(|&visits| visits == 1));
            }
        }
        tch::set_num_threads(before);
    }

    #[test]
    fn an_output_may_be_empty() {
        let mut seen = [0u8; 4];
        for_each(4, 4, (&mut seen, &mut [(); 0]), |row, seen, nothing| {
            seen[0] = row as u8;
            assert!(nothing.is_empty());
        });
        assert_eq!(seen, [0, 1, 2, 3]);
    }
}
