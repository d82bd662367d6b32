//! `harness quantize`: one array quantized by one method.
//!
//! The array is taken for what the method would meet at the end of a training, with a quantizer that has seen nothing
//! else: ranges, steps and averages are those of the array itself, schedules have reached their last fraction. Weights
//! and gradients are quantized as in a training step, where random draws are made; activations as in evaluation.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use clap::{Args, ValueEnum};
use harness_methods::core::statistics::Statistics;
use harness_methods::core::{
    Bits, Codes, LevelTable, Method, MethodError, OptionValue, Options, Role, Site, StepContext, Support,
};
use serde::{Serialize, Serializer};
use tch::{Device, Tensor, nn};

use crate::chosen::chosen;
use crate::exit::{Outcome, Stop, refuse};
use crate::files;
use crate::npy::{self, Array};
use crate::output::{columns, print, print_json, talk};

/// Widest codes that are listed one by one in the table.
const LISTED: u8 = 4;

#[derive(Debug, Args)]
#[command(after_help = "Examples:
  harness quantize --method balanced --bits 2 --set threshold=mean --in weights.npy --out levels.npy --codes codes.npy
  harness quantize --method least-squares --bits 2 --role activation --in x.npy --out y.npy --json

Arrays are .npy files of f2, f4 or f8 in C or Fortran order. Dimension 0 is the output channel of weights, the sample of
activations and gradients. Values are computed in f32; levels are written as f4, codes as u1, both in C order.")]
pub(crate) struct QuantizeArguments {
    /// The method, as `harness methods` lists them
    #[arg(long)]
    method: String,
    /// Width of the codes; may be left out where the method has only one
    #[arg(long, value_name = "K")]
    bits: Option<u8>,
    /// What the array is
    #[arg(long, default_value = "weight")]
    role: RoleChoice,
    /// Option of the method (repeatable)
    #[arg(long = "set", value_name = "OPTION=VALUE")]
    sets: Vec<String>,
    /// Array to quantize, - for standard input
    #[arg(long = "in", value_name = "X.npy")]
    input: PathBuf,
    /// Where the quantized values go, - for standard output
    #[arg(long = "out", value_name = "Y.npy")]
    output: PathBuf,
    /// Where the codes go
    #[arg(long, value_name = "C.npy")]
    codes: Option<PathBuf>,
    /// Seed of random draws
    #[arg(long, value_name = "N", default_value_t = 0)]
    seed: u64,
    /// Print JSON instead of a table
    #[arg(long)]
    json: bool,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum RoleChoice {
    Weight,
    Activation,
    Gradient,
}

/// What came out of it, as printed by `--json`.
#[derive(Debug, Serialize)]
struct Summary {
    method: &'static str,
    bits: u8,
    role: Role,
    options: BTreeMap<String, OptionValue>,
    seed: u64,
    shape: Vec<usize>,
    levels: Levels,
    relative_mse: f64,
    effective_bits: f64,
    code_counts: Vec<u64>,
    #[serde(rename = "portion")]
    fraction: f64,
}

/// Levels by code, a row a group. Widened from f32 without rounding, so that they read back as what was written.
#[derive(Debug)]
struct Levels(Vec<Vec<f64>>);

impl Levels {
    fn new(table: &LevelTable) -> Levels {
        let row = |group| table.row(group).into_iter().map(f64::from).collect();
        Levels((0..table.groups()).map(row).collect())
    }

    /// Least and largest level of a code.
    fn range(&self, code: usize) -> (f64, f64) {
        let of_code = self.0.iter().filter_map(|row| row.get(code));
        of_code.fold((f64::INFINITY, f64::NEG_INFINITY), |(min, max), &v| (min.min(v), max.max(v)))
    }
}

impl Serialize for Levels {
    /// One group is a list; several are a list of lists.
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match &self.0[..] {
            [only] => only.serialize(serializer),
            groups => groups.serialize(serializer),
        }
    }
}

pub(crate) fn run(arguments: &QuantizeArguments) -> Outcome {
    let writes_to_stdout = check_files(arguments)?;
    let (method, options) = chosen(&arguments.method, &arguments.sets)?;
    let role = arguments.role.role();
    let bits = bits(method, role, arguments.bits)?;
    if let Support::No(reason) = method.deployable(&options) {
        return Err(refuse(format_args!("`{}` has no levels to write with these options: {reason}", arguments.method)));
    }
    let shown = arguments.input.display();
    let Array { shape, values } =
        npy::read(files::open(&arguments.input)?).map_err(|error| refuse(format_args!("{shown} {error}")))?;
    let sizes: Vec<i64> = shape.iter().filter_map(|&size| i64::try_from(size).ok()).collect();
    let x = Tensor::f_from_slice(&values)?.f_view(&sizes[..])?;
    drop(values);
    let codes = quantize(method, &options, &x, role, bits, arguments.seed).map_err(stop)?;
    let table = codes.levels.to_table()?;
    let table = table.ok_or_else(|| refuse(format_args!("{shown} has values so great that levels overflow an f32")))?;
    let statistics = Statistics::of(&x, &codes)?;
    write(arguments, &shape, &x, &codes)?;
    let summary = Summary {
        method: method.about().about.name,
        bits: bits.get(),
        role,
        options: options.iter().map(|(name, value)| (name.to_owned(), value.clone())).collect(),
        seed: arguments.seed,
        shape,
        levels: Levels::new(&table),
        relative_mse: statistics.relative_mse,
        effective_bits: statistics.effective_bits,
        code_counts: statistics.code_counts,
        fraction: statistics.fraction,
    };
    if arguments.json {
        print_json(&summary)?;
    } else if writes_to_stdout {
        talk(summary.text());
    } else {
        print(summary.text())?;
    }
    Ok(())
}

impl RoleChoice {
    fn role(self) -> Role {
        match self {
            RoleChoice::Weight => Role::Weight,
            RoleChoice::Activation => Role::Activation,
            RoleChoice::Gradient => Role::Gradient,
        }
    }
}

/// Refuses outputs that cannot be; true when one of them is standard output.
fn check_files(arguments: &QuantizeArguments) -> Result<bool, Stop> {
    let codes = arguments.codes.as_deref().map(|path| ("--codes", path));
    let outputs: Vec<(&str, &Path)> = [("--out", arguments.output.as_path())].into_iter().chain(codes).collect();
    files::check_outputs(("--in", &arguments.input), &outputs)?;
    let to_stdout = outputs.iter().any(|(_, path)| files::is_standard(path));
    if to_stdout && arguments.json {
        return Err(refuse("`-` as an output and --json both take standard output"));
    }
    Ok(to_stdout)
}

/// The width that was given, or the only one there is.
fn bits(method: &dyn Method, role: Role, given: Option<u8>) -> Result<Bits, Stop> {
    let about = method.about();
    let name = about.about.name;
    if let Support::No(reason) = about.support(role) {
        return Err(refuse(format_args!("`{name}` has no {role} quantization: {reason}")));
    }
    let Some((min, max)) = about.bits else {
        return Err(refuse(format_args!("`{name}` is full precision: there are no codes and no levels to write")));
    };
    let range = if min == max { min.to_string() } else { format!("{min} to {max}") };
    let width = given.or_else(|| (min == max).then_some(min));
    let width = width.ok_or_else(|| refuse(format_args!("--bits is missing, `{name}` takes {range}")))?;
    let inside = (min..=max).contains(&width).then(|| Bits::new(width)).flatten();
    inside.ok_or_else(|| refuse(format_args!("--bits is {width}, `{name}` takes {range}")))
}

/// The codes of `x`, by a quantizer that has seen nothing else.
fn quantize(
    method: &dyn Method,
    options: &Options,
    x: &Tensor,
    role: Role,
    bits: Bits,
    seed: u64,
) -> Result<Codes, MethodError> {
    let shape = if role == Role::Weight { x.size() } else { x.size().split_off(1) };
    let site = Site { layer: "input".to_owned(), index: 0, role, shape, bits, device: Device::Cpu };
    method.check(&site, options)?;
    let variables = nn::VarStore::new(Device::Cpu);
    let mut quantizer = method.quantizer(&site, options, &variables.root())?;
    quantizer.quantize(x, &StepContext { training: role != Role::Activation, ..StepContext::evaluation(seed) })
}

/// Input that a method refuses is bad input; what libtorch does is not the user's doing.
fn stop(error: MethodError) -> Stop {
    match error {
        MethodError::Torch(_) => Stop::Broken(error.into()),
        refused => Stop::Refused(refused.into()),
    }
}

fn write(arguments: &QuantizeArguments, shape: &[usize], x: &Tensor, codes: &Codes) -> Outcome {
    let values = tch::no_grad(|| codes.dequantize(x)?.f_reshape([-1]).map_err(MethodError::from))?;
    files::write(&arguments.output, &npy::of_f32(shape, &Vec::try_from(&values)?))?;
    if let Some(path) = &arguments.codes {
        files::write(path, &npy::of_u8(shape, &Vec::try_from(&codes.codes.f_reshape([-1])?)?))?;
    }
    Ok(())
}

impl Summary {
    fn text(&self) -> String {
        let groups = match self.levels.0.len() {
            1 => "for all".to_owned(),
            several => format!("for each of {several} in dimension 0"),
        };
        let mut text = format!(
            "{}, {}-bit {} of shape {:?}, levels {groups}\n\
             relative squared error {:.6}, {:.3} bits of entropy in the codes",
            self.method, self.bits, self.role, self.shape, self.relative_mse, self.effective_bits
        );
        if self.fraction < 1.0 {
            text += &format!(", {:.2}% quantized", 100.0 * self.fraction);
        }
        if self.bits <= LISTED {
            text += "\n\n";
            text += &columns(&["code", "level", "count"], &self.rows());
        }
        text
    }

    fn rows(&self) -> Vec<Vec<String>> {
        let row = |(code, count): (usize, &u64)| {
            let (min, max) = self.levels.range(code);
            let level = if min == max { min.to_string() } else { format!("{min:.6} to {max:.6}") };
            vec![code.to_string(), level, count.to_string()]
        };
        self.code_counts.iter().enumerate().map(row).collect()
    }
}
