//! Photographs in files: opened, and sampled to a small square of pixels.
//!
//! What a file is, is read from its first bytes, not from its name. JPEG files of the common kind are decoded by
//! [`jpeg`], only as far as the sample needs them; other JPEG files (progressive, CMYK) and PNG files are decoded whole.

mod exif;
mod jpeg;
mod sample;
#[cfg(test)]
mod tests;
mod whole;

pub(crate) use sample::{Sample, Sampler};

/// Which decoder takes JPEG files: that of [`jpeg`] where it is not set, zune-jpeg for all of them where it is `zune`.
const JPEG_DECODER: &str = "HARNESS_JPEG";

/// Who decodes the JPEG files that both decoders can take. Their pixels differ by a few levels.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum JpegDecoder {
    /// The one of this crate, which decodes the part that is wanted.
    Own,
    /// zune-jpeg, which decodes every file whole.
    Zune,
}

impl JpegDecoder {
    /// What the environment variable `HARNESS_JPEG` asks for.
    ///
    /// # Errors
    /// The value of the variable, where it is none of those that have a meaning.
    pub fn from_environment() -> Result<JpegDecoder, String> {
        JpegDecoder::named(std::env::var_os(JPEG_DECODER).as_deref())
    }

    fn named(value: Option<&std::ffi::OsStr>) -> Result<JpegDecoder, String> {
        match value {
            None => Ok(JpegDecoder::Own),
            Some(value) if value == "zune" => Ok(JpegDecoder::Zune),
            Some(value) => Err(value.to_string_lossy().into_owned()),
        }
    }
}

impl std::fmt::Display for JpegDecoder {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            JpegDecoder::Own => "own decoder for sequential files, zune-jpeg for others",
            JpegDecoder::Zune => "zune-jpeg for all files (HARNESS_JPEG=zune)",
        })
    }
}

/// Most pixels of an image; more is an attack or a mistake.
const MOST_PIXELS: usize = 1 << 28;

/// Why a file is no picture that can be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Damage {
    /// Nothing in it.
    #[error("is empty")]
    Empty,
    /// Neither JPEG nor PNG.
    #[error("is neither JPEG nor PNG")]
    Kind,
    /// Ends before the image does.
    #[error("ends before the image does")]
    Truncated,
    /// The header contradicts itself.
    #[error("has a damaged header")]
    Header,
    /// A code that stands for nothing.
    #[error("has damaged image data")]
    Code,
    /// More pixels than any photograph.
    #[error("has {0} pixels, expected at most {MOST_PIXELS}")]
    Large(usize),
    /// What another decoder says.
    #[error("does not decode ({0})")]
    Other(String),
}

/// A rectangle of pixels.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Rect {
    pub(crate) left: usize,
    pub(crate) top: usize,
    pub(crate) width: usize,
    pub(crate) height: usize,
}

/// A part of one plane of an image, which may have a resolution of its own.
#[derive(Debug, Clone)]
struct Plane {
    /// `[height, width]` row-major.
    pixels: Vec<u8>,
    width: usize,
    height: usize,
    /// Where the part begins, in pixels of the plane.
    left: usize,
    top: usize,
    /// Pixels of the plane for each pixel of the image, across and down.
    scale: (f64, f64),
}

/// A part of an image.
#[derive(Debug, Clone)]
enum Planes {
    Grey(Plane),
    YCbCr(Vec<Plane>),
    Rgb(Vec<Plane>),
}

/// An opened file.
pub(crate) struct Picture<'a> {
    content: Content<'a>,
    width: usize,
    height: usize,
    orientation: u8,
}

enum Content<'a> {
    Jpeg(Box<jpeg::Frame<'a>>),
    Whole(Planes),
}

impl<'a> Picture<'a> {
    /// Reads as much as is needed to know the size.
    ///
    /// # Errors
    /// When the file is no picture.
    pub(crate) fn open(bytes: &'a [u8], decoder: JpegDecoder) -> Result<Picture<'a>, Damage> {
        if bytes.is_empty() {
            return Err(Damage::Empty);
        }
        let (content, width, height, orientation) = if bytes.starts_with(b"\xff\xd8") {
            match jpeg::read(bytes)? {
                jpeg::Read::Frame(frame) if decoder == JpegDecoder::Zune => {
                    let (planes, width, height) = whole::jpeg(bytes)?;
                    (Content::Whole(planes), width, height, frame.orientation)
                }
                jpeg::Read::Frame(frame) => {
                    let (width, height, orientation) = (frame.width, frame.height, frame.orientation);
                    (Content::Jpeg(frame), width, height, orientation)
                }
                jpeg::Read::Other { orientation } => {
                    let (planes, width, height) = whole::jpeg(bytes)?;
                    (Content::Whole(planes), width, height, orientation)
                }
            }
        } else if bytes.starts_with(b"\x89PNG\r\n\x1a\n") {
            let (planes, width, height) = whole::png(bytes)?;
            (Content::Whole(planes), width, height, 1)
        } else {
            return Err(Damage::Kind);
        };
        match width * height {
            0 => Err(Damage::Header),
            pixels if pixels > MOST_PIXELS => Err(Damage::Large(pixels)),
            _ => Ok(Picture { content, width, height, orientation }),
        }
    }

    /// Width and height as stored, in pixels.
    pub(crate) fn size(&self) -> (usize, usize) {
        (self.width, self.height)
    }

    /// How the camera was held, as EXIF numbers it: 1 to 8.
    pub(crate) fn orientation(&self) -> u8 {
        self.orientation
    }
}
