//! Brings the packages: wheels with pip where there is one, the official archive with curl or wget where not.

use std::fs;
use std::io::{self, ErrorKind, IsTerminal};
use std::path::Path;
use std::process::{self, Command, ExitStatus, Stdio};

use anyhow::{Context, Result, bail};

use super::platform::{Archive, Platform, VERSION, Wheel};
use super::{Request, checksum, create, remove, rename};
use crate::workspace;

/// A downloaded package file.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Source {
    pub(super) file: String,
    pub(super) sha256: String,
    /// Whether the checksum was known before the download, or is only what was found.
    pub(super) is_pinned: bool,
}

/// Sees to it that `folder` holds the packages, and keeps those that it holds already.
///
/// # Errors
/// When something cannot be downloaded or is not what was pinned.
pub(super) fn bring(root: &Path, platform: &Platform, request: Request, folder: &Path) -> Result<Vec<Source>> {
    let place = workspace::shown(root, folder);
    let no_pip = if request.archive {
        "the archive was asked for".to_owned()
    } else {
        match Pip::find() {
            Ok(pip) => return wheels(&pip, platform, request, folder, &place),
            Err(why) => why,
        }
    };
    match platform.archive(request.variant()) {
        Some(archive) => {
            eprintln!("libtorch: not by pip ({no_pip}): {VERSION} for {} from the official archive", platform.name);
            Ok(vec![whole_archive(archive, folder, &place)?])
        }
        None => bail!(
            "not by pip ({no_pip}), and there is no official libtorch archive for {}: install python3 with pip, or \
             set LIBTORCH to a libtorch {VERSION}",
            platform.name
        ),
    }
}

fn wheels(pip: &Pip, platform: &Platform, request: Request, folder: &Path, place: &str) -> Result<Vec<Source>> {
    let wheels = platform.wheels(request.variant())?;
    eprintln!(
        "libtorch: {VERSION} ({}) for {} from {} wheels by `{}` into {place}: {}",
        request.variant(),
        platform.name,
        wheels.len(),
        pip.name(),
        platform.size(request.variant()),
    );
    clear_attempts(folder)?;
    wheels.into_iter().map(|wheel| one_wheel(pip, wheel, folder)).collect()
}

/// One call of pip for each, so that what is complete is kept when a later one fails.
fn one_wheel(pip: &Pip, wheel: &Wheel, folder: &Path) -> Result<Source> {
    let source = Source { file: wheel.file.to_owned(), sha256: wheel.sha256.to_owned(), is_pinned: true };
    let target = folder.join(wheel.file);
    if target.exists() {
        if checksum::verify(&target, wheel.sha256).is_ok() {
            eprintln!("libtorch: {} is already downloaded", wheel.file);
            return Ok(source);
        }
        remove(&target)?;
    }
    eprintln!("libtorch: downloading {}", wheel.requirement());
    let attempt = folder.join(format!("{ATTEMPT}{}", process::id()));
    remove(&attempt)?;
    create(&attempt)?;
    pip.download(wheel, &attempt)?;
    let brought = attempt.join(wheel.file);
    if !brought.exists() {
        bail!("pip reported success but brought no {}", wheel.file);
    }
    checksum::verify(&brought, wheel.sha256)?;
    rename(&brought, &target)?;
    remove(&attempt)?;
    Ok(source)
}

/// Each set-up has a folder of its own for what pip is writing: a pip that outlives a killed set-up writes into
/// nothing that is read.
const ATTEMPT: &str = "attempt-";

fn clear_attempts(folder: &Path) -> Result<()> {
    for entry in fs::read_dir(folder).with_context(|| format!("cannot read {}", folder.display()))? {
        let entry = entry.with_context(|| format!("cannot read {}", folder.display()))?;
        if entry.file_name().to_string_lossy().starts_with(ATTEMPT) {
            remove(&entry.path())?;
        }
    }
    Ok(())
}

/// A pip that runs.
struct Pip {
    program: &'static str,
    first: &'static [&'static str],
}

impl Pip {
    /// The first that answers.
    ///
    /// # Errors
    /// Says why there is none.
    fn find() -> Result<Pip, String> {
        let module: &[&str] = &["-m", "pip"];
        let candidates = [("python3", module), ("python", module), ("pip3", &[]), ("pip", &[])];
        let mut pips = candidates.into_iter().map(|(program, first)| Pip { program, first });
        pips.find(Pip::answers)
            .ok_or_else(|| "neither python3 nor python has it, and there is no pip3 or pip".to_owned())
    }

    fn answers(&self) -> bool {
        let output = Command::new(self.program).args(self.first).arg("--version").stdin(Stdio::null()).output();
        output.is_ok_and(|output| output.status.success())
    }

    fn name(&self) -> String {
        [&[self.program], self.first].concat().join(" ")
    }

    /// Downloads one wheel into `attempt` by the user's own index settings.
    fn download(&self, wheel: &Wheel, attempt: &Path) -> Result<()> {
        // With the checksum pip takes this build even where an index offers others of the same version.
        let requirements = attempt.join("requirements.txt");
        fs::write(&requirements, format!("{} --hash=sha256:{}\n", wheel.requirement(), wheel.sha256))
            .with_context(|| format!("cannot write {}", requirements.display()))?;
        // Beside the target, not in /tmp, which is often small or memory.
        let temporary = attempt.join("tmp");
        create(&temporary)?;
        let mut pip = Command::new(self.program);
        pip.args(self.first)
            .args(["download", "--no-deps", "--only-binary=:all:", "--python-version", "3.12"])
            .args(["--implementation", "cp", "--platform", wheel.platform()])
            .args(["--disable-pip-version-check", "--no-input"])
            .args(["--progress-bar", if io::stderr().is_terminal() { "on" } else { "off" }])
            .arg("--dest")
            .arg(attempt)
            .arg("--requirement")
            .arg(&requirements)
            .env("TMPDIR", &temporary)
            // Nothing is installed, so no virtual environment is needed to install it into.
            .env("PIP_REQUIRE_VIRTUALENV", "0")
            .stdin(Stdio::null())
            .stdout(Stdio::from(io::stderr()));
        let status = pip.status().with_context(|| format!("cannot start {}", self.name()))?;
        if !status.success() {
            bail!(
                "pip could not download {} ({status}; its own message is above). Is the network there, and does your \
                 package index have it? What is complete is kept for the next `cargo xtask setup`; with `--archive` \
                 that takes the official libtorch archive instead",
                wheel.file
            );
        }
        Ok(())
    }
}

fn whole_archive(archive: &Archive, folder: &Path, place: &str) -> Result<Source> {
    let target = folder.join(archive.file());
    if target.exists() {
        eprintln!("libtorch: {} is already downloaded", archive.file());
    } else {
        eprintln!("libtorch: downloading {} ({}) into {place}", archive.url, archive.size);
        let part = folder.join(format!("{}.part", archive.file()));
        fetch(archive.url, &part)?;
        rename(&part, &target)?;
    }
    let sha256 = checksum::sha256(&target)?;
    eprintln!(
        "libtorch: warning: the archive's checksum is not pinned: it is taken as the host sent it over https (sha256 \
         {sha256})"
    );
    Ok(Source { file: archive.file().to_owned(), sha256, is_pinned: false })
}

/// Downloads `url` to `part`, going on where an earlier attempt stopped.
fn fetch(url: &str, part: &Path) -> Result<()> {
    let Some((tool, status)) = fetch_once(url, part)? else {
        bail!(
            "there is no pip, no curl and no wget to download libtorch with: install one of them (on Debian: \
             python3-pip or curl), or set LIBTORCH to a libtorch {VERSION}"
        );
    };
    if status.success() {
        return Ok(());
    }
    // 22 and 33 of curl and 8 of wget: the server refused the request, which a changed or complete file explains.
    let was_refused = matches!((tool, status.code()), ("curl", Some(22 | 33)) | ("wget", Some(8)));
    if was_refused && part.exists() {
        eprintln!("libtorch: the download cannot be continued; beginning again");
        remove(part)?;
        if fetch_once(url, part)?.is_some_and(|(_, status)| status.success()) {
            return Ok(());
        }
    }
    bail!(
        "{tool} could not download {url} ({status}; its own message is above); what has come is kept for the next try"
    )
}

/// The tool that was there and how it ended.
fn fetch_once(url: &str, part: &Path) -> Result<Option<(&'static str, ExitStatus)>> {
    let curl: &[&str] =
        &["--fail", "--location", "--proto", "=https", "--retry", "3", "--continue-at", "-", "--output"];
    let wget: &[&str] = &["--continue", "--tries=3", "--output-document"];
    for (tool, args) in [("curl", curl), ("wget", wget)] {
        match Command::new(tool).args(args).arg(part).arg(url).stdin(Stdio::null()).status() {
            Ok(status) => return Ok(Some((tool, status))),
            Err(error) if error.kind() == ErrorKind::NotFound => {}
            Err(error) => return Err(error).with_context(|| format!("cannot start {tool}")),
        }
    }
    Ok(None)
}
