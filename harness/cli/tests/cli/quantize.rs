//! `harness quantize`: arrays of every form in, levels and codes out.

use std::collections::BTreeSet;
use std::fs;

use crate::support::Workplace;
use harness_fuzz::npy;
use serde_json::{Value, json};

/// Deterministic numbers in [0, 1).
struct Draw(u64);

impl Draw {
    fn next(&mut self) -> f64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 11) as f64 / (1u64 << 53) as f64
    }

    /// Twelve uniform numbers make one that is nearly normal.
    fn normals(&mut self, count: usize) -> Vec<f64> {
        (0..count).map(|_| f64::from(((0..12).map(|_| self.next()).sum::<f64>() - 6.0) as f32)).collect()
    }
}

/// What a run gave: its summary, the values and the codes.
struct Quantized {
    summary: Value,
    shape: Vec<usize>,
    values: Vec<f32>,
    codes: Vec<u8>,
}

/// Quantizes a file with these arguments, which must succeed.
fn quantize(file: &[u8], arguments: &[&str]) -> Quantized {
    let workplace = Workplace::new("");
    fs::write(workplace.path("x.npy"), file).unwrap();
    let files = ["quantize", "--in", "x.npy", "--out", "y.npy", "--codes", "c.npy", "--json"];
    let ran = workplace.run(&[&files, arguments].concat());
    assert_eq!(ran.code, 0, "{arguments:?}: {ran:?}");
    assert_eq!(ran.stderr, "", "{arguments:?}");
    assert_eq!(workplace.names(), ["c.npy", "sweep.yaml", "x.npy", "y.npy"]);
    let summary: Value = serde_json::from_str(&ran.stdout).unwrap();
    let (shape, values) = npy::floats(&workplace.path("y.npy"));
    let (code_shape, codes) = npy::codes(&workplace.path("c.npy"));
    assert_eq!(code_shape, shape);
    assert_eq!(summary["shape"], json!(shape));
    Quantized { summary, shape, values, codes }
}

fn numbers(value: &Value) -> Vec<f64> {
    value.as_array().unwrap().iter().map(|v| v.as_f64().unwrap()).collect()
}

impl Quantized {
    /// The level that the summary gives for element `i`.
    fn level(&self, i: usize) -> f64 {
        let levels = self.summary["levels"].as_array().unwrap();
        let row = if levels[0].is_array() {
            assert_eq!(levels.len(), self.shape[0]);
            numbers(&levels[i / (self.values.len() / self.shape[0])])
        } else {
            numbers(&self.summary["levels"])
        };
        assert_eq!(row.len(), 1 << self.summary["bits"].as_u64().unwrap());
        row[usize::from(self.codes[i])]
    }

    /// Everything in the summary that follows from the arrays, for a fraction of 1.
    fn check(&self, x: &[f64]) {
        let note = &self.summary;
        assert_eq!(note["portion"], 1.0, "{note}");
        for (i, &value) in self.values.iter().enumerate() {
            assert_eq!(self.level(i), f64::from(value), "element {i}: {note}");
        }
        let mut counts = vec![0u64; 1 << note["bits"].as_u64().unwrap()];
        self.codes.iter().for_each(|&code| counts[usize::from(code)] += 1);
        assert_eq!(note["code_counts"], json!(counts));
        let total = x.len() as f64;
        let entropy: f64 = counts.iter().filter(|&&n| n > 0).map(|&n| n as f64 / total).map(|p| -p * p.log2()).sum();
        assert!((note["effective_bits"].as_f64().unwrap() - entropy).abs() < 1e-9, "{entropy}: {note}");
        let error: f64 = x.iter().zip(&self.values).map(|(x, &q)| (x - f64::from(q)).powi(2)).sum();
        let relative = error / x.iter().map(|x| x * x).sum::<f64>();
        let found = note["relative_mse"].as_f64().unwrap();
        assert!((found - relative).abs() <= 1e-9 * relative, "{relative}: {note}");
    }
}

/// Symmetric uniform quantization, one number at a time: codes and values.
fn uniform(x: &[f64], bits: u32) -> Vec<(u8, f32)> {
    let n = ((1u32 << bits) - 1) as f32;
    let reach = x.iter().fold(0.0f32, |m, &v| m.max((v as f32).abs()));
    let one = |&v: &f64| {
        let code = ((v as f32 * (1.0 / reach) + 1.0) * (n / 2.0)).round_ties_even().clamp(0.0, n);
        (code as u8, (2.0 * code - n) * (reach / n))
    };
    x.iter().map(one).collect()
}

/// Types and orders of elements and ranks in turn: the values are those that the numbers themselves give.
#[test]
fn every_form_of_an_array_is_the_same_array() {
    let forms: [(&str, bool, &[usize]); 6] = [
        ("<f2", false, &[7]),
        ("<f4", true, &[3, 5]),
        (">f8", true, &[2, 3, 4]),
        (">f2", true, &[4, 3, 2, 2]),
        ("<f8", false, &[2, 1, 3, 2, 3]),
        (">f4", false, &[2, 3, 1, 1, 2, 2]),
    ];
    let mut draw = Draw(1);
    for (descr, fortran, shape) in forms {
        // Multiples of 1/64: representable in all three types.
        let x: Vec<f64> = draw.normals(shape.iter().product()).iter().map(|v| (v * 64.0).round() / 64.0).collect();
        let got = quantize(&npy::array(descr, fortran, shape, &x), &["--method", "uniform", "--bits", "4"]);
        assert_eq!(got.shape, shape, "{descr}");
        let pairs: Vec<(u8, f32)> = got.codes.iter().copied().zip(got.values.iter().copied()).collect();
        assert_eq!(pairs, uniform(&x, 4), "{descr}, Fortran order {fortran}, {shape:?}");
        got.check(&x);
    }
}

/// Codes may differ from those of a computation in f64 only next to a tie.
fn assert_codes(found: &[u8], positions: &[f64], note: &str) {
    let mut compared = 0;
    for (i, (&code, position)) in found.iter().zip(positions).enumerate() {
        if (position.fract().abs() - 0.5).abs() > 1e-4 {
            assert_eq!(f64::from(code), position.round(), "{note}: element {i}");
            compared += 1;
        }
    }
    assert!(compared * 10 > found.len() * 9, "{note}: {compared}");
}

fn assert_near(found: &[f32], expected: impl Iterator<Item = f64>, note: &str) {
    for (i, (&found, expected)) in found.iter().zip(expected).enumerate() {
        assert!((f64::from(found) - expected).abs() < 1e-5, "{note}: element {i}: {found}, expected {expected}");
    }
}

#[test]
fn dorefa_is_its_paper() {
    let x = Draw(2).normals(600);
    let file = npy::array("<f4", false, &[20, 30], &x);
    let of = |role: &str, bits: u32, more: &[&str]| {
        let bits = bits.to_string();
        let got = quantize(&file, &[&["--method", "dorefa", "--role", role, "--bits", &bits], more].concat());
        got.check(&x);
        got
    };
    for bits in [2, 8] {
        let n = f64::from((1u32 << bits) - 1);
        let max = x.iter().map(|v| v.tanh().abs()).fold(0.0, f64::max);
        let positions: Vec<f64> = x.iter().map(|v| n * (v.tanh() / (2.0 * max) + 0.5)).collect();
        let weights = of("weight", bits, &[]);
        assert_codes(&weights.codes, &positions, "weights");
        assert_near(&weights.values, weights.codes.iter().map(|&c| 2.0 * f64::from(c) / n - 1.0), "weights");

        let positions: Vec<f64> = x.iter().map(|v| n * v.clamp(0.0, 1.0)).collect();
        let activations = of("activation", bits, &[]);
        assert_codes(&activations.codes, &positions, "activations");
        assert_near(&activations.values, activations.codes.iter().map(|&c| f64::from(c) / n), "activations");

        let peak = |i: usize| x[i / 30 * 30..][..30].iter().map(|v| v.abs()).fold(0.0, f64::max);
        let positions: Vec<f64> = (0..x.len()).map(|i| n * (x[i] / (2.0 * peak(i)) + 0.5)).collect();
        let gradients = of("gradient", bits, &["--set", "noise=false"]);
        assert_codes(&gradients.codes, &positions, "gradients");
        let level = |i: usize| 2.0 * peak(i) * (f64::from(gradients.codes[i]) / n - 0.5);
        assert_near(&gradients.values, (0..x.len()).map(level), "gradients");
    }
    let noisy = |seed: &str| of("gradient", 4, &["--seed", seed]).codes;
    let (plain, noise) = (of("gradient", 4, &["--set", "noise=false"]).codes, noisy("3"));
    assert!(noise != plain && noise.iter().zip(&plain).all(|(a, b)| a.abs_diff(*b) <= 1));
    assert_eq!(noise, noisy("3"));
    assert_ne!(noise, noisy("4"));
    let mean = x.iter().map(|v| v.abs()).sum::<f64>() / x.len() as f64;
    let binary = of("weight", 1, &[]);
    assert_near(&binary.values, x.iter().map(|v| if *v >= 0.0 { mean } else { -mean }), "binary weights");
}

#[test]
fn balanced_is_a_partition_into_quantiles() {
    let x = Draw(3).normals(512);
    let file = npy::array("<f4", false, &[16, 32], &x);
    let mut order: Vec<usize> = (0..x.len()).collect();
    order.sort_by(|&a, &b| x[a].total_cmp(&x[b]));
    assert!(order.windows(2).all(|pair| x[pair[0]] < x[pair[1]]));
    let max = x.iter().map(|v| v.abs()).fold(0.0, f64::max);
    for bits in [1u32, 3, 8] {
        let got = quantize(&file, &["--method", "balanced", "--bits", &bits.to_string()]);
        got.check(&x);
        let n = f64::from((1u32 << bits) - 1);
        for (rank, &i) in order.iter().enumerate() {
            assert_eq!(usize::from(got.codes[i]), (rank << bits) / x.len(), "{bits} bits, rank {rank}");
        }
        let level = |code: &u8| 2.0 * max * (f64::from(*code) / n - 0.5);
        assert_near(&got.values, got.codes.iter().map(level), "balanced");
        assert_eq!(got.summary["effective_bits"], f64::from(bits));
    }
}

/// What a method needs beside its defaults to have codes of this width.
fn sets(method: &str, bits: u64) -> &'static [&'static str] {
    match (method, bits) {
        ("least-squares", 3..) => &["--set", "variant=greedy"],
        ("stochastic", 2) => &["--set", "base=twn"],
        _ => &[],
    }
}

/// Every method for one role at its least and its largest width: it runs, and its codes decode to its values.
fn every_method(role: &str) {
    let methods = Workplace::new("").run(&["methods", "--json"]).stdout;
    let x = Draw(4).normals(6 * 5 * 3 * 3);
    let file = npy::array("<f4", false, &[6, 5, 3, 3], &x);
    let mut names = Vec::new();
    for method in serde_json::from_str::<Vec<Value>>(&methods).unwrap() {
        let name = method["name"].as_str().unwrap();
        let supported = method["roles"][role]["supported"] == true;
        let Some(min) = method["bits"]["min"].as_u64().filter(|_| supported) else { continue };
        for bits in BTreeSet::from([min, method["bits"]["max"].as_u64().unwrap()]) {
            let width = bits.to_string();
            let arguments = [&["--method", name, "--role", role, "--bits", &width], sets(name, bits)].concat();
            let got = quantize(&file, &arguments);
            assert_eq!((&got.summary["method"], &got.summary["role"]), (&json!(name), &json!(role)));
            assert!(got.codes.iter().all(|&code| u64::from(code) < 1 << bits), "{arguments:?}");
            got.check(&x);
        }
        names.push(name.to_owned());
    }
    assert!(names.contains(&"dorefa".to_owned()), "{names:?}");
}

#[test]
fn every_method_quantizes_weights() {
    every_method("weight");
}

#[test]
fn every_method_quantizes_activations() {
    every_method("activation");
}

#[test]
fn every_method_quantizes_gradients() {
    every_method("gradient");
}

#[test]
fn a_fraction_stays_as_it_was() {
    let x = Draw(5).normals(8 * 9);
    let file = npy::array("<f8", true, &[8, 1, 3, 3], &x);
    let of = |seed: &str| {
        let arguments = ["--method", "stochastic", "--bits", "1", "--set", "portion=0.5", "--seed", seed];
        let got = quantize(&file, &arguments);
        assert_eq!((&got.summary["portion"], &got.summary["options"]["portion"]), (&json!(0.5), &json!(0.5)));
        let kept = |c: usize| got.values[9 * c..][..9].iter().zip(&x[9 * c..]).all(|(q, x)| f64::from(*q) == *x);
        let kept: Vec<bool> = (0..8).map(kept).collect();
        for (i, value) in got.values.iter().enumerate().filter(|(i, _)| !kept[i / 9]) {
            assert_eq!(got.level(i), f64::from(*value));
        }
        assert_eq!(kept.iter().filter(|kept| **kept).count(), 4, "{kept:?}");
        kept
    };
    let draws: Vec<Vec<bool>> = ["0", "1", "2", "3", "0"].map(of).to_vec();
    assert_eq!(draws[0], draws[4]);
    assert!(draws[1..4].iter().any(|draw| *draw != draws[0]));
}

#[test]
fn draws_follow_the_seed_and_the_width_may_go_without_saying() {
    let x = Draw(6).normals(64);
    let file = npy::array("<f4", false, &[64], &x);
    let of = |seed: &str| {
        let got = quantize(&file, &["--method", "binaryconnect", "--set", "stochastic=true", "--seed", seed]);
        assert_eq!((&got.summary["bits"], &got.summary["seed"]), (&json!(1), &json!(seed.parse::<u64>().unwrap())));
        got.codes
    };
    assert_eq!(of("1"), of("1"));
    assert_ne!(of("1"), of("2"));
    let signs: Vec<u8> = x.iter().map(|v| u8::from(*v >= 0.0)).collect();
    assert_eq!(quantize(&file, &["--method", "binaryconnect"]).codes, signs);
}

/// Constants, zeros, single numbers, one channel, many dimensions.
#[test]
fn awkward_arrays_are_quantized_too() {
    let deep = vec![1; 64];
    let arrays: [(&[usize], Vec<f64>); 5] = [
        (&[1], vec![-0.25]),
        (&[4, 1, 1, 1], vec![0.0; 4]),
        (&[1, 6], vec![-2.5; 6]),
        (&[2, 3], vec![1e-40, -1e-40, 3e38, -3e38, 0.0, 1.0]),
        (&deep, vec![0.75]),
    ];
    for (shape, x) in arrays {
        let file = npy::array("<f8", false, shape, &x);
        let got = quantize(&file, &["--method", "uniform", "--bits", "2", "--set", "per=channel"]);
        assert_eq!(got.shape, shape);
        assert!((0..x.len()).all(|i| got.level(i) == f64::from(got.values[i])), "{shape:?}");
    }
}

/// These arguments on this file: exit code 2, this part of a message, nothing written. Files have their usual names
/// unless the arguments name others.
fn refused(file: &[u8], arguments: &[&str], part: &str) {
    let workplace = Workplace::new("");
    fs::write(workplace.path("x.npy"), file).unwrap();
    let usual = [["--in", "x.npy"], ["--out", "y.npy"], ["--codes", "c.npy"]];
    let files = usual.iter().filter(|[option, _]| !arguments.contains(option)).flatten().copied();
    let all: Vec<&str> = ["quantize", "--json"].into_iter().chain(files).chain(arguments.iter().copied()).collect();
    let ran = workplace.run(&all);
    assert_eq!(ran.code, 2, "{arguments:?}, {part}: {ran:?}");
    assert!(ran.stderr.contains(part), "{arguments:?}, {part}: {ran:?}");
    assert!(ran.stderr.len() < 1000 && ran.stdout.is_empty(), "{ran:?}");
    assert_eq!(workplace.names(), ["sweep.yaml", "x.npy"], "{arguments:?}");
    assert_eq!(fs::read(workplace.path("x.npy")).unwrap(), file);
}

#[test]
fn hostile_arrays_are_refused() {
    let good = npy::array("<f4", false, &[2, 3], &[0.5; 6]);
    let mut x = vec![0.5; 2 * 3 * 4];
    (x[14], x[23]) = (f64::NAN, f64::INFINITY);
    let rows: [(Vec<u8>, &str); 6] = [
        (b"PK\x03\x04 an archive of arrays".to_vec(), "x.npy is no .npy file"),
        (good[..good.len() - 1].to_vec(), "cut short: 23 bytes of elements, its shape [2, 3] needs 24"),
        (npy::file(&npy::header("<i4", false, &[2]), &[0; 8]), "type `<i4`, expected floating-point"),
        (npy::file(&npy::header("<f8", false, &[1 << 50]), &[0; 64]), "cut short: 64 bytes of elements"),
        (
            npy::array("<f4", true, &[2, 3, 4], &x),
            "2 of 24 values that are not finite, the first (NaN) at index [1, 0, 2]",
        ),
        (npy::array("<f8", false, &[2], &[1.0, -1e39]), "beyond the range of f32, the first (-1e39) at index [1]"),
    ];
    for (file, part) in rows {
        refused(&file, &["--method", "uniform", "--bits", "2"], part);
    }
}

#[test]
fn bad_arguments_are_refused_with_a_hint() {
    let good = npy::array("<f4", false, &[2, 3], &[0.5; 6]);
    let rows: &[(&[&str], &str)] = &[
        (&["--method", "dorfa", "--bits", "2"], "did you mean `dorefa`?"),
        (&["--method", "dorefa"], "--bits is missing, `dorefa` takes 1 to 8"),
        (&["--method", "dorefa", "--bits", "9"], "--bits is 9, `dorefa` takes 1 to 8"),
        (&["--method", "balanced", "--bits", "2", "--set", "treshold=mean"], "did you mean `threshold`?"),
        (&["--method", "balanced", "--bits", "2", "--set", "threshold=mode"], "`median` or `mean`"),
        (&["--method", "twn", "--set", "delta=layer", "--set", "delta=filter"], "given twice"),
        (&["--method", "least-squares", "--bits", "3"], "variant: greedy"),
        (&["--method", "stochastic", "--bits", "2"], "base: bwn"),
        (&["--method", "uniform", "--bits", "2", "--role", "gradient"], "no gradient quantization"),
        (&["--method", "xnor", "--set", "map=true", "--role", "activation"], "every pixel"),
        (&["--method", "float", "--bits", "8"], "full precision"),
        (&["--method", "bn-optimal", "--bits", "8"], "combine it with a method"),
        (&["--method", "bnn", "--in", "absent.npy"], "absent.npy"),
        (&["--method", "bnn", "--out", "./x.npy"], "--in and --out are the same file"),
        (&["--method", "bnn", "--codes", "./y.npy"], "--out and --codes are the same file"),
        (&["--method", "bnn", "--out", "absent/y.npy"], "no folder absent"),
        (&["--method", "bnn", "--out", "."], "this is a folder"),
        (&["--method", "bnn", "--out", "-"], "both take standard output"),
    ];
    for (arguments, part) in rows {
        refused(&good, arguments, part);
    }
}

#[test]
fn standard_streams_and_the_table() {
    let x = [0.5, -1.0, 0.25, 1.0];
    let file = npy::array("<f4", false, &[4], &x);
    let workplace = Workplace::new("");
    let arguments = ["quantize", "--method", "uniform", "--bits", "1", "--in", "-", "--out"];
    let output = workplace.feed(&[&arguments[..], &["-"]].concat(), &file);
    assert!(output.status.success(), "{output:?}");
    fs::write(workplace.path("y.npy"), &output.stdout).unwrap();
    assert_eq!(npy::floats(&workplace.path("y.npy")).1, [1.0, -1.0, 1.0, 1.0]);
    assert!(String::from_utf8(output.stderr).unwrap().contains("code  level  count"));
    let output = workplace.feed(&[&arguments[..], &["z.npy"]].concat(), &file);
    let table = String::from_utf8(output.stdout).unwrap();
    for part in ["uniform, 1-bit weight of shape [4]", "0     -1     1", "1     1      3"] {
        assert!(table.contains(part), "{part}: {table}");
    }
    assert_eq!(npy::floats(&workplace.path("z.npy")).1, [1.0, -1.0, 1.0, 1.0]);
}

#[test]
fn an_output_is_replaced_whole() {
    let workplace = Workplace::new("");
    fs::write(workplace.path("x.npy"), npy::array("<f4", false, &[2], &[0.5, -0.5])).unwrap();
    fs::write(workplace.path("y.npy"), "what was there before").unwrap();
    let arguments = ["quantize", "--method", "bnn", "--in", "x.npy", "--out", "y.npy"];
    assert_eq!(workplace.run(&arguments).code, 0);
    assert_eq!(npy::floats(&workplace.path("y.npy")), (vec![2], vec![1.0, -1.0]));
    assert_eq!(workplace.names(), ["sweep.yaml", "x.npy", "y.npy"]);
}
