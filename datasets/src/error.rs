//! What can be wrong with a data set: which one, where, what, and what would be right.

use std::path::PathBuf;

use crate::{Damage, Split};

/// A data set cannot be used.
#[derive(Debug, thiserror::Error)]
#[error("data set `{dataset}`: {}{problem}", place(.path.as_ref()))]
pub struct DatasetError {
    /// Name of the data set.
    pub dataset: &'static str,
    /// The file or folder that is wrong; `None` when no file is to blame.
    pub path: Option<PathBuf>,
    /// What is wrong with it.
    pub problem: Box<Problem>,
}

impl DatasetError {
    /// A data set without a validation part was asked for it.
    pub(crate) fn no_validation(dataset: &'static str) -> DatasetError {
        DatasetError { dataset, path: None, problem: Box::new(Problem::NoSplit { split: Split::Validation.name() }) }
    }
}

fn place(path: Option<&PathBuf>) -> String {
    path.map_or_else(String::new, |path| format!("{}: ", path.display()))
}

/// What is wrong, and what would be right.
#[derive(Debug, thiserror::Error)]
pub enum Problem {
    /// The data set lives in files, and no folder was named.
    #[error("no folder is given, set `dataset.root` to the one that holds {files}")]
    NoRoot {
        /// The files it should hold.
        files: String,
    },
    /// The folder does not exist.
    #[error("there is no such folder, set `dataset.root` to the one that holds {files}")]
    RootAbsent {
        /// The files it should hold.
        files: String,
    },
    /// The folder is not a folder.
    #[error("this is not a folder, set `dataset.root` to the one that holds {files}")]
    RootNotFolder {
        /// The files it should hold.
        files: String,
    },
    /// A file is absent under all its names.
    #[error("the {what} are missing, expected one of {looked_for} in this folder")]
    Absent {
        /// What the file holds, `training images`.
        what: &'static str,
        /// Every name it may have.
        looked_for: String,
    },
    /// A folder or a device stands where a file should.
    #[error("this is a {found}, expected a file with the {what}")]
    NotFile {
        /// What stands there.
        found: &'static str,
        /// What the file should hold.
        what: &'static str,
    },
    /// The system refused to read.
    #[error("cannot be read: {0}")]
    Read(std::io::Error),
    /// Compressed data do not unpack.
    #[error("the gzip data are damaged ({0}), fetch the file again")]
    Gzip(std::io::Error),
    /// Not an IDX file at all.
    #[error("begins with {found}, which is neither gzip nor IDX, expected the IDX mark {expected}")]
    NotIdx {
        /// The first bytes, readable.
        found: String,
        /// The mark it should begin with.
        expected: String,
    },
    /// Images where labels should be, or the other way round.
    #[error("begins with {found}, the mark of {holds}, expected {expected} of {wanted}: are two files swapped?")]
    Swapped {
        /// Mark it begins with.
        found: String,
        /// What it holds.
        holds: &'static str,
        /// Mark it should begin with.
        expected: String,
        /// What it should hold.
        wanted: &'static str,
    },
    /// IDX, but not of bytes, or of the wrong rank.
    #[error("begins with {found}: {dimensions} dimensions of {element}, expected {expected} of unsigned bytes")]
    Layout {
        /// Mark it begins with.
        found: String,
        /// Number of dimensions it has.
        dimensions: u8,
        /// Element type it has.
        element: &'static str,
        /// Number of dimensions it should have.
        expected: u8,
    },
    /// Ends before its header is complete.
    #[error("ends after {found} bytes, expected at least the {header} of its header")]
    HeaderTruncated {
        /// Bytes there are, unpacked.
        found: u64,
        /// Bytes of the header.
        header: u64,
    },
    /// Ends before what its header promises.
    #[error("ends after {found} bytes, expected {expected} for {holds}, fetch the file again")]
    Truncated {
        /// Bytes there are, unpacked.
        found: u64,
        /// Bytes there should be, unpacked.
        expected: u64,
        /// What the header promises.
        holds: String,
    },
    /// Goes on after what its header promises.
    #[error("goes on after the {expected} bytes that its header promises for {holds}")]
    Trailing {
        /// Bytes there should be, unpacked.
        expected: u64,
        /// What the header promises.
        holds: String,
    },
    /// Nothing to learn from.
    #[error("holds {holds}, expected at least one image of at least one pixel")]
    Empty {
        /// What the header promises.
        holds: String,
    },
    /// More than a trial could hold.
    #[error("{holds} would take {bytes} bytes, expected at most {limit}")]
    TooLarge {
        /// What was asked for.
        holds: String,
        /// Bytes it would take.
        bytes: u128,
        /// The limit.
        limit: u64,
    },
    /// Not as many labels as images.
    #[error("holds {labels} labels, expected {images}, one for each image in `{beside}`")]
    Count {
        /// Number of labels.
        labels: u32,
        /// Number of images.
        images: u32,
        /// Name of the file with the images.
        beside: String,
    },
    /// A label that is no class.
    #[error("label {label} at index {index} is no class, expected 0 to {max}")]
    Label {
        /// The label.
        label: u8,
        /// Index of its image, from 0.
        index: usize,
        /// Largest class.
        max: usize,
    },
    /// Training and test images differ in size.
    #[error("holds images of {test}, expected {train} as in the training images")]
    Mixed {
        /// Size of the test images, `28x28`.
        test: String,
        /// Size of the training images.
        train: String,
    },
    /// The data set has no such part.
    #[error("there is no {split} part, expected training or test")]
    NoSplit {
        /// What was asked for.
        split: &'static str,
    },
    /// Not UTF-8.
    #[error("line {line} is not UTF-8, expected plain text")]
    NotText {
        /// Line, from 1.
        line: usize,
    },
    /// Nothing but white space.
    #[error("holds no words, expected text")]
    NoWords,
    /// xz data do not unpack.
    #[error("the xz data are damaged ({0}), fetch the file again")]
    Xz(std::io::Error),
    /// A tar archive does not unpack.
    #[error("the archive is damaged ({0}), fetch it again")]
    Archive(std::io::Error),
    /// An archive without a file that it should hold.
    #[error("holds no `{name}`, fetch the archive again")]
    NotInArchive {
        /// The file.
        name: String,
    },
    /// Not a whole number of records.
    #[error("holds {found} bytes, expected a multiple of {record}, the size of an image with its label")]
    Records {
        /// Bytes there are, unpacked.
        found: u64,
        /// Bytes of one record.
        record: usize,
    },
    /// A folder that should be there is not.
    #[error("there is no such folder, expected the photographs in it")]
    NoFolder,
    /// No folder a class.
    #[error("holds {files} files and no folders, expected one folder a class")]
    NoClasses {
        /// Files there are.
        files: usize,
    },
    /// More classes than labels can tell apart.
    #[error("holds {classes} folders, expected at most 65535 classes")]
    ManyClasses {
        /// Folders there are.
        classes: usize,
    },
    /// A class that is not trained on.
    #[error("class `{class}` has no folder in `train`")]
    ForeignClass {
        /// Its name.
        class: String,
    },
    /// No picture in a folder.
    #[error("holds no photographs, expected files that end in .JPEG, .jpg or .png")]
    NoPhotographs,
    /// Photographs without classes.
    #[error(
        "holds photographs and no folders, expected one folder a class, or their classes in {looked_for} beside or in \
         it, or in the file that `dataset.labels` names"
    )]
    NoLabels {
        /// The files that could give the classes.
        looked_for: String,
    },
    /// A line of a file of classes.
    #[error("line {line}: `{class}` is no class, expected the name of a folder in `train` or a number from 0 to {max}")]
    LabelLine {
        /// Line, from 1.
        line: usize,
        /// What stands for the class.
        class: String,
        /// Largest class.
        max: usize,
    },
    /// A photograph whose class is not given.
    #[error("says nothing of `{name}`, expected a line with its class")]
    Unlabelled {
        /// Name of the photograph.
        name: String,
    },
    /// A file that is no picture, or a broken one.
    #[error("{0}; set `dataset.broken` to `skip` to leave such files out")]
    Picture(Damage),
    /// A batch of broken files only.
    #[error("all {images} images of a batch are broken")]
    NothingLeft {
        /// Images of the batch.
        images: usize,
    },
    /// The environment asks for a JPEG decoder that there is not.
    #[error("the environment variable HARNESS_JPEG is `{value}`, expected `zune`, or that it is not set")]
    JpegDecoder {
        /// What it is.
        value: String,
    },
    /// Crop larger than the image.
    #[error("`resize` is {resize}, expected at least `size`, {size}")]
    Crop {
        /// Short side that images are scaled to.
        resize: usize,
        /// Side of the crop.
        size: usize,
    },
    /// No memory for a batch.
    #[error("no memory for a batch: {0}")]
    Memory(std::io::Error),
    /// No thread.
    #[error("cannot start a thread that decodes: {0}")]
    Thread(std::io::Error),
}
