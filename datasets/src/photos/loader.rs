//! Worker threads that decode batches ahead of whoever trains on them.
//!
//! A worker makes one batch at a time, straight into the buffer it will be used from. Batches come out in order, and
//! what is in them does not depend on how many workers there are.

use std::collections::BTreeMap;
use std::io;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};

use super::{Key, Photos};
use crate::picture::Sampler;
use crate::{DatasetError, Problem};

/// A decoded batch.
#[derive(Debug)]
pub struct Loaded<B> {
    /// Bytes `[n, 3, side, side]` of the images that are not broken, and unused space behind them if some are.
    pub pixels: B,
    /// Classes of these images.
    pub labels: Vec<u16>,
}

/// One walk through batches of files.
#[derive(Debug)]
pub struct Loader<B> {
    shared: Arc<Shared<B>>,
    workers: Vec<JoinHandle<()>>,
    total: usize,
    taken: usize,
}

#[derive(Debug)]
struct Shared<B> {
    state: Mutex<State<B>>,
    /// Told when a batch is done or taken, or all is over.
    changed: Condvar,
}

#[derive(Debug)]
struct State<B> {
    /// Next batch that nobody works on.
    next: usize,
    /// Batches taken out.
    taken: usize,
    /// Done and not taken out.
    done: BTreeMap<usize, Result<Loaded<B>, DatasetError>>,
    /// Workers that have not ended.
    alive: usize,
    stopped: bool,
}

/// Batches that may be ready beyond those in the making.
const READY: usize = 2;

impl Photos {
    /// Decodes `batches` of indices in order on `workers` threads, each into a buffer that `buffer` makes for so many
    /// bytes; changed at random under `key`, or as for a test where there is none.
    ///
    /// # Errors
    /// When no thread can be started. Each batch then says for itself what went wrong: a file that cannot be read,
    /// is broken (unless those are left out), or a batch with nothing but broken files.
    pub fn load<B, F>(
        self: &Arc<Photos>,
        batches: Vec<Vec<u32>>,
        key: Option<Key>,
        workers: usize,
        buffer: F,
    ) -> Result<Loader<B>, DatasetError>
    where
        B: AsMut<[u8]> + Send + 'static,
        F: Fn(usize) -> io::Result<B> + Send + Sync + 'static,
    {
        let workers = workers.clamp(1, batches.len().max(1));
        let state = State { next: 0, taken: 0, done: BTreeMap::new(), alive: workers, stopped: false };
        let shared = Arc::new(Shared { state: Mutex::new(state), changed: Condvar::new() });
        let (total, batches, buffer) = (batches.len(), Arc::new(batches), Arc::new(buffer));
        let mut loader = Loader { shared: Arc::clone(&shared), workers: Vec::new(), total, taken: 0 };
        for worker in 0..workers {
            let (photos, batches, buffer) = (Arc::clone(self), Arc::clone(&batches), Arc::clone(&buffer));
            let guard = Alive { shared: Arc::clone(&shared) };
            let work = move || {
                let mut sampler = Sampler::default();
                while let Some(place) = guard.shared.claim(batches.len(), workers + READY) {
                    let stopped = || guard.shared.lock().stopped;
                    let made = photos.make(&batches[place], key, &mut sampler, &*buffer, stopped);
                    guard.shared.lock().done.insert(place, made);
                    guard.shared.changed.notify_all();
                }
            };
            match thread::Builder::new().name(format!("decoder-{worker}")).spawn(work) {
                Ok(handle) => loader.workers.push(handle),
                // The workers that did start are stopped when the loader is dropped.
                Err(e) => {
                    let problem = Box::new(Problem::Thread(e));
                    return Err(DatasetError { dataset: self.dataset, path: None, problem });
                }
            }
        }
        Ok(loader)
    }

    fn make<B: AsMut<[u8]>>(
        &self,
        indices: &[u32],
        key: Option<Key>,
        sampler: &mut Sampler,
        buffer: impl Fn(usize) -> io::Result<B>,
        stopped: impl Fn() -> bool,
    ) -> Result<Loaded<B>, DatasetError> {
        let error = |problem| DatasetError { dataset: self.dataset, path: None, problem: Box::new(problem) };
        let each = 3 * self.recipe.size * self.recipe.size;
        let mut pixels = buffer(indices.len() * each).map_err(|e| error(Problem::Memory(e)))?;
        let mut labels = Vec::with_capacity(indices.len());
        for &index in indices {
            let place = labels.len() * each;
            let space = pixels.as_mut().get_mut(place..place + each);
            let space = space.ok_or_else(|| error(Problem::Memory(io::ErrorKind::OutOfMemory.into())))?;
            if stopped() {
                break;
            }
            if self.decode(index, key, sampler, space)? {
                labels.push(self.files[index as usize].1);
            }
        }
        if labels.is_empty() {
            return Err(error(Problem::NothingLeft { images: indices.len() }));
        }
        Ok(Loaded { pixels, labels })
    }
}

impl<B> Shared<B> {
    fn lock(&self) -> MutexGuard<'_, State<B>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The next batch to make, when there is room for it; `None` when there is no more to do.
    fn claim(&self, total: usize, ahead: usize) -> Option<usize> {
        let full = |state: &mut State<B>| !state.stopped && state.next < total && state.next >= state.taken + ahead;
        let mut state = self.changed.wait_while(self.lock(), full).unwrap_or_else(PoisonError::into_inner);
        if state.stopped || state.next >= total {
            return None;
        }
        state.next += 1;
        Some(state.next - 1)
    }
}

/// Tells that a worker has ended, however it did.
struct Alive<B> {
    shared: Arc<Shared<B>>,
}

impl<B> Drop for Alive<B> {
    fn drop(&mut self) {
        let mut state = self.shared.lock();
        state.alive = state.alive.saturating_sub(1);
        drop(state);
        self.shared.changed.notify_all();
    }
}

impl<B> Iterator for Loader<B> {
    type Item = Result<Loaded<B>, DatasetError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.taken == self.total {
            return None;
        }
        let place = self.taken;
        let waiting = |state: &mut State<B>| !state.done.contains_key(&place) && state.alive > 0;
        let shared = &self.shared;
        let mut state = shared.changed.wait_while(shared.lock(), waiting).unwrap_or_else(PoisonError::into_inner);
        let made = state.done.remove(&place);
        state.taken += 1;
        drop(state);
        shared.changed.notify_all();
        self.taken += 1;
        if made.is_none() {
            // A worker ended without a word: there is nothing more to come.
            self.taken = self.total;
        }
        made
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        (self.total - self.taken, Some(self.total - self.taken))
    }
}

impl<B> ExactSizeIterator for Loader<B> {}

impl<B> Drop for Loader<B> {
    fn drop(&mut self) {
        self.shared.lock().stopped = true;
        self.shared.changed.notify_all();
        for worker in self.workers.drain(..) {
            // A worker that panicked has said so itself.
            let _ = worker.join();
        }
    }
}
