//! Leases: at most one process works on a trial, also over NFS, without a server.
//!
//! A trial folder holds files `lease.1`, `lease.2`, ...; the highest number owns the trial. To claim it:
//!
//! 1. Read the highest lease. If its owner lives, give up.
//! 2. Write an own lease to a temporary file and hard-link it to the next number. Linking fails when the name
//!    exists, so of all who found the same owner dead one gets the number.
//! 3. Look again. If a higher number has appeared meanwhile, withdraw; else remove the lower ones: the trial is ours.
//!
//! Numbers only grow: a released lease stays as a tombstone until the next owner takes a higher number. (If the
//! highest file were removed, a claimer who was slow since step 1 could own number 5 while a new one owns number 1.)
//! Only a finished trial loses its last lease, because there any claimer finds the record and withdraws.
//!
//! Whether an owner lives is certain on its own machine: the process exists and started when the lease says. From
//! another machine (or another boot or process namespace) only its heartbeat tells: it is dead when the lease has not
//! changed for `stale_after`, measured on the observer's own monotonic clock. Times in leases are for people: clocks of
//! machines differ and jump, so nothing is decided by them.
//! An owner that was wrongly taken for dead (a machine that slept) finds the higher number at its next heartbeat.

use std::collections::HashMap;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};

use crate::store::atomic;
use crate::store::files::is_finished;
pub use crate::store::host::host;
use crate::store::host::{Process, now, pid_namespace, process, read_line};

/// Time without a heartbeat after which an owner on another machine is taken for dead.
pub const STALE_AFTER: Duration = Duration::from_secs(120);
/// Time between two heartbeats: a few may be lost before an owner looks dead.
pub const HEARTBEAT: Duration = Duration::from_secs(15);
/// Rounds of a claim against others who claim at the same time; each round has a winner.
const ROUNDS: usize = 16;

/// Who holds a lease, as written in its file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Owner {
    /// Host name.
    pub host: String,
    /// Changes when the machine starts; `None` where the system does not tell.
    pub boot_id: Option<String>,
    /// Processes of another namespace (container) cannot be looked up.
    pub pid_namespace: Option<String>,
    /// Process.
    pub pid: u32,
    /// Start time of the process in clock ticks since boot: a later process with the same number differs.
    pub process_start: Option<u64>,
    /// Seconds since 1970 UTC of the last heartbeat, by the owner's clock; for people.
    pub heartbeat: u64,
    /// Heartbeats so far.
    pub beats: u64,
    /// Different for every lease.
    pub token: String,
    /// True once the owner has let go.
    pub released: bool,
}

/// What a look at an owner tells.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Life {
    Lives,
    Dead,
    /// Only the heartbeat can tell.
    Unknown,
}

impl Owner {
    fn this_process() -> Owner {
        let pid = std::process::id();
        Owner {
            host: host(),
            boot_id: read_line("/proc/sys/kernel/random/boot_id"),
            pid_namespace: pid_namespace(),
            pid,
            process_start: match process(pid) {
                Process::Started(start) => Some(start),
                Process::Gone | Process::Hidden => None,
            },
            heartbeat: now(),
            beats: 0,
            token: atomic::token(),
            released: false,
        }
    }

    fn life(&self) -> Life {
        if self.released {
            return Life::Dead;
        }
        let same_boot = self.boot_id.is_some() && self.boot_id == read_line("/proc/sys/kernel/random/boot_id");
        if same_boot && self.pid_namespace.is_some() && self.pid_namespace == pid_namespace() {
            return match process(self.pid) {
                Process::Started(start) if self.process_start.is_none_or(|wanted| wanted == start) => Life::Lives,
                Process::Started(_) | Process::Gone => Life::Dead,
                Process::Hidden => Life::Unknown,
            };
        }
        Life::Unknown
    }
}

/// Remembers when foreign leases last changed, on this process's own clock.
#[derive(Debug)]
pub(crate) struct Watch {
    stale_after: Duration,
    seen: Mutex<HashMap<PathBuf, Seen>>,
}

#[derive(Debug)]
struct Seen {
    content: Vec<u8>,
    since: Instant,
    /// It has changed since the first look.
    beats: bool,
}

impl Watch {
    pub(crate) fn new(stale_after: Duration) -> Watch {
        Watch { stale_after, seen: Mutex::new(HashMap::new()) }
    }

    /// Whom the lease with this content binds.
    fn judge(&self, path: &Path, content: &[u8]) -> Holder {
        let owner: Option<Owner> = serde_json::from_slice(content).ok();
        match owner.as_ref().map_or(Life::Unknown, Owner::life) {
            Life::Lives => Holder::Lives(owner),
            Life::Dead => Holder::Nobody,
            Life::Unknown => {
                let mut seen = lock(&self.seen);
                let now = |beats| Seen { content: content.to_owned(), since: Instant::now(), beats };
                match seen.get(path) {
                    None => drop(seen.insert(path.to_owned(), now(false))),
                    Some(known) if known.content != content => drop(seen.insert(path.to_owned(), now(true))),
                    Some(known) if known.since.elapsed() >= self.stale_after => return Holder::Nobody,
                    Some(known) if known.beats => return Holder::Lives(owner),
                    Some(known) => {
                        return Holder::Silent { owner, left: self.stale_after.saturating_sub(known.since.elapsed()) };
                    }
                }
                if seen.get(path).is_some_and(|seen| seen.beats) {
                    return Holder::Lives(owner);
                }
                Holder::Silent { owner, left: self.stale_after }
            }
        }
    }
}

/// Who holds a trial.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Holder {
    /// Nobody does.
    Nobody,
    /// Somebody who lives does; who, where the lease can be read.
    Lives(Option<Owner>),
    /// Somebody elsewhere does, who has shown no life since this process first looked.
    Silent {
        /// Who, where the lease can be read.
        owner: Option<Owner>,
        /// Time until it is taken for dead.
        left: Duration,
    },
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // What is guarded stays consistent between any two statements, so a panic elsewhere does no harm.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

fn lease_path(folder: &Path, generation: u64) -> PathBuf {
    folder.join(format!("lease.{generation}"))
}

/// Numbers of the leases in a folder, ascending; empty when there is no folder.
fn generations(folder: &Path) -> io::Result<Vec<u64>> {
    let entries = match fs::read_dir(folder) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(error),
    };
    let mut numbers = Vec::new();
    for entry in entries {
        let name = entry?.file_name();
        let number: Option<u64> =
            name.to_str().and_then(|name| name.strip_prefix("lease.")).and_then(|n| n.parse().ok());
        numbers.extend(number);
    }
    numbers.sort_unstable();
    Ok(numbers)
}

fn read_lease(path: &Path) -> io::Result<Option<Vec<u8>>> {
    match fs::read(path) {
        Ok(content) => Ok(Some(content)),
        // On NFS a file that another machine has just replaced or removed may be stale instead of absent.
        Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::StaleNetworkFileHandle) => {
            Ok(None)
        }
        Err(error) => Err(error),
    }
}

/// Who holds the trial now.
pub(crate) fn holder(folder: &Path, watch: &Watch) -> io::Result<Holder> {
    let Some(&top) = generations(folder)?.last() else { return Ok(Holder::Nobody) };
    let path = lease_path(folder, top);
    Ok(read_lease(&path)?.map_or(Holder::Nobody, |content| watch.judge(&path, &content)))
}

/// Outcome of an attempt to claim a trial.
#[derive(Debug)]
pub(crate) enum Claimed {
    Ours(Lease),
    /// The owner, where its lease can be read.
    Held(Option<Owner>),
}

/// Claims the trial in an existing folder.
pub(crate) fn claim(folder: &Path, watch: &Watch) -> io::Result<Claimed> {
    for _ in 0..ROUNDS {
        let top = generations(folder)?.last().copied();
        if let Some(top) = top {
            let path = lease_path(folder, top);
            // Gone between the two looks: somebody else has just claimed it.
            let Some(content) = read_lease(&path)? else { continue };
            match watch.judge(&path, &content) {
                Holder::Nobody => {}
                Holder::Lives(owner) | Holder::Silent { owner, .. } => return Ok(Claimed::Held(owner)),
            }
        }
        let generation = top.unwrap_or(0) + 1;
        let owner = Owner::this_process();
        if !atomic::create(&lease_path(folder, generation), &to_json(&owner)?)? {
            continue;
        }
        let inner =
            Inner { folder: folder.to_owned(), generation, owner: Mutex::new(owner), lost: AtomicBool::new(false) };
        let all = generations(folder)?;
        if all.last() != Some(&generation) {
            remove(&lease_path(folder, generation))?;
            continue;
        }
        for lower in all.into_iter().filter(|lower| *lower < generation) {
            remove(&lease_path(folder, lower))?;
        }
        return Ok(Claimed::Ours(Lease { inner: Arc::new(inner), heart: None, released: false }));
    }
    Ok(Claimed::Held(None))
}

fn remove(path: &Path) -> io::Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

fn to_json(owner: &Owner) -> io::Result<Vec<u8>> {
    serde_json::to_vec(owner).map_err(io::Error::other)
}

/// The right to work on one trial. Let go when dropped.
#[derive(Debug)]
pub struct Lease {
    inner: Arc<Inner>,
    heart: Option<Heart>,
    released: bool,
}

#[derive(Debug)]
struct Inner {
    folder: PathBuf,
    generation: u64,
    owner: Mutex<Owner>,
    lost: AtomicBool,
}

impl Inner {
    fn path(&self) -> PathBuf {
        lease_path(&self.folder, self.generation)
    }

    /// Rewrites the lease after `change`, unless it is lost; whether it is still ours.
    fn rewrite(&self, change: impl FnOnce(&mut Owner)) -> io::Result<bool> {
        let mut owner = lock(&self.owner);
        if generations(&self.folder)?.last() != Some(&self.generation) {
            self.lost.store(true, Ordering::Release);
            return Ok(false);
        }
        change(&mut owner);
        atomic::write(&self.path(), &to_json(&owner)?)?;
        Ok(true)
    }

    fn beat(&self) -> io::Result<bool> {
        self.rewrite(|owner| {
            owner.heartbeat = now();
            owner.beats += 1;
        })
    }
}

impl Lease {
    /// Shows that the owner lives. False when somebody else has taken the trial over: stop, and write nothing more.
    ///
    /// # Errors
    /// Any failure of the file system; whether the lease still holds is then unknown, so try again soon.
    pub fn beat(&self) -> io::Result<bool> {
        self.inner.beat()
    }

    /// True once a heartbeat has found somebody else to own the trial.
    #[must_use]
    pub fn is_lost(&self) -> bool {
        self.inner.lost.load(Ordering::Acquire)
    }

    /// Beats from a thread of its own until the lease is let go or lost. Failures of the file system are left to
    /// the next beat; an owner that cannot write for long is rightly taken for dead.
    ///
    /// # Errors
    /// The system has no more threads.
    pub fn beat_every(&mut self, interval: Duration) -> io::Result<()> {
        self.heart = Some(Heart::start(Arc::clone(&self.inner), interval)?);
        Ok(())
    }

    /// Number of this lease: how often the trial has been claimed.
    #[must_use]
    pub fn generation(&self) -> u64 {
        self.inner.generation
    }

    /// Lets go.
    ///
    /// # Errors
    /// Any failure of the file system; the lease then ends with this process.
    pub fn release(mut self) -> io::Result<()> {
        self.let_go()
    }

    fn let_go(&mut self) -> io::Result<()> {
        self.heart = None;
        if self.released {
            return Ok(());
        }
        self.released = true;
        if is_finished(&self.inner.folder) {
            return remove(&self.inner.path());
        }
        self.inner.rewrite(|owner| owner.released = true).map(drop)
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        // Without success the lease ends with this process all the same.
        let _ = self.let_go();
    }
}

/// The thread that beats.
#[derive(Debug)]
struct Heart {
    stop: Arc<(Mutex<bool>, Condvar)>,
    thread: Option<JoinHandle<()>>,
}

impl Heart {
    fn start(inner: Arc<Inner>, interval: Duration) -> io::Result<Heart> {
        let stop = Arc::new((Mutex::new(false), Condvar::new()));
        let signal = Arc::clone(&stop);
        let thread = std::thread::Builder::new().name("lease".to_owned()).spawn(move || {
            let (stopped, condition) = &*signal;
            let mut stopped = lock(stopped);
            while !*stopped {
                let waited = condition.wait_timeout(stopped, interval);
                stopped = waited.map_or_else(|poisoned| poisoned.into_inner().0, |(guard, _)| guard);
                if !*stopped && matches!(inner.beat(), Ok(false)) {
                    return;
                }
            }
        })?;
        Ok(Heart { stop, thread: Some(thread) })
    }
}

impl Drop for Heart {
    fn drop(&mut self) {
        *lock(&self.stop.0) = true;
        self.stop.1.notify_all();
        if let Some(thread) = self.thread.take() {
            // A panic there is impossible by construction and would change nothing here.
            let _ = thread.join();
        }
    }
}
