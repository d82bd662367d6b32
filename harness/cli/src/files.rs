//! Files named on the command line; `-` is standard input or output.

use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};

use anyhow::Context;
use harness_records::atomic;

use crate::exit::{Outcome, Stop, refuse};

/// Whether a path stands for standard input or output.
pub(crate) fn is_standard(path: &Path) -> bool {
    path.as_os_str() == "-"
}

/// Opens an input.
pub(crate) fn open(path: &Path) -> Result<Box<dyn Read>, Stop> {
    if is_standard(path) {
        return Ok(Box::new(io::stdin().lock()));
    }
    let file = File::open(path).map_err(|error| refuse(format_args!("cannot read {}: {error}", path.display())))?;
    Ok(Box::new(io::BufReader::new(file)))
}

/// Refuses outputs that have no folder, are folders themselves, or are the same file as another of these options;
/// before anything is computed.
pub(crate) fn check_outputs(input: (&str, &Path), outputs: &[(&str, &Path)]) -> Outcome {
    for (i, (option, path)) in outputs.iter().enumerate() {
        let shown = path.display();
        let folder = folder(path);
        if !is_standard(path) && !folder.is_dir() {
            return Err(refuse(format_args!("{option} {shown}: there is no folder {}", folder.display())));
        }
        if path.is_dir() || path.file_name().is_none() {
            return Err(refuse(format_args!("{option} {shown}: this is a folder, expected a file to write")));
        }
        // Standard input and standard output share a name only.
        let input = (!is_standard(path)).then_some(input);
        let same = input.iter().chain(&outputs[..i]).find(|(_, other)| place(other) == place(path));
        if let Some((other, _)) = same {
            return Err(refuse(format_args!("{other} and {option} are the same file, {shown}")));
        }
    }
    Ok(())
}

/// The folder that a file is in.
fn folder(path: &Path) -> &Path {
    path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

/// The file itself where it exists, else its name in the folder it would be created in.
fn place(path: &Path) -> PathBuf {
    let new = || Some(folder(path).canonicalize().ok()?.join(path.file_name()?));
    path.canonicalize().ok().or_else(new).unwrap_or_else(|| path.to_owned())
}

/// Writes an output: completely or not at all, unless it is a pipe or a device.
pub(crate) fn write(path: &Path, bytes: &[u8]) -> Outcome {
    let written = if is_standard(path) {
        let mut out = io::stdout().lock();
        out.write_all(bytes).and_then(|()| out.flush())
    } else if fs::metadata(path).is_ok_and(|existing| !existing.is_file()) {
        fs::write(path, bytes)
    } else {
        atomic::write(path, bytes)
    };
    Ok(written.with_context(|| format!("cannot write {}", path.display()))?)
}
