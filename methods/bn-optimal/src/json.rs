//! The command `harness batchnorm`: channels as JSON in, integers as JSON out.
//!
//! ```json
//! {"channels": [{"gamma": 1.0, "beta": 0.0, "mean": 0.0, "var": 1.0}], "eps": 1e-5,
//!  "input_scale": 0.01, "output_scale": 0.1, "x_min": -128, "x_max": 127, "bits": 2}
//! ```
//! A channel may carry its own `input_scale` and `output_scale`; the outer ones may be left out when all do.

use std::fmt;

use harness_method_core::{BatchNormChannel, BatchNormFolder, Bits, IntegerBatchNorm, MethodError, NormLayer, Options};
use serde::Serialize;
use serde_json::{Map, Value};

use crate::BnOptimal;
use crate::reference::Line;

/// Why an input was refused.
#[derive(Debug, thiserror::Error)]
pub enum BatchNormError {
    /// It is no JSON.
    #[error("not JSON: {0} (NaN and Infinity have no form in JSON, and are no parameters of batch normalization)")]
    Syntax(#[from] serde_json::Error),
    /// A field is missing, unknown, of another type or out of range.
    #[error("`{path}` {reason}")]
    Field {
        /// Where, `channels[3].var`.
        path: String,
        /// What is wrong and what would be right.
        reason: String,
    },
    /// The folder returned no layer for the one that it was given.
    #[error("no integers came out of folding")]
    Nothing,
    /// A channel has no such integers.
    #[error(transparent)]
    Fold(#[from] MethodError),
}

#[derive(Serialize)]
struct Output {
    shift: u32,
    channels: Vec<Pair>,
}

#[derive(Serialize)]
struct Pair {
    a: i64,
    b: i64,
}

/// The integers of one layer, chosen by [`BnOptimal`] with `options`.
///
/// # Errors
/// [`BatchNormError::Fold`] when a channel has no such integers.
pub fn integers(layer: &NormLayer, options: &Options) -> Result<IntegerBatchNorm, BatchNormError> {
    let folded = BnOptimal.fold(std::slice::from_ref(layer), options)?;
    folded.into_iter().next().ok_or(BatchNormError::Nothing)
}

/// The integers as the command writes them.
///
/// # Errors
/// [`BatchNormError::Syntax`] when they cannot be written as JSON.
pub fn to_text(folded: &IntegerBatchNorm) -> Result<String, BatchNormError> {
    let channels = folded.channels.iter().map(|&(a, b)| Pair { a, b }).collect();
    Ok(serde_json::to_string(&Output { shift: folded.shift, channels })?)
}

/// Reads a layer and checks every number of it.
///
/// # Errors
/// [`BatchNormError::Syntax`], or [`BatchNormError::Field`] with the path of the first bad field.
pub fn parse(input: &str) -> Result<NormLayer, BatchNormError> {
    let root: Value = serde_json::from_str(input)?;
    let root = Object::of(&root, String::new())?;
    root.only(&["channels", "eps", "input_scale", "output_scale", "x_min", "x_max", "bits"])?;
    let (eps, low, high) = (root.number("eps")?, root.integer("x_min")?, root.integer("x_max")?);
    let bits = u8::try_from(root.integer("bits")?).ok().and_then(Bits::new);
    let bits = bits.ok_or_else(|| root.refused("bits", "is out of range, expected 1 to 8"))?;
    if low > high {
        return Err(root.refused("x_min", format!("is {low}, expected at most `x_max`, {high}")));
    }
    let channels = root.required("channels")?;
    let channels = channels.as_array().ok_or_else(|| root.refused("channels", "is no list"))?;
    if channels.is_empty() {
        return Err(root.refused("channels", "is empty, expected at least one"));
    }
    let channels = channels
        .iter()
        .enumerate()
        .map(|(index, value)| channel(value, index, &root, eps))
        .collect::<Result<_, _>>()?;
    Ok(NormLayer { name: String::new(), channels, eps, range: (low, high), bits })
}

fn channel(value: &Value, index: usize, root: &Object<'_>, eps: f64) -> Result<BatchNormChannel, BatchNormError> {
    let object = Object::of(value, format!("channels[{index}]"))?;
    object.only(&["gamma", "beta", "mean", "var", "input_scale", "output_scale"])?;
    let scale = |name| if object.fields.contains_key(name) { object.number(name) } else { root.number(name) };
    let channel = BatchNormChannel {
        gamma: object.number("gamma")?,
        beta: object.number("beta")?,
        mean: object.number("mean")?,
        var: object.number("var")?,
        input_scale: scale("input_scale")?,
        output_scale: scale("output_scale")?,
    };
    Line::of(&channel, eps).map_err(|bad| {
        let holder = if object.fields.contains_key(bad.field) { &object } else { root };
        holder.refused(bad.field, bad.reason)
    })?;
    Ok(channel)
}

/// A JSON object and the path that leads to it.
struct Object<'a> {
    fields: &'a Map<String, Value>,
    path: String,
}

impl<'a> Object<'a> {
    fn of(value: &'a Value, path: String) -> Result<Object<'a>, BatchNormError> {
        match value.as_object() {
            Some(fields) => Ok(Object { fields, path }),
            None if path.is_empty() => {
                Err(BatchNormError::Field { path: "the input".to_owned(), reason: "is no object".to_owned() })
            }
            None => Err(BatchNormError::Field { path, reason: "is no object".to_owned() }),
        }
    }

    fn refused(&self, name: &str, reason: impl fmt::Display) -> BatchNormError {
        let path = if self.path.is_empty() { name.to_owned() } else { format!("{}.{name}", self.path) };
        BatchNormError::Field { path, reason: reason.to_string() }
    }

    fn only(&self, names: &[&str]) -> Result<(), BatchNormError> {
        match self.fields.keys().find(|key| !names.contains(&key.as_str())) {
            Some(key) => Err(self.refused(key, format!("is unknown, expected one of {}", names.join(", ")))),
            None => Ok(()),
        }
    }

    fn required(&self, name: &str) -> Result<&'a Value, BatchNormError> {
        self.fields.get(name).ok_or_else(|| self.refused(name, "is missing"))
    }

    fn number(&self, name: &str) -> Result<f64, BatchNormError> {
        let value = self.required(name)?;
        value.as_f64().ok_or_else(|| self.refused(name, format!("is {value}, expected a number")))
    }

    /// A whole number, also when it is written as `128.0`.
    fn integer(&self, name: &str) -> Result<i64, BatchNormError> {
        let value = self.required(name)?;
        let whole = |v: &f64| v.fract() == 0.0 && v.abs() <= 2f64.powi(53);
        let integer = value.as_i64().or_else(|| value.as_f64().filter(whole).map(|v| v as i64));
        integer.ok_or_else(|| self.refused(name, format!("is {value}, expected a whole number that fits an i64")))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::alternatives::code;
    use harness_method_core::OptionValue;
    use std::collections::BTreeMap;

    fn input() -> Value {
        serde_json::json!({
            "channels": [
                {"gamma": 1.3, "beta": -0.2, "mean": 3.0, "var": 2.0},
                {"gamma": -0.7, "beta": 0.5, "mean": -1.0, "var": 0.0, "input_scale": 0.02, "output_scale": 0.5},
            ],
            "eps": 1e-3, "input_scale": 0.05, "output_scale": 0.25, "x_min": -300, "x_max": 255, "bits": 3,
        })
    }

    fn run(input: &str, options: &Options) -> Result<String, BatchNormError> {
        to_text(&integers(&parse(input)?, options)?)
    }

    fn options(given: &[(&str, OptionValue)]) -> Options {
        let given: BTreeMap<String, OptionValue> = given.iter().map(|(k, v)| ((*k).to_owned(), v.clone())).collect();
        Options::resolve(BnOptimal.about().about.options, &given).unwrap()
    }

    #[test]
    fn what_comes_out_means_what_went_in() {
        let output: Value = serde_json::from_str(&run(&input().to_string(), &options(&[])).unwrap()).unwrap();
        let shift = u32::try_from(output["shift"].as_u64().unwrap()).unwrap();
        let channels = output["channels"].as_array().unwrap();
        assert_eq!(channels.len(), 2);
        for (index, (gamma, beta, mean, var, s, d)) in
            [(1.3, -0.2, 3.0, 2.0, 0.05, 0.25), (-0.7, 0.5, -1.0, 0.0, 0.02, 0.5)].into_iter().enumerate()
        {
            let pair = (channels[index]["a"].as_i64().unwrap(), channels[index]["b"].as_i64().unwrap());
            for x in -300i64..=255 {
                let real: f64 = gamma * (x as f64 * s - mean) / f64::sqrt(var + 1e-3) + beta;
                let expected = (real / d + 0.5).floor().clamp(0.0, 7.0);
                assert_eq!(
                    f64::from(code(pair, shift, Bits::new(3).unwrap(), x)),
                    expected,
                    "channel {index}, x = {x}"
                );
            }
        }
    }

    #[test]
    fn options_choose_shift_and_mode() {
        let text = input().to_string();
        let shift = |given: &[(&str, OptionValue)]| {
            let output: Value = serde_json::from_str(&run(&text, &options(given)).unwrap()).unwrap();
            output["shift"].as_u64().unwrap()
        };
        let min = shift(&[]);
        assert_eq!(shift(&[("shift", OptionValue::Int(20))]), 20);
        assert_eq!(shift(&[("mode", OptionValue::Text("round".to_owned()))]), min);
        let refused = run(&text, &options(&[("shift", OptionValue::Int(i64::try_from(min).unwrap() - 1))]));
        let message = refused.unwrap_err().to_string();
        assert!(message.contains(&format!("takes at least {min}")), "{message}");
    }

    #[test]
    fn whole_numbers_may_be_written_as_floats_and_outer_scales_left_out() {
        let text = r#"{"channels": [{"gamma": 1, "beta": 0, "mean": 0, "var": 1, "input_scale": 1, "output_scale": 1}],
            "eps": 0, "x_min": -4.0, "x_max": 4, "bits": 2.0}"#;
        assert_eq!(run(text, &options(&[])).unwrap(), r#"{"shift":0,"channels":[{"a":1,"b":0}]}"#);
    }

    #[test]
    fn bad_fields_are_named() {
        let change = |path: &[&str], value: Option<Value>| {
            let mut root = input();
            let mut at = &mut root;
            for key in &path[..path.len() - 1] {
                at = match key.parse::<usize>() {
                    Ok(index) => &mut at[index],
                    Err(_) => &mut at[*key],
                };
            }
            let (fields, last) = (at.as_object_mut().unwrap(), path[path.len() - 1]);
            match value {
                Some(value) => fields.insert(last.to_owned(), value),
                None => fields.remove(last),
            };
            run(&root.to_string(), &options(&[])).unwrap_err()
        };
        let cases: [(&[&str], Option<Value>, &str); 19] = [
            (&["channels", "1", "var"], Some((-1.0).into()), "channels[1].var"),
            (&["channels", "0", "gamma"], Some("one".into()), "channels[0].gamma"),
            (&["channels", "0", "beta"], None, "channels[0].beta"),
            (&["channels", "1", "mean"], Some(Value::Null), "channels[1].mean"),
            (&["channels", "1", "input_scale"], Some(0.into()), "channels[1].input_scale"),
            (&["channels", "0", "scale"], Some(0.into()), "channels[0].scale"),
            (&["input_scale"], Some((-2).into()), "input_scale"),
            (&["output_scale"], None, "output_scale"),
            (&["eps"], Some((-1e-5).into()), "eps"),
            (&["eps"], Some(0.into()), "channels[1].var"),
            (&["bits"], Some(0.into()), "bits"),
            (&["bits"], Some(9.into()), "bits"),
            (&["bits"], Some(2.5.into()), "bits"),
            (&["x_min"], Some(256.into()), "x_min"),
            (&["x_max"], Some(1e30.into()), "x_max"),
            (&["x_max"], Some(0.5.into()), "x_max"),
            (&["channels"], Some(Value::Array(vec![])), "channels"),
            (&["channels"], Some(3.into()), "channels"),
            (&["note"], Some("x".into()), "note"),
        ];
        for (path, value, expected) in cases {
            match change(path, value.clone()) {
                BatchNormError::Field { path: found, .. } => assert_eq!(found, expected, "{path:?} {value:?}"),
                other => panic!("{path:?} {value:?}: {other}"),
            }
        }
        for text in ["", "[1", r#"{"eps": NaN}"#, r#"{"eps": 1e999}"#, r#"{"eps": -Infinity}"#] {
            assert!(matches!(run(text, &options(&[])), Err(BatchNormError::Syntax(_))), "{text}");
        }
        for text in ["[]", "3", "null", r#"{"channels": [3], "eps": 1, "x_min": 0, "x_max": 1, "bits": 1}"#] {
            assert!(matches!(run(text, &options(&[])), Err(BatchNormError::Field { .. })), "{text}");
        }
    }
}
