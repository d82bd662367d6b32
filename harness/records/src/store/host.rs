//! What the system tells about this machine and its processes, and the time of day.

use std::fs;
use std::io;
use std::path::Path;
use std::time::{SystemTime, UNIX_EPOCH};

/// Seconds since 1970 UTC.
pub(crate) fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |d| d.as_secs())
}

pub(crate) fn read_line(path: &str) -> Option<String> {
    fs::read_to_string(path).ok().map(|text| text.trim().to_owned()).filter(|text| !text.is_empty())
}

/// Name of this machine.
#[must_use]
pub fn host() -> String {
    read_line("/proc/sys/kernel/hostname")
        .or_else(|| std::env::var("HOSTNAME").ok())
        .unwrap_or_else(|| "unknown".into())
}

pub(crate) fn pid_namespace() -> Option<String> {
    fs::read_link("/proc/self/ns/pid").ok().map(|link| link.to_string_lossy().into_owned())
}

pub(crate) enum Process {
    /// In clock ticks since boot.
    Started(u64),
    Gone,
    /// The system does not tell.
    Hidden,
}

pub(crate) fn process(pid: u32) -> Process {
    match fs::read_to_string(format!("/proc/{pid}/stat")) {
        Ok(text) => parse_stat(&text),
        // Where processes of other users are hidden, so is the first one; then absence means nothing.
        Err(error) if error.kind() == io::ErrorKind::NotFound && Path::new("/proc/1/stat").exists() => Process::Gone,
        Err(_) => Process::Hidden,
    }
}

/// Fields 3 (state) and 22 (start) of `/proc/PID/stat`; field 2 is the name in brackets and may contain anything.
fn parse_stat(text: &str) -> Process {
    let mut fields = text.rsplit_once(')').map_or("", |(_, rest)| rest).split_whitespace();
    let state = fields.next();
    match (state, fields.nth(18).and_then(|start| start.parse().ok())) {
        // A zombie has ended; only its parent has not noticed.
        (Some("Z" | "X" | "x"), _) => Process::Gone,
        (_, Some(start)) => Process::Started(start),
        _ => Process::Hidden,
    }
}
