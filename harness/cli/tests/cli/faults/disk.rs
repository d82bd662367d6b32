//! Disks that are full, and folders that cannot be written.

use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;

use crate::support::{TINY, Workplace, numbers};

/// A file system in memory, of a few megabytes.
struct Small(PathBuf);

impl Small {
    /// Only the superuser can mount one; says so where that is not given.
    fn mount(path: PathBuf) -> Option<Small> {
        fs::create_dir_all(&path).unwrap();
        let mounted = Command::new("mount").args(["-t", "tmpfs", "-o", "size=8m", "tmpfs"]).arg(&path).output();
        if mounted.is_ok_and(|output| output.status.success()) {
            return Some(Small(path));
        }
        println!("SKIPPED: no file system can be mounted here (not the superuser?), so a full disk was not tried");
        None
    }

    fn read_only(&self, yes: bool) {
        let option = if yes { "remount,ro" } else { "remount,rw" };
        assert!(Command::new("mount").args(["-o", option]).arg(&self.0).status().unwrap().success());
    }

    /// Fills it up to this many bytes.
    fn fill(&self, left: usize) {
        let ballast = self.0.join("ballast");
        let mut size = 8 << 20;
        while size > 0 && fs::write(&ballast, vec![0; size]).is_err() {
            size -= 4096;
        }
        fs::write(ballast, vec![0; size.saturating_sub(left)]).unwrap();
    }
}

impl Drop for Small {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg(&self.0).status();
    }
}

fn undisturbed() -> Vec<Value> {
    let workplace = Workplace::new(TINY);
    assert_eq!(workplace.sweep(&[]).1, 0);
    workplace.records("tiny").iter().map(numbers).collect()
}

#[test]
fn a_full_disk_loses_nothing_and_says_what_to_do() {
    let workplace = Workplace::new(TINY);
    let Some(disk) = Small::mount(workplace.path("runs")) else { return };
    disk.fill(48 << 10);
    let ran = workplace.run(&["sweep", "sweep.yaml", "--json", "--jobs", "1"]);
    assert_eq!(ran.code, 1, "{ran:?}");
    let summary: Value = serde_json::from_str(&ran.stdout).unwrap_or_else(|e| panic!("{e}: {ran:?}"));
    assert_eq!(summary["failures"][0]["class"], "disk_full", "{ran:?}");
    assert!(summary["failures"][0]["next"].as_str().unwrap().contains("make space"));
    assert_eq!(summary["counts"]["open"], 1, "the second trial is not even begun: {summary}");
    for trial in workplace.trials("tiny") {
        for entry in fs::read_dir(trial).unwrap().map(Result::unwrap) {
            let name = entry.file_name().into_string().unwrap();
            assert!(!name.starts_with(".tmp-"), "{name}");
            if name.ends_with(".json") {
                serde_json::from_slice::<Value>(&fs::read(entry.path()).unwrap()).unwrap();
            }
        }
    }
    fs::remove_file(disk.0.join("ballast")).unwrap();
    let (_, code) = workplace.sweep(&[]);
    assert_eq!(code, 0);
    assert_eq!(workplace.records("tiny").iter().map(numbers).collect::<Vec<_>>(), undisturbed());
}

/// Makes a folder read-only, as far as this user can be kept from writing at all.
fn lock(folder: &Path) -> Option<Box<dyn FnOnce()>> {
    let superuser = fs::metadata("/proc/self").unwrap().uid() == 0;
    if superuser {
        return None;
    }
    let set = |path: &Path, mode| fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
    let path = folder.to_owned();
    set(&path, 0o555);
    Some(Box::new(move || set(&path, 0o755)))
}

#[test]
fn a_folder_that_cannot_be_written_is_read_all_the_same() {
    let workplace = Workplace::new(TINY);
    let disk = Small::mount(workplace.path("runs"));
    assert_eq!(workplace.sweep(&["--filter", "quant.weights.method=float"]).1, 0);
    let unlock: Box<dyn FnOnce()> = match (&disk, lock(&workplace.path("runs"))) {
        (_, Some(unlock)) => unlock,
        (Some(disk), None) => {
            disk.read_only(true);
            Box::new(|| ())
        }
        (None, None) => {
            println!("SKIPPED: the superuser writes everywhere, so a read-only folder was not tried");
            return;
        }
    };
    let trial = workplace.trials("tiny")[0].clone();
    for arguments in [
        &["runs", "list"][..],
        &["runs", "show", trial.to_str().unwrap()],
        &["report", "runs", "--out", "out"],
        &["eval", trial.to_str().unwrap()],
        &["runs", "archive", "tiny", "--out", "tiny.tar"],
        &["sweep", "sweep.yaml", "--dry-run"],
    ] {
        let ran = workplace.run(arguments);
        assert_eq!(ran.code, 0, "{arguments:?}: {ran:?}");
    }
    let ran = workplace.run(&["sweep", "sweep.yaml"]);
    assert_eq!(ran.code, 2, "{ran:?}");
    assert!(ran.stderr.contains("choose another folder with --runs"), "{ran:?}");
    unlock();
    if let Some(disk) = &disk {
        disk.read_only(false);
    }
    assert_eq!(workplace.sweep(&[]).1, 0);
}
