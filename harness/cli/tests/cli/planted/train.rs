//! A linear classifier with quantized weights on the digits, without any dependency: what the test of `track bisect`
//! trains at every commit of its repository. Writes one record a seed by filling in the templates beside it.

mod quantizer;

use std::env::var;
use std::fs;

const PIXELS: usize = 64;
const CLASSES: usize = 10;
const EPOCHS: usize = 12;

fn main() {
    let bytes = fs::read(var("DIGITS").unwrap()).unwrap();
    let samples: Vec<(usize, Vec<f32>)> = bytes
        .chunks_exact(1 + PIXELS)
        .map(|record| (record[0] as usize, record[1..].iter().map(|&pixel| f32::from(pixel) / 16.0).collect()))
        .collect();
    let (test, train): (Vec<_>, Vec<_>) = samples.into_iter().enumerate().partition(|(index, _)| index % 5 == 0);
    for seed in 0..3u64 {
        let weights = learn(&train, seed);
        let right: Vec<bool> = test.iter().map(|(_, (label, x))| guess(&weights, x) == *label).collect();
        write(seed, &right);
    }
}

fn logits(weights: &[f32], x: &[f32]) -> Vec<f32> {
    weights.chunks_exact(PIXELS).map(|row| row.iter().zip(x).map(|(w, x)| quantizer::quantize(*w) * x).sum()).collect()
}

fn guess(weights: &[f32], x: &[f32]) -> usize {
    let logits = logits(weights, x);
    (0..CLASSES).max_by(|&a, &b| logits[a].total_cmp(&logits[b])).unwrap()
}

/// Stochastic gradient descent with the straight-through estimator; the seed orders the samples.
fn learn(train: &[(usize, (usize, Vec<f32>))], seed: u64) -> Vec<f32> {
    let mut weights = vec![0.0f32; CLASSES * PIXELS];
    let mut state = seed;
    for _ in 0..EPOCHS {
        for _ in 0..train.len() {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            let (_, (label, x)) = &train[(state >> 33) as usize % train.len()];
            let logits = logits(&weights, x);
            let max = logits.iter().copied().fold(f32::MIN, f32::max);
            let exponentials: Vec<f32> = logits.iter().map(|score| (score - max).exp()).collect();
            let sum: f32 = exponentials.iter().sum();
            for (class, row) in weights.chunks_exact_mut(PIXELS).enumerate() {
                let error = exponentials[class] / sum - f32::from(u8::from(class == *label));
                row.iter_mut().zip(x).for_each(|(w, x)| *w = (*w - 0.02 * error * x).clamp(-1.2, 1.2));
            }
        }
    }
    weights
}

fn write(seed: u64, right: &[bool]) {
    let template = fs::read_to_string(format!("record-{seed}.json")).unwrap();
    let id = template.split("\"id\":\"").nth(1).unwrap()[..16].to_owned();
    let folder = format!("{}/planted/{id}", var("HARNESS_RUNS").unwrap());
    fs::create_dir_all(&folder).unwrap();
    let count = right.iter().filter(|right| **right).count();
    let record = template
        .replace("\"@TOP1@\"", &format!("{}", count as f64 / right.len() as f64))
        .replace("\"@SAMPLES@\"", &right.len().to_string())
        .replace("@RIGHT@", &base64(right))
        .replace("\"@DIRTY@\"", &var("DIRTY").unwrap_or_else(|_| "false".to_owned()))
        .replace("@COMMIT@", &var("COMMIT").unwrap());
    fs::write(format!("{folder}/record.json"), record).unwrap();
}

fn base64(bits: &[bool]) -> String {
    const LETTERS: &[u8] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let byte = |bits: &[bool]| bits.iter().enumerate().map(|(i, bit)| u32::from(*bit) << i).sum::<u32>();
    let bytes: Vec<u32> = bits.chunks(8).map(byte).collect();
    let mut text = String::new();
    for group in bytes.chunks(3) {
        let all = group.iter().enumerate().map(|(i, byte)| byte << (16 - 8 * i)).sum::<u32>();
        for i in 0..4 {
            let letter = LETTERS[(all >> (18 - 6 * i) & 63) as usize];
            text.push(if i <= group.len() { letter as char } else { '=' });
        }
    }
    text
}
