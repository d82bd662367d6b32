//! A pool of threads that wait for work, so that a product of a tenth of a millisecond need not start any. It is written by
//! hand because a thread must first spin, and only then sleep, for such short tasks to gain from threads at all.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::thread::JoinHandle;

/// Times that a waiting thread looks for work before it sleeps: some tens of microseconds, which is the gap between the
/// layers of a network. Under Miri, 20,000 spins would take seconds.
const SPINS: usize = if cfg!(miri) { 20 } else { 20_000 };

/// A fixed set of threads. The calling thread is one of them, so a pool of one starts none.
pub struct Pool {
    shared: Arc<Shared>,
    workers: Vec<JoinHandle<()>>,
    /// Held by the call of [`Pool::run`] that hands out work.
    running: Mutex<()>,
}

struct Shared {
    /// Number of the current job. Workers begin when it changes.
    generation: AtomicUsize,
    job: Mutex<Option<Job>>,
    wake: Condvar,
    /// The next task of the current job.
    next: AtomicUsize,
    /// Number of workers that have not finished the current job.
    busy: AtomicUsize,
    panicked: AtomicBool,
    stop: AtomicBool,
}

/// A function to call with each of `0..tasks`; its lifetime is erased.
#[derive(Clone, Copy)]
struct Job {
    call: *const (dyn Fn(usize) + Sync + 'static),
    tasks: usize,
}

// SAFETY: the function is `Sync`, and `Pool::run` does not return before every worker is done with it.
unsafe impl Send for Job {}

impl Pool {
    /// A pool of `threads` threads, at least one, counting the caller's.
    #[must_use]
    pub fn new(threads: usize) -> Pool {
        Pool::with_start(threads, |_| ())
    }

    /// [`Pool::new`] with a function that every started thread calls first with its number, 1 and up: to pin it to a
    /// processor, say.
    #[must_use]
    pub fn with_start(threads: usize, start: impl Fn(usize) + Send + Sync + 'static) -> Pool {
        let shared = Arc::new(Shared {
            generation: AtomicUsize::new(0),
            job: Mutex::new(None),
            wake: Condvar::new(),
            next: AtomicUsize::new(0),
            busy: AtomicUsize::new(0),
            panicked: AtomicBool::new(false),
            stop: AtomicBool::new(false),
        });
        let start = Arc::new(start);
        let worker = |index: usize| {
            let (shared, start) = (Arc::clone(&shared), Arc::clone(&start));
            let body = move || {
                start(index);
                shared.work();
            };
            // Where the system starts no more threads the pool is smaller; `threads` tells its size.
            std::thread::Builder::new().name(format!("kernel-{index}")).spawn(body).ok()
        };
        let workers = (1..threads.max(1)).filter_map(worker).collect();
        Pool { shared, workers, running: Mutex::new(()) }
    }

    /// Number of threads that work, the caller's included.
    #[must_use]
    pub fn threads(&self) -> usize {
        self.workers.len() + 1
    }

    /// Calls `task` once with each of `0..tasks`, on all threads, and returns when all are done.
    ///
    /// # Panics
    /// When a task panicked.
    pub fn run(&self, tasks: usize, task: &(dyn Fn(usize) + Sync)) {
        if self.workers.is_empty() || tasks <= 1 {
            (0..tasks).for_each(task);
            return;
        }
        let _one = self.running.lock().unwrap_or_else(PoisonError::into_inner);
        let shared = &*self.shared;
        // SAFETY: only the lifetime changes, and this function outlives every use: it waits for all workers.
        let call: *const (dyn Fn(usize) + Sync + 'static) = unsafe { std::mem::transmute(task as *const _) };
        {
            let mut job = shared.job.lock().unwrap_or_else(PoisonError::into_inner);
            *job = Some(Job { call, tasks });
            shared.next.store(0, Ordering::Relaxed);
            shared.busy.store(self.workers.len(), Ordering::Relaxed);
            shared.generation.fetch_add(1, Ordering::Release);
        }
        shared.wake.notify_all();
        // Waits for the workers even if a task of this thread panics, since they still hold the reference.
        let wait = WaitForWorkers(shared);
        shared.take_tasks(tasks, task);
        drop(wait);
        assert!(!shared.panicked.swap(false, Ordering::Relaxed), "a task of the pool panicked");
    }
}

/// Waits, when dropped, until all workers have finished the current job.
struct WaitForWorkers<'a>(&'a Shared);

impl Drop for WaitForWorkers<'_> {
    fn drop(&mut self) {
        let mut spins = 0;
        while self.0.busy.load(Ordering::Acquire) != 0 {
            if spins < SPINS {
                std::hint::spin_loop();
                spins += 1;
            } else {
                std::thread::yield_now();
            }
        }
    }
}

impl Shared {
    /// Calls `task` with numbers that no other thread has taken, until none is left.
    fn take_tasks(&self, tasks: usize, task: &(dyn Fn(usize) + Sync)) {
        loop {
            let index = self.next.fetch_add(1, Ordering::Relaxed);
            if index >= tasks {
                return;
            }
            task(index);
        }
    }

    /// The life of a worker.
    fn work(&self) {
        let mut seen = 0;
        loop {
            let Some(job) = self.wait(&mut seen) else { return };
            let share = std::panic::AssertUnwindSafe(|| {
                // SAFETY: the caller of `run` keeps the function alive until `busy` is zero.
                let call = unsafe { &*job.call };
                self.take_tasks(job.tasks, call);
            });
            if std::panic::catch_unwind(share).is_err() {
                self.panicked.store(true, Ordering::Relaxed);
            }
            self.busy.fetch_sub(1, Ordering::Release);
        }
    }

    /// The next job, or `None` when the pool is dropped.
    fn wait(&self, seen: &mut usize) -> Option<Job> {
        for _ in 0..SPINS {
            if self.generation.load(Ordering::Acquire) != *seen {
                break;
            }
            std::hint::spin_loop();
        }
        let mut job = self.job.lock().unwrap_or_else(PoisonError::into_inner);
        loop {
            if self.stop.load(Ordering::Acquire) {
                return None;
            }
            let generation = self.generation.load(Ordering::Acquire);
            if generation != *seen {
                *seen = generation;
                return *job;
            }
            job = self.wake.wait(job).unwrap_or_else(PoisonError::into_inner);
        }
    }
}

impl Drop for Pool {
    fn drop(&mut self) {
        {
            let _job = self.shared.job.lock().unwrap_or_else(PoisonError::into_inner);
            self.shared.stop.store(true, Ordering::Release);
        }
        self.shared.wake.notify_all();
        for worker in self.workers.drain(..) {
            // A worker catches the panics of its tasks, so it ends without one.
            let _ = worker.join();
        }
    }
}

impl std::fmt::Debug for Pool {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Pool({} threads)", self.threads())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_task_runs_once() {
        for threads in 1..=4 {
            let pool = Pool::new(threads);
            for tasks in [0, 1, 2, 7, 100] {
                let counts: Vec<AtomicUsize> = (0..tasks).map(|_| AtomicUsize::new(0)).collect();
                pool.run(tasks, &|index| {
                    counts[index].fetch_add(1, Ordering::Relaxed);
                });
                assert!(counts.iter().all(|count| count.load(Ordering::Relaxed) == 1), "{threads} threads");
            }
        }
    }

    #[test]
    fn several_callers_take_turns() {
        let pool = Pool::new(2);
        let total = AtomicUsize::new(0);
        std::thread::scope(|scope| {
            for _ in 0..3 {
                scope.spawn(|| {
                    for _ in 0..20 {
                        pool.run(5, &|index| {
                            total.fetch_add(index, Ordering::Relaxed);
                        });
                    }
                });
            }
        });
        assert_eq!(total.into_inner(), 3 * 20 * 10);
    }

    #[test]
    fn a_panic_reaches_the_caller_and_the_pool_lives_on() {
        let pool = Pool::new(2);
        let caught = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
            pool.run(8, &|index| assert!(index != 3, "task three"));
        }));
        assert!(caught.is_err());
        let ran = AtomicUsize::new(0);
        pool.run(8, &|_| {
            ran.fetch_add(1, Ordering::Relaxed);
        });
        assert_eq!(ran.into_inner(), 8);
    }
}
