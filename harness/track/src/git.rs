//! The git repository, through its command line: there is no part of git that would need more.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use crate::error::TrackError;

/// A git repository and the folder in it that commands run in.
#[derive(Debug, Clone)]
pub struct Repository {
    root: PathBuf,
}

/// One commit, as people are told of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Commit {
    /// 40 hex digits (64 in a SHA-256 repository).
    pub id: String,
    /// When it was committed, seconds since 1970.
    pub time: i64,
    /// First line of its message.
    pub subject: String,
}

impl Commit {
    /// The first digits of its id.
    #[must_use]
    pub fn short(&self) -> &str {
        short(&self.id)
    }
}

/// The first digits of a commit's id, as people are shown.
#[must_use]
pub fn short(id: &str) -> &str {
    id.get(..10).unwrap_or(id)
}

impl Repository {
    /// The repository around `folder`.
    ///
    /// # Errors
    /// [`TrackError::NoRepository`].
    pub fn around(folder: &Path) -> Result<Repository, TrackError> {
        let failed = |reason: String| TrackError::NoRepository { folder: folder.to_owned(), reason };
        let mut command = Command::new("git");
        let output = command.arg("-C").arg(folder).args(["rev-parse", "--show-toplevel"]).output();
        let output = output.map_err(|error| failed(format!("git does not start: {error}")))?;
        if !output.status.success() {
            return Err(failed(said(&output)));
        }
        Ok(Repository { root: PathBuf::from(String::from_utf8_lossy(&output.stdout).trim_end_matches('\n')) })
    }

    /// Its top folder.
    #[must_use]
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// A folder of git's own, shared by all working trees, where commands may keep what no commit should see.
    ///
    /// # Errors
    /// When git fails.
    pub fn private_folder(&self) -> Result<PathBuf, TrackError> {
        let text = self.ask(&["rev-parse", "--path-format=absolute", "--git-common-dir"])?;
        Ok(PathBuf::from(text.trim_end_matches('\n')))
    }

    fn run<S: AsRef<OsStr>>(&self, arguments: &[S]) -> Result<Output, TrackError> {
        let mut command = Command::new("git");
        // Another language or a pager would change what is parsed below.
        command.arg("-C").arg(&self.root).args(arguments).env("LC_ALL", "C").env("GIT_PAGER", "cat");
        command.output().map_err(|error| git_error(arguments, error.to_string()))
    }

    fn ask<S: AsRef<OsStr>>(&self, arguments: &[S]) -> Result<String, TrackError> {
        let output = self.run(arguments)?;
        if !output.status.success() {
            return Err(git_error(arguments, said(&output)));
        }
        Ok(String::from_utf8_lossy(&output.stdout).into_owned())
    }

    /// True when older commits are missing from this clone.
    ///
    /// # Errors
    /// When git fails.
    pub fn is_shallow(&self) -> Result<bool, TrackError> {
        Ok(self.ask(&["rev-parse", "--is-shallow-repository"])?.trim() == "true")
    }

    /// The commit that a revision means.
    ///
    /// # Errors
    /// [`TrackError::Unknown`], or [`TrackError::Shallow`] where that may be why.
    pub fn commit(&self, revision: &str) -> Result<Commit, TrackError> {
        // A name that begins with a dash would be an option.
        let peeled = format!("{revision}^{{commit}}");
        let known = self.run(&["rev-parse", "--verify", "--quiet", "--end-of-options", &peeled])?;
        if !known.status.success() {
            if self.is_shallow()? {
                return Err(TrackError::Shallow { what: format!("`{revision}` names no commit that is here") });
            }
            let hint = match revision {
                "HEAD" => ": nothing has been committed yet",
                name if name.starts_with("origin/") => "; `git fetch` brings the branches of the remote",
                _ => "",
            };
            return Err(TrackError::Unknown { name: revision.to_owned(), hint });
        }
        let id = String::from_utf8_lossy(&known.stdout).trim().to_owned();
        let all = self.describe(&["--no-walk=unsorted".to_owned(), id.clone()])?;
        all.into_iter().next().ok_or(TrackError::Unknown { name: revision.to_owned(), hint: "" })
    }

    /// `revision` and its ancestors, newest first; only first parents where `first_parent`.
    ///
    /// # Errors
    /// When git fails.
    pub fn ancestors(&self, revision: &str, first_parent: bool) -> Result<Vec<Commit>, TrackError> {
        let mut arguments = vec!["--topo-order".to_owned()];
        arguments.extend(first_parent.then(|| "--first-parent".to_owned()));
        arguments.extend([revision.to_owned(), "--".to_owned()]);
        self.describe(&arguments)
    }

    /// Commits after `good` up to `bad`, oldest first, along first parents.
    ///
    /// # Errors
    /// [`TrackError::Nothing`] when `good` is no ancestor of `bad` along first parents.
    pub fn between(&self, good: &Commit, bad: &Commit) -> Result<Vec<Commit>, TrackError> {
        let mut chain = self.ancestors(&bad.id, true)?;
        let Some(end) = chain.iter().position(|commit| commit.id == good.id) else {
            let what = format!("{} is not on the line of first parents that leads to {}", good.short(), bad.short());
            if self.is_shallow()? {
                return Err(TrackError::Shallow { what });
            }
            return Err(TrackError::Nothing(format!("{what}: the good commit has to come before the bad one")));
        };
        chain.truncate(end);
        chain.reverse();
        Ok(chain)
    }

    fn describe(&self, arguments: &[String]) -> Result<Vec<Commit>, TrackError> {
        let all = [&["log".to_owned(), "--format=%H%x00%ct%x00%s".to_owned()], arguments].concat();
        let text = self.ask(&all)?;
        let commit = |line: &str| {
            let mut parts = line.splitn(3, '\0');
            let (id, time, subject) = (parts.next()?, parts.next()?, parts.next()?);
            Some(Commit { id: id.to_owned(), time: time.parse().ok()?, subject: subject.to_owned() })
        };
        Ok(text.lines().filter_map(commit).collect())
    }

    /// True when nothing but what lies in `folder` (below the root, with `/`) differs between two commits.
    ///
    /// # Errors
    /// When git fails.
    pub fn same_but_for(&self, one: &str, other: &str, folder: &str) -> Result<bool, TrackError> {
        let excluded = format!(":(exclude,top){folder}");
        let output = self.run(&["diff", "--quiet", one, other, "--", ":(top)", &excluded])?;
        match output.status.code() {
            Some(0) => Ok(true),
            Some(1) => Ok(false),
            _ => Err(TrackError::Git { command: format!("diff {one} {other}"), reason: said(&output) }),
        }
    }

    /// Checks `commit` out into `folder`, which must not exist, without touching the working tree.
    ///
    /// # Errors
    /// When git fails.
    pub fn add_worktree(&self, folder: &Path, commit: &str) -> Result<(), TrackError> {
        let arguments = ["worktree", "add", "--quiet", "--detach", "--force"].map(OsStr::new);
        let all = [&arguments[..], &[folder.as_os_str(), OsStr::new(commit)]].concat();
        self.ask(&all).map(drop)
    }

    /// Removes it again.
    ///
    /// # Errors
    /// When git fails.
    pub fn remove_worktree(&self, folder: &Path) -> Result<(), TrackError> {
        let arguments = ["worktree", "remove", "--force"].map(OsStr::new);
        self.ask(&[&arguments[..], &[folder.as_os_str()]].concat()).map(drop)
    }
}

fn git_error<S: AsRef<OsStr>>(arguments: &[S], reason: String) -> TrackError {
    let words: Vec<String> = arguments.iter().map(|word| word.as_ref().to_string_lossy().into_owned()).collect();
    TrackError::Git { command: words.join(" "), reason }
}

/// What git says, in one line.
fn said(output: &Output) -> String {
    let text = String::from_utf8_lossy(&output.stderr);
    let line = text.lines().find(|line| !line.trim().is_empty()).unwrap_or("it gives no reason");
    line.trim().to_owned()
}
