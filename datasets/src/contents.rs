//! What a data set says it holds, and what it hands over.

use std::fmt;

use crate::{Images, Photos, Shape, TextShape, Tokens};

/// Which part of a data set.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Split {
    /// What is learned from.
    Train,
    /// What choices are made on while learning; only texts have one.
    Validation,
    /// What is only ever evaluated on.
    Test,
}

impl Split {
    /// As it reads in a sentence: `training`, `validation`, `test`.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Split::Train => "training",
            Split::Validation => "validation",
            Split::Test => "test",
        }
    }
}

/// What a trial would see of a data set.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Contents {
    /// Labelled images.
    Images(Shape),
    /// Text, word by word.
    Text(TextShape),
}

impl Contents {
    /// The shape of labelled images, if that is what it holds.
    #[must_use]
    pub fn images(self) -> Option<Shape> {
        match self {
            Contents::Images(shape) => Some(shape),
            Contents::Text(_) => None,
        }
    }

    /// The size of a text, if that is what it holds.
    #[must_use]
    pub fn text(self) -> Option<TextShape> {
        match self {
            Contents::Text(shape) => Some(shape),
            Contents::Images(_) => None,
        }
    }
}

impl fmt::Display for Contents {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Contents::Images(Shape { channels, height, width, classes, train, test }) => {
                write!(f, "{train} + {test} images of {channels}x{height}x{width} in {classes} classes")
            }
            Contents::Text(TextShape { vocabulary, train, validation, test }) => {
                write!(f, "{train} + {validation} + {test} words, {vocabulary} different ones")
            }
        }
    }
}

/// One split.
#[derive(Debug)]
pub enum Samples {
    /// Labelled images in memory.
    Images(Images),
    /// Labelled photographs in files.
    Photos(Photos),
    /// Text, word by word.
    Text(Tokens),
}

impl Samples {
    /// The images in memory, if that is what it holds.
    #[must_use]
    pub fn images(self) -> Option<Images> {
        match self {
            Samples::Images(images) => Some(images),
            Samples::Photos(_) | Samples::Text(_) => None,
        }
    }

    /// The text, if that is what it holds.
    #[must_use]
    pub fn text(self) -> Option<Tokens> {
        match self {
            Samples::Text(tokens) => Some(tokens),
            Samples::Images(_) | Samples::Photos(_) => None,
        }
    }

    /// The photographs, if that is what it holds.
    #[must_use]
    pub fn photos(self) -> Option<Photos> {
        match self {
            Samples::Photos(photos) => Some(photos),
            Samples::Images(_) | Samples::Text(_) => None,
        }
    }
}
