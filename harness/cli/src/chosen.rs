//! A method or a folder of batch normalization with its options, chosen on the command line.

use harness_methods::core::batch_norm::FOLDS_ONLY;
use harness_methods::core::{About, BatchNormFolder, Method, Options};
use harness_methods::{BATCH_NORM_FOLDERS, METHODS};
use harness_records::filter::option_arguments;
use harness_records::options::OptionError;
use harness_records::problem::suggest;

use crate::exit::{Stop, refuse};

/// The method `name` with the options of `--set OPTION=VALUE`, values in YAML as in a sweep file.
pub(crate) fn chosen(name: &str, sets: &[String]) -> Result<(&'static dyn Method, Options), Stop> {
    if harness_methods::find_folder(name).is_some() {
        return Err(refuse(format_args!("method `{name}` quantizes nothing: {FOLDS_ONLY}")));
    }
    let known = || METHODS.iter().map(|method| method.about().about.name);
    let method = harness_methods::find(name)
        .ok_or_else(|| refuse(format_args!("unknown method `{name}`; {}", suggest(name, known()))))?;
    Ok((method, options(&method.about().about, sets)?))
}

/// The folder of batch normalization `name` with the options of `--set OPTION=VALUE`.
pub(crate) fn chosen_folder(name: &str, sets: &[String]) -> Result<(&'static dyn BatchNormFolder, Options), Stop> {
    let known = || BATCH_NORM_FOLDERS.iter().map(|folder| folder.about().about.name);
    let folder = harness_methods::find_folder(name).ok_or_else(|| match harness_methods::find(name) {
        Some(_) => refuse(format_args!(
            "method `{name}` has no integer batch normalization; expected `{}`",
            known().collect::<Vec<_>>().join("`, `")
        )),
        None => refuse(format_args!("unknown method `{name}`; {}", suggest(name, known()))),
    })?;
    Ok((folder, options(&folder.about().about, sets)?))
}

/// Options of `--set OPTION=VALUE`, checked against those of `about`.
pub(crate) fn options(about: &About, sets: &[String]) -> Result<Options, Stop> {
    let name = about.name;
    let given = option_arguments(sets).map_err(refuse)?;
    Options::resolve(about.options, &given).map_err(|error| match &error {
        OptionError::Unknown { name: option, expected } if !expected.is_empty() => {
            refuse(format_args!("`{name}` has no option `{option}`; {}", suggest(option, expected.iter().copied())))
        }
        _ => refuse(format_args!("`{name}`: {error}")),
    })
}
