//! `harness batchnorm`: the integers give the codes that the real numbers give, at every accumulator value.

use std::fs;

use crate::support::{Ran, Workplace};
use serde_json::{Map, Value, json};

/// Runs on one layer.
fn batchnorm(layer: &str, arguments: &[&str]) -> (Ran, Option<Value>) {
    let workplace = Workplace::new("");
    fs::write(workplace.path("bn.json"), layer).unwrap();
    let ran = workplace.run(&[&["batchnorm", "--in", "bn.json", "--out", "int.json"], arguments].concat());
    let output = fs::read_to_string(workplace.path("int.json")).ok();
    (ran, output.map(|text| serde_json::from_str(&text).unwrap()))
}

/// Deterministic numbers in [0, 1).
struct Draw(u64);

impl Draw {
    fn next(&mut self) -> f64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 11) as f64 / (1u64 << 53) as f64
    }

    fn between(&mut self, low: f64, high: f64) -> f64 {
        low + (high - low) * self.next()
    }
}

/// A random layer; every third channel has scales of its own, some have no or a negative slope or hardly a variance.
fn layer(draw: &mut Draw, channels: usize, (low, high): (i64, i64), bits: u32) -> Value {
    let channel = |index: usize| {
        let gamma = match index % 4 {
            0 => draw.between(0.2, 2.0),
            1 => draw.between(-2.0, -0.2),
            2 => draw.between(-1e-3, 1e-3),
            _ => 0.0,
        };
        let var = if index.is_multiple_of(5) { 0.0 } else { draw.between(0.01, 30.0) };
        let (beta, mean) = (draw.between(-1.0, 1.0), draw.between(-3.0, 3.0));
        let mut channel = json!({"gamma": gamma, "beta": beta, "mean": mean, "var": var});
        if index.is_multiple_of(3) {
            channel["input_scale"] = draw.between(0.001, 0.1).into();
            channel["output_scale"] = draw.between(0.05, 0.5).into();
        }
        channel
    };
    let channels: Vec<Value> = (0..channels).map(channel).collect();
    json!({"channels": channels, "eps": 1e-5, "input_scale": 0.02, "output_scale": 0.3, "x_min": low, "x_max": high,
           "bits": bits})
}

/// How many codes of the integers differ from those of the real numbers; close calls in f64 are left out and counted.
fn differing(layer: &Value, output: &Value) -> (u64, u64) {
    let number = |object: &Map<String, Value>, key: &str| object.get(key).or(layer.get(key)).unwrap().as_f64().unwrap();
    let bits = layer["bits"].as_u64().unwrap();
    let max = (1i64 << bits) - 1;
    let shift = output["shift"].as_u64().unwrap();
    let (channels, pairs) = (layer["channels"].as_array().unwrap(), output["channels"].as_array().unwrap());
    assert_eq!(channels.len(), pairs.len());
    let (mut differing, mut unsure) = (0, 0);
    for (channel, pair) in channels.iter().zip(pairs) {
        let channel = channel.as_object().unwrap();
        let of = |key| number(channel, key);
        let (a, b) = (pair["a"].as_i64().unwrap(), pair["b"].as_i64().unwrap());
        let deviation = (of("var") + of("eps")).sqrt();
        for x in layer["x_min"].as_i64().unwrap()..=layer["x_max"].as_i64().unwrap() {
            let y = of("gamma") * (x as f64 * of("input_scale") - of("mean")) / deviation + of("beta");
            let position = y / of("output_scale") + 0.5;
            let threshold = position.round();
            if (1.0..=max as f64).contains(&threshold) && (position - threshold).abs() < 1e-9 {
                unsure += 1;
                continue;
            }
            let expected = (position.floor() as i64).clamp(0, max);
            let found = ((a * x + b) >> shift).clamp(0, max);
            differing += u64::from(found != expected);
        }
    }
    (differing, unsure)
}

#[test]
fn integers_give_every_code_of_the_real_numbers() {
    let mut draw = Draw(1);
    for (range, bits) in [((-128, 127), 1), ((0, 255), 4), ((-4096, 4095), 3), ((-3000, 5000), 8)] {
        let layer = layer(&mut draw, 24, range, bits);
        let (ran, output) = batchnorm(&layer.to_string(), &["--json"]);
        let output = output.unwrap();
        assert_eq!((ran.code, &ran.stderr[..]), (0, ""), "{ran:?}");
        let (differing, unsure) = differing(&layer, &output);
        assert_eq!(differing, 0, "{layer} {output}");
        assert_eq!(unsure, 0);
        let summary: Value = serde_json::from_str(&ran.stdout).unwrap();
        assert_eq!((&summary["mismatches"], &summary["shift"]), (&json!(0), &output["shift"]));
        assert_eq!(summary["compared"], json!(24 * (range.1 - range.0 + 1)));
        for (key, bits) in [("a", "a_bits"), ("b", "b_bits")] {
            let values = || output["channels"].as_array().unwrap().iter().map(|pair| pair[key].as_i64().unwrap());
            let width = summary[bits].as_u64().unwrap();
            let fits =
                |width: u64| values().all(|v| (-(1i128 << (width - 1))..1i128 << (width - 1)).contains(&i128::from(v)));
            assert!(fits(width) && (width == 1 || !fits(width - 1)), "{bits}: {summary}");
        }
    }
}

#[test]
fn naive_rounding_is_counted_rightly() {
    let layer = layer(&mut Draw(2), 12, (-2000, 2000), 4);
    let (ran, output) = batchnorm(&layer.to_string(), &["--json", "--set", "mode=round", "--set", "shift=6"]);
    assert_eq!(ran.code, 0, "{ran:?}");
    let summary: Value = serde_json::from_str(&ran.stdout).unwrap();
    let (differing, unsure) = differing(&layer, &output.unwrap());
    assert!(differing > 100, "{differing}");
    assert_eq!(unsure, 0);
    assert_eq!(summary["mismatches"], json!(differing));
    assert_eq!(summary["shift"], json!(6));
}

#[test]
fn standard_streams() {
    let layer = layer(&mut Draw(3), 4, (-100, 100), 2);
    let workplace = Workplace::new("");
    let output = workplace.feed(&["batchnorm", "--in", "-", "--out", "-"], layer.to_string().as_bytes());
    assert!(output.status.success(), "{output:?}");
    let integers: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(differing(&layer, &integers).0, 0);
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(said.contains("4 channels, shift ") && said.contains("0 of 804 codes differ"), "{said}");
    let quiet = workplace.feed(&["batchnorm", "--in", "-", "--out", "-", "-q"], layer.to_string().as_bytes());
    assert_eq!((quiet.stdout, &quiet.stderr[..]), (output.stdout, &b""[..]));
}

#[test]
fn the_figure_shows_where_rounding_becomes_exact() {
    let workplace = Workplace::new("");
    fs::write(workplace.path("conv2.json"), layer(&mut Draw(6), 16, (-500, 500), 2).to_string()).unwrap();
    let run = |figure| workplace.run(&["batchnorm", "--in", "conv2.json", "--out", "int.json", "--figure", figure]);
    let ran = run("bn.svg");
    assert_eq!(ran.code, 0, "{ran:?}");
    assert!(fs::read_to_string(workplace.path("bn.svg")).unwrap().contains("conv2"));
    let numbers = fs::read_to_string(workplace.path("bn.csv")).unwrap();
    let rates: Vec<f64> = numbers
        .lines()
        .filter(|line| line.contains(",mismatch,"))
        .map(|line| line.rsplit(',').next().unwrap().parse().unwrap())
        .collect();
    assert!(rates[0] > 0.1 && *rates.last().unwrap() < 1e-3, "{rates:?}");
    assert_eq!(numbers.matches(",smallest_exact_shift,").count(), 16);
    for (figure, part) in
        [("bn.jpeg", ".svg, .pdf or .png"), ("absent/bn.svg", "no folder absent"), ("bn.csv", "same file")]
    {
        let ran = run(figure);
        assert_eq!(ran.code, 2, "{figure}: {ran:?}");
        assert!(ran.stderr.contains(part), "{figure}: {ran:?}");
    }
}

#[test]
fn mistakes_are_shown_by_their_path() {
    let good = layer(&mut Draw(4), 4, (-100, 100), 2);
    let changed = |path: &str, value: Value| {
        let mut layer = good.clone();
        *layer.pointer_mut(path).unwrap() = value;
        layer.to_string()
    };
    let rows = [
        (changed("/channels/3/var", json!(-1.0)), "`channels[3].var`"),
        (changed("/channels/2", json!({"gamma": 1})), "`channels[2].beta` is missing"),
        (changed("/bits", json!(9)), "`bits` is out of range, expected 1 to 8"),
        (changed("/x_min", json!(101)), "`x_min` is 101"),
        (good.to_string().replacen("\"eps\"", "\"epsilon\"", 1), "`epsilon` is unknown"),
        (good.to_string().replacen("0.00001", "NaN", 1), "not JSON"),
        ("3".to_owned(), "is no object"),
    ];
    for (layer, part) in rows {
        let (ran, output) = batchnorm(&layer, &[]);
        assert_eq!((ran.code, &ran.stdout[..], output), (2, "", None), "{layer}: {}", ran.stderr);
        assert!(ran.stderr.contains(part) && ran.stderr.contains("bn.json"), "{layer}: {}", ran.stderr);
    }
}

#[test]
fn bad_arguments_are_refused() {
    let layer = layer(&mut Draw(5), 2, (-100, 100), 2).to_string();
    let rows: &[(&[&str], &str)] = &[
        (&["--set", "mode=exakt"], "`exact`"),
        (&["--set", "mod=exact"], "did you mean `mode`?"),
        (&["--set", "shift=0"], "a shift of 0 is too small"),
    ];
    for (arguments, part) in rows {
        let (ran, output) = batchnorm(&layer, arguments);
        assert_eq!((ran.code, output), (2, None), "{arguments:?}: {}", ran.stderr);
        assert!(ran.stderr.contains(part), "{arguments:?}: {}", ran.stderr);
    }
    let workplace = Workplace::new("");
    fs::write(workplace.path("bn.json"), &layer).unwrap();
    fs::write(workplace.path("latin.json"), b"{\"\xe9\": 1}").unwrap();
    let rows: &[(&[&str], &str)] = &[
        (&["--in", "absent.json", "--out", "int.json"], "absent.json"),
        (&["--in", "latin.json", "--out", "int.json"], "latin.json"),
        (&["--in", "bn.json", "--out", "bn.json"], "the same file"),
        (&["--in", "bn.json", "--out", "absent/int.json"], "no folder absent"),
        (&["--in", "bn.json", "--out", "-", "--json"], "standard output"),
        (&["--in", ".", "--out", "int.json"], "cannot read ."),
    ];
    for (arguments, part) in rows {
        let ran = workplace.run(&[&["batchnorm"], *arguments].concat());
        assert_eq!(ran.code, 2, "{arguments:?}: {ran:?}");
        assert!(ran.stderr.contains(part), "{arguments:?}: {ran:?}");
        assert_eq!(workplace.names(), ["bn.json", "latin.json", "sweep.yaml"]);
    }
    assert_eq!(fs::read_to_string(workplace.path("bn.json")).unwrap(), layer);
}
