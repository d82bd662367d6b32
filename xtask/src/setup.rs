//! Puts libtorch into `.libtorch`, where `.cargo/config.toml` points every build.
//!
//! ```text
//! LIBTORCH or LIBTORCH_USE_PYTORCH set by the user  -> that one is used, nothing is done      (elsewhere)
//! .libtorch holds what its manifest says            -> nothing is done                        (manifest)
//! otherwise, one process at a time                                                            (lock)
//!   wheels by pip, or the official archive          -> .libtorch.partial/download, checksummed (download)
//!   headers and libraries out of them               -> .libtorch.partial/tree                 (unpack)
//!   manifest into the tree, tree renamed to .libtorch, .libtorch.partial deleted
//! ```
//! A set-up that is killed leaves only `.libtorch.partial` behind: the next one keeps the downloads that are complete
//! and begins the rest again.

mod checksum;
mod download;
mod elsewhere;
mod lock;
mod manifest;
mod platform;
mod unpack;

use std::fs;
use std::path::Path;
use std::time::Instant;

use anyhow::{Context, Result, bail};

use self::download::Source;
use self::manifest::{Manifest, State};
use self::platform::{Platform, TCH, VERSION, Variant};
use crate::workspace;

/// The folder that builds link against, from the workspace's root.
const HOME: &str = ".libtorch";

/// What the command line asked for.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Request {
    /// With the CUDA libraries.
    pub(crate) cuda: bool,
    /// Again, whatever is there.
    pub(crate) force: bool,
    /// From the official archive even where pip could be used.
    pub(crate) archive: bool,
}

impl Request {
    fn variant(self) -> Variant {
        if self.cuda { Variant::Cuda } else { Variant::Cpu }
    }
}

/// Sees to it that builds in the workspace at `root` find libtorch.
///
/// # Errors
/// Says which step failed, on what, and what can be done about it; `.libtorch` is then as it was.
pub(crate) fn run(root: &Path, request: Request) -> Result<()> {
    let home = root.join(HOME);
    if let Some(place) = elsewhere::chosen(&home, |name| std::env::var_os(name)) {
        let version = place.check()?;
        eprintln!("libtorch: using {place} ({version}); {HOME} is not touched");
        return Ok(());
    }
    if let Verdict::Done(found) = judge(&home, request)? {
        eprintln!("libtorch: {found}");
        return Ok(());
    }
    let _lock = lock::acquire(&root.join(".libtorch.lock"))?;
    // Another set-up may have done it all while this one waited.
    match judge(&home, request)? {
        Verdict::Done(found) => {
            eprintln!("libtorch: {found}");
            return Ok(());
        }
        Verdict::Again(why) => eprintln!("libtorch: {why}; setting it up again"),
        Verdict::First => {}
    }
    install(root, &home, request)
}

/// What the folder's state means for a request, in words.
enum Verdict {
    /// There is nothing to do.
    Done(String),
    /// What is there is ours and not enough.
    Again(String),
    /// Nothing is there, or nothing that counts.
    First,
}

fn judge(home: &Path, request: Request) -> Result<Verdict> {
    if request.force {
        return Ok(Verdict::First);
    }
    Ok(match manifest::state(home)? {
        State::Absent => Verdict::First,
        State::Whole(manifest) if manifest.version != VERSION => {
            Verdict::Again(format!("{HOME} holds {}, and tch {TCH} needs {VERSION}", manifest.version))
        }
        State::Whole(manifest) if !manifest.variant.serves(request.variant()) => {
            Verdict::Again(format!("{HOME} holds {VERSION} without CUDA"))
        }
        State::Whole(manifest) => Verdict::Done(format!("{VERSION} ({}) is in {HOME}", manifest.variant)),
        State::Damaged(why) => Verdict::Again(format!("{HOME} is damaged ({why})")),
        // Somebody put it there, and others may be building against it: it is theirs to keep or give up.
        State::Foreign(version) => {
            let version = version.unwrap_or_else(|| "of unknown version".to_owned());
            Verdict::Done(format!(
                "{HOME} holds one ({version}; tch {TCH} needs {VERSION}) that this command did not put there: used as \
                 it is, `cargo xtask setup --force` replaces it"
            ))
        }
        State::Unknown => bail!(
            "{HOME} is neither libtorch nor something this command made; move it away, or let \
             `cargo xtask setup --force` replace it"
        ),
    })
}

fn install(root: &Path, home: &Path, request: Request) -> Result<()> {
    let start = Instant::now();
    let platform = Platform::of_this_machine()?;
    let partial = root.join(".libtorch.partial");
    let downloads = partial.join("download");
    let tree = partial.join("tree");
    create(&downloads)?;
    remove(&tree)?;
    create(&tree)?;

    let sources = download::bring(root, platform, request, &downloads)?;
    let mut files = Vec::new();
    for source in &sources {
        eprintln!("libtorch: unpacking {}", source.file);
        let archive = downloads.join(&source.file);
        let unpacked = unpack::unpack(&archive, &tree, |name| platform.place(request.variant(), name));
        match unpacked {
            Ok(more) => files.extend(more),
            Err(error) => {
                // What cannot be read is fetched again next time.
                remove(&archive)?;
                return Err(error.context(format!(
                    "cannot unpack {}; its download was deleted, so that another `cargo xtask setup` fetches it again",
                    source.file
                )));
            }
        }
    }
    let manifest = Manifest::new(platform, request.variant(), sources, files);
    for library in platform.libraries_needed(request.variant()) {
        if !manifest.libraries.iter().any(|(path, _)| path.strip_prefix("lib/") == Some(*library)) {
            bail!("{library} was in none of what was downloaded ({})", names(&manifest.sources));
        }
    }
    if manifest.headers == 0 {
        bail!("there are no headers in what was downloaded ({})", names(&manifest.sources));
    }
    manifest.write(&tree)?;
    replace(home, &tree, &partial.join("replaced"))?;
    remove(&partial)?;
    eprintln!(
        "libtorch: {VERSION} ({}) is ready in {}: {} MB, {} headers, {:.0} s",
        manifest.variant,
        workspace::shown(root, home),
        manifest.bytes() / 1_000_000,
        manifest.headers,
        start.elapsed().as_secs_f64()
    );
    Ok(())
}

fn names(sources: &[Source]) -> String {
    sources.iter().map(|source| source.file.as_str()).collect::<Vec<_>>().join(", ")
}

/// Puts `tree` in the place of `home`. Programs that run from the old folder keep the files they have open.
fn replace(home: &Path, tree: &Path, aside: &Path) -> Result<()> {
    remove(aside)?;
    if home.symlink_metadata().is_ok() {
        rename(home, aside)?;
    }
    rename(tree, home)
}

fn rename(from: &Path, to: &Path) -> Result<()> {
    fs::rename(from, to).with_context(|| format!("cannot rename {} to {}", from.display(), to.display()))
}

fn create(folder: &Path) -> Result<()> {
    fs::create_dir_all(folder).with_context(|| format!("cannot create the folder {}", folder.display()))
}

/// Deletes a file, a folder with all it holds, or nothing; of a symbolic link the link.
fn remove(path: &Path) -> Result<()> {
    let gone = match path.symlink_metadata() {
        Ok(found) if found.is_dir() => fs::remove_dir_all(path),
        Ok(_) => fs::remove_file(path),
        Err(_) => Ok(()),
    };
    gone.with_context(|| format!("cannot delete {}", path.display()))
}
