//! A method and its options, chosen on the command line.

use harness_methods::core::{Method, Options};
use harness_records::filter::option_arguments;
use harness_records::options::OptionError;
use harness_records::problem::suggest;

use crate::exit::{Stop, refuse};

/// The method `name` with the options of `--set OPTION=VALUE`, values in YAML as in a sweep file.
pub(crate) fn chosen(name: &str, sets: &[String]) -> Result<(&'static dyn Method, Options), Stop> {
    let known = || harness_methods::METHODS.iter().map(|method| method.about().about.name);
    let method = harness_methods::find(name)
        .ok_or_else(|| refuse(format_args!("unknown method `{name}`; {}", suggest(name, known()))))?;
    let given = option_arguments(sets).map_err(refuse)?;
    let options = Options::resolve(method.about().about.options, &given).map_err(|error| match &error {
        OptionError::Unknown { name: option, expected } if !expected.is_empty() => {
            refuse(format_args!("`{name}` has no option `{option}`; {}", suggest(option, expected.iter().copied())))
        }
        _ => refuse(format_args!("`{name}`: {error}")),
    })?;
    Ok((method, options))
}
