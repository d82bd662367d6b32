//! Work on the rows of a matrix on the CPU, spread over the threads that libtorch may use.

use std::thread;

/// Rows below this many numbers in all are not worth a second thread.
const LEAST_SHARED: usize = 1 << 16;

/// Calls `work` with the index of each row, the row of `input` and the row of `output`. Rows are independent of each
/// other, so the result does not depend on the number of threads. `output` may have another row length; both have
/// `rows` rows.
pub(crate) fn for_each<T: Send>(
    rows: usize,
    input: &[f32],
    output: &mut [T],
    work: impl Fn(usize, &[f32], &mut [T]) + Sync,
) {
    if rows == 0 || input.is_empty() {
        return;
    }
    let (n, width) = (input.len() / rows, output.len() / rows);
    let run = |first: usize, input: &[f32], output: &mut [T]| {
        for (i, (from, to)) in input.chunks_exact(n).zip(output.chunks_exact_mut(width)).enumerate() {
            work(first + i, from, to);
        }
    };
    let threads = usize::try_from(tch::get_num_threads()).unwrap_or(1).min(rows);
    if threads < 2 || input.len() < LEAST_SHARED {
        return run(0, input, output);
    }
    let share = rows.div_ceil(threads);
    thread::scope(|scope| {
        let parts = input.chunks(share * n).zip(output.chunks_mut(share * width)).enumerate();
        for (part, (from, to)) in parts {
            let run = &run;
            scope.spawn(move || run(part * share, from, to));
        }
    });
}
