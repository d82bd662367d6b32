//! The files of a folder of photographs, without looking into them.

use std::collections::HashMap;
use std::fs;
use std::path::{Path, PathBuf};

use crate::{Problem, folder};

/// A result whose error says which file or folder is to blame.
type Located<T> = Result<T, (Option<PathBuf>, Problem)>;

/// What a file of photographs ends in, in small letters.
const ENDINGS: [&str; 3] = ["jpeg", "jpg", "png"];

/// Files that may give the classes of a flat `val`, in `root` or in `val`.
const LABEL_FILES: [&str; 3] = ["val.txt", "val_labels.txt", "LOC_val_solution.csv"];

/// All files, each with its class.
#[derive(Debug)]
pub(super) struct Listing {
    /// Names of the classes, in order.
    pub(super) classes: Vec<String>,
    pub(super) train: Vec<(PathBuf, u16)>,
    pub(super) test: Vec<(PathBuf, u16)>,
}

impl Listing {
    /// Lists `root/train` and `root/val`; `labels` is the file with the classes of a flat `val`, if one was named.
    pub(super) fn read(root: Option<&Path>, labels: Option<&Path>) -> Located<Listing> {
        let wanted = || "the folders `train` and `val`, each with one folder a class".to_owned();
        let root = folder::check(root, wanted)?;
        let (train_folder, test_folder) = (root.join("train"), root.join("val"));
        let (classes, stray) = entries(&train_folder)?;
        if classes.is_empty() {
            return Err((Some(train_folder), Problem::NoClasses { files: stray.len() }));
        }
        if classes.len() > usize::from(u16::MAX) {
            return Err((Some(train_folder), Problem::ManyClasses { classes: classes.len() }));
        }
        let numbers: HashMap<&str, u16> = classes.iter().map(String::as_str).zip(0..).collect();
        let (test_classes, flat) = entries(&test_folder)?;
        let test = if test_classes.is_empty() {
            let files = flat.into_iter().filter(|name| is_photograph(name)).collect();
            labelled(root, &test_folder, files, labels, &numbers)?
        } else {
            if let Some(foreign) = test_classes.iter().find(|class| !numbers.contains_key(class.as_str())) {
                let problem = Problem::ForeignClass { class: foreign.clone() };
                return Err((Some(test_folder.join(foreign)), problem));
            }
            by_class(&test_folder, &test_classes, &numbers)?
        };
        let train = by_class(&train_folder, &classes, &numbers)?;
        for (folder, files) in [(train_folder, &train), (test_folder, &test)] {
            if files.is_empty() {
                return Err((Some(folder), Problem::NoPhotographs));
            }
            if files.len() > u32::MAX as usize {
                let problem = Problem::TooLarge {
                    holds: "so many files".to_owned(),
                    bytes: files.len() as u128,
                    limit: u64::from(u32::MAX),
                };
                return Err((Some(folder), problem));
            }
        }
        Ok(Listing { classes, train, test })
    }
}

/// Names of the folders and of the files in a folder, each sorted.
fn entries(folder: &Path) -> Located<(Vec<String>, Vec<String>)> {
    let wrong = |e: std::io::Error| {
        let problem = match e.kind() {
            std::io::ErrorKind::NotFound => Problem::NoFolder,
            _ => Problem::Read(e),
        };
        (Some(folder.to_owned()), problem)
    };
    let (mut folders, mut files) = (Vec::new(), Vec::new());
    for entry in fs::read_dir(folder).map_err(wrong)? {
        let entry = entry.map_err(wrong)?;
        let name = entry.file_name().to_string_lossy().into_owned();
        if name.starts_with('.') {
            continue;
        }
        // A link to a folder is a folder; only links cost another look.
        let kind = entry.file_type().map_err(wrong)?;
        let is_folder = if kind.is_symlink() { entry.path().is_dir() } else { kind.is_dir() };
        if is_folder { folders.push(name) } else { files.push(name) }
    }
    folders.sort_unstable();
    files.sort_unstable();
    Ok((folders, files))
}

fn is_photograph(name: &str) -> bool {
    let ending = name.rsplit_once('.').map(|(_, ending)| ending.to_lowercase());
    ending.is_some_and(|ending| ENDINGS.contains(&ending.as_str()))
}

/// The photographs of folders, one of each class in turn.
fn by_class(folder: &Path, classes: &[String], numbers: &HashMap<&str, u16>) -> Located<Vec<(PathBuf, u16)>> {
    let mut all = Vec::new();
    for class in classes {
        let inside = folder.join(class);
        let number = numbers.get(class.as_str()).copied().unwrap_or_default();
        let names = entries(&inside)?.1.into_iter().filter(|name| is_photograph(name));
        all.extend(names.enumerate().map(|(turn, name)| (turn, number, inside.join(name))));
    }
    all.sort_by_key(|&(turn, number, _)| (turn, number));
    Ok(all.into_iter().map(|(_, number, path)| (path, number)).collect())
}

/// The photographs of one folder with the classes that a file gives them.
fn labelled(
    root: &Path,
    folder: &Path,
    files: Vec<String>,
    labels: Option<&Path>,
    numbers: &HashMap<&str, u16>,
) -> Located<Vec<(PathBuf, u16)>> {
    if files.is_empty() {
        return Err((Some(folder.to_owned()), Problem::NoPhotographs));
    }
    let known = || {
        let places = LABEL_FILES.iter().flat_map(|name| [root.join(name), folder.join(name)]);
        places.into_iter().find(|path| path.is_file())
    };
    let path = match labels {
        Some(path) => path.to_owned(),
        None => known().ok_or_else(|| {
            let names = LABEL_FILES.map(|name| format!("`{name}`")).join(", ");
            (Some(folder.to_owned()), Problem::NoLabels { looked_for: names })
        })?,
    };
    let text = fs::read_to_string(&path).map_err(|e| (Some(path.clone()), Problem::Read(e)))?;
    let mut given: HashMap<&str, u16> = HashMap::new();
    for (line, number) in text.lines().zip(1..) {
        let mut words = line.split(|c: char| c == ',' || c.is_whitespace()).filter(|word| !word.is_empty());
        let (Some(name), Some(class)) = (words.next(), words.next()) else { continue };
        if name == "ImageId" {
            continue;
        }
        let by_number = || class.parse().ok().filter(|&class: &u16| usize::from(class) < numbers.len());
        let class = numbers.get(class).copied().or_else(by_number).ok_or_else(|| {
            let problem = Problem::LabelLine { line: number, class: class.to_owned(), max: numbers.len() - 1 };
            (Some(path.clone()), problem)
        })?;
        given.insert(name.rsplit_once('.').map_or(name, |(stem, _)| stem), class);
    }
    let one = |name: String| {
        let stem = name.rsplit_once('.').map_or(name.as_str(), |(stem, _)| stem);
        match given.get(stem) {
            Some(&class) => Ok((folder.join(&name), class)),
            None => Err((Some(path.clone()), Problem::Unlabelled { name })),
        }
    };
    files.into_iter().map(one).collect()
}
