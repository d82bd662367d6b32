//! Takes chosen files out of a zip archive (a wheel is one).

use std::fs::{self, File};
use std::io::{self, BufReader, BufWriter, Write};
use std::path::{Component, Path};

use anyhow::{Context, Result, bail};
use zip::ZipArchive;

/// Unpacks into the empty folder `into` the files that `place` gives a place, and returns those places with the
/// files' sizes in bytes. Every name in the archive is checked, chosen or not: an archive with one bad name is not
/// what it says it is.
///
/// # Errors
/// When the archive is cut short or damaged, when a name leads out of the folder, when two chosen files have one
/// place, when a chosen entry is a symbolic link, and when a file cannot be written.
pub(super) fn unpack(
    archive: &Path,
    into: &Path,
    place: impl Fn(&str) -> Option<String>,
) -> Result<Vec<(String, u64)>> {
    let file = File::open(archive).with_context(|| format!("cannot open {}", archive.display()))?;
    let bytes = file.metadata().with_context(|| format!("cannot read {}", archive.display()))?.len();
    let mut zip = ZipArchive::new(BufReader::new(file)).with_context(|| {
        format!("not a complete zip archive ({bytes} bytes); it was cut short or is something else")
    })?;
    let mut unpacked = Vec::new();
    for index in 0..zip.len() {
        let mut entry = zip.by_index(index).with_context(|| format!("entry {index} cannot be read"))?;
        let name = entry.name().with_context(|| format!("entry {index} has a name that cannot be read"))?.into_owned();
        check_inside(&name)?;
        let Some(target) = place(&name).filter(|_| !entry.is_dir()) else { continue };
        check_inside(&target)?;
        if entry.is_symlink() {
            bail!("`{name}` is a symbolic link, which no libtorch package holds");
        }
        let size = write(&mut entry, &into.join(&target)).with_context(|| format!("cannot unpack `{name}`"))?;
        unpacked.push((target, size));
    }
    Ok(unpacked)
}

/// Refuses every name that is not simply a way down from the folder it is unpacked in.
fn check_inside(name: &str) -> Result<()> {
    let plain = Path::new(name).components().all(|part| matches!(part, Component::Normal(_)));
    if name.is_empty() || !plain || name.contains(['\\', '\0', ':']) {
        bail!("the archive holds a name that leads out of its folder: {name:?}");
    }
    Ok(())
}

/// Writes a new file; `zip` compares the checksum at its end.
fn write(entry: &mut impl io::Read, target: &Path) -> Result<u64> {
    if let Some(folder) = target.parent() {
        fs::create_dir_all(folder)?;
    }
    let file = File::create_new(target).with_context(|| format!("cannot create {}", target.display()))?;
    let mut file = BufWriter::with_capacity(1 << 20, file);
    let size = io::copy(entry, &mut file)?;
    file.flush()?;
    Ok(size)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::path::PathBuf;
    use tempfile::TempDir;
    use zip::ZipWriter;
    use zip::write::SimpleFileOptions;

    /// A folder with `a.zip` of the given names and contents, and beside it the folder `into`.
    fn archive(files: &[(&str, &[u8])]) -> (TempDir, PathBuf, PathBuf) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.zip");
        let mut zip = ZipWriter::new(File::create(&path).unwrap());
        for (name, content) in files {
            zip.start_file(*name, SimpleFileOptions::default()).unwrap();
            zip.write_all(content).unwrap();
        }
        zip.finish().unwrap();
        let into = folder.path().join("into");
        fs::create_dir(&into).unwrap();
        (folder, path, into)
    }

    fn message(result: Result<Vec<(String, u64)>>) -> String {
        format!("{:#}", result.unwrap_err())
    }

    #[test]
    fn chosen_files_and_no_others() {
        let (_folder, zip, into) = archive(&[("torch/lib/a.so", b"aa"), ("torch/b.py", b"b"), ("x/c.h", b"ccc")]);
        let place = |name: &str| match name {
            "torch/lib/a.so" => Some("lib/a.so".to_owned()),
            "x/c.h" => Some("include/x/c.h".to_owned()),
            _ => None,
        };
        let unpacked = unpack(&zip, &into, place).unwrap();
        assert_eq!(unpacked, [("lib/a.so".to_owned(), 2), ("include/x/c.h".to_owned(), 3)]);
        assert_eq!(fs::read(into.join("lib/a.so")).unwrap(), b"aa");
        assert_eq!(fs::read(into.join("include/x/c.h")).unwrap(), b"ccc");
        assert_eq!(fs::read_dir(&into).unwrap().count(), 2);
    }

    #[test]
    fn names_that_lead_out_are_refused_even_when_not_chosen() {
        for name in ["../evil", "a/../../evil", "/evil", "a/./../../evil", "a\\..\\evil", "c:evil", ".."] {
            let (folder, zip, into) = archive(&[("fine", b"f"), (name, b"e")]);
            for choose in [true, false] {
                let result = unpack(&zip, &into, |name| (choose && name != "fine").then(|| name.to_owned()));
                assert!(message(result).contains("leads out"), "{name}");
                assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 2, "{name} was written");
                assert_eq!(fs::read_dir(&into).unwrap().count(), 0, "{name} was written");
            }
        }
    }

    #[test]
    fn a_symbolic_link_is_refused() {
        let (_folder, path, into) = archive(&[]);
        let mut zip = ZipWriter::new(File::create(&path).unwrap());
        zip.add_symlink("lib", "/etc", SimpleFileOptions::default()).unwrap();
        zip.finish().unwrap();
        assert!(message(unpack(&path, &into, |name| Some(name.to_owned()))).contains("symbolic link"));
    }

    #[test]
    fn two_files_for_one_place_are_refused() {
        let (_folder, zip, into) = archive(&[("a/x.so", b"1"), ("b/x.so", b"2")]);
        let found = message(unpack(&zip, &into, |_| Some("lib/x.so".to_owned())));
        assert!(found.contains("b/x.so"), "{found}");
        assert_eq!(fs::read(into.join("lib/x.so")).unwrap(), b"1");
    }

    #[test]
    fn a_damaged_byte_is_found() {
        // Incompressible, so that the byte in the middle is content and not the archive's own structure.
        let content: Vec<u8> = (0..20_000u64).map(|i| (i.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 56) as u8).collect();
        let (_folder, zip, into) = archive(&[("x", &content)]);
        let mut bytes = fs::read(&zip).unwrap();
        let middle = bytes.len() / 2;
        bytes[middle] ^= 0x55;
        fs::write(&zip, bytes).unwrap();
        let found = message(unpack(&zip, &into, |name| Some(name.to_owned())));
        assert!(found.contains("cannot unpack `x`"), "{found}");
    }

    proptest! {
        #[test]
        fn an_archive_cut_short_is_never_taken_for_whole(cut in 0.0..1.0f64) {
            let (_folder, zip, into) = archive(&[("torch/lib/a.so", &[7; 5000]), ("torch/include/b.h", b"b")]);
            let bytes = fs::read(&zip).unwrap();
            fs::write(&zip, &bytes[..(bytes.len() as f64 * cut) as usize]).unwrap();
            let found = message(unpack(&zip, &into, |name| Some(name.to_owned())));
            prop_assert!(found.contains("cut short"), "{}", found);
        }
    }
}
