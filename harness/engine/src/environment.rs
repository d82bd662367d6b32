//! What a trial runs on.

use std::fs;
use std::process::Command;
use std::thread;

use harness_records::record::Environment;
use tch::Device;

use crate::device;

/// Commit and state of the git repository around the working directory.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Revision {
    /// 40 hex digits; `None` outside a repository, or without git.
    pub commit: Option<String>,
    /// True when tracked files differ from the commit, those in `history/` aside.
    pub dirty: Option<bool>,
}

impl Revision {
    /// Asks git.
    #[must_use]
    pub fn here() -> Revision {
        let commit = git(&["rev-parse", "--verify", "--quiet", "HEAD"]).filter(|text| !text.is_empty());
        // What `harness track` has just recorded changes nothing that runs.
        let tracked = ["status", "--porcelain", "--untracked-files=no", "--", ":(top)", ":(exclude,top)history"];
        let dirty = commit.as_ref().and_then(|_| git(&tracked));
        Revision { commit, dirty: dirty.map(|text| !text.is_empty()) }
    }
}

fn git(arguments: &[&str]) -> Option<String> {
    let output = Command::new("git").args(arguments).output().ok()?;
    output.status.success().then(|| String::from_utf8_lossy(&output.stdout).trim().to_owned())
}

/// The environment of a trial on `device` with this many threads.
#[must_use]
pub fn environment(revision: &Revision, device: Device, threads: u32) -> Environment {
    let cpu = cpu_model();
    Environment {
        commit: revision.commit.clone(),
        dirty: revision.dirty,
        harness: env!("CARGO_PKG_VERSION").to_owned(),
        libtorch: harness_torch::version(),
        device: device::recorded(device),
        device_name: match device {
            Device::Cuda(index) => gpu_name(index).unwrap_or_else(|| "unknown GPU".to_owned()),
            _ => cpu.clone(),
        },
        cpu,
        cpu_capability: harness_torch::cpu_capability(),
        threads,
        host: harness_records::lease::host(),
        platform: format!("{}-{}", std::env::consts::OS, std::env::consts::ARCH),
    }
}

/// Cores this process may use.
#[must_use]
pub fn cores() -> usize {
    thread::available_parallelism().map_or(1, usize::from)
}

/// Model name of the CPU, as the kernel gives it.
#[must_use]
pub fn cpu_model() -> String {
    let text = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let name = text.lines().find_map(|line| line.strip_prefix("model name")?.split_once(':'));
    name.map_or_else(|| "unknown CPU".to_owned(), |(_, name)| name.trim().to_owned())
}

fn gpu_name(index: usize) -> Option<String> {
    let output = Command::new("nvidia-smi")
        .args(["--query-gpu=name", "--format=csv,noheader", &format!("--id={index}")])
        .output()
        .ok()?;
    let name = String::from_utf8_lossy(&output.stdout).trim().to_owned();
    (output.status.success() && !name.is_empty()).then_some(name)
}
