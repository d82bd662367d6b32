//! Inverse cosine transforms, 8x8 and smaller, in f32.
//!
//! Compilers make vectors of loops over eight numbers, on any processor; without contraction to fused operations every
//! one gives the same bits. The 8-point transform is that of Y. Arai, T. Agui, M. Nakajima (1988), whose output scales
//! are part of the quantization table.

/// A block of 8x8 coefficients, transposed: number `8 * u + v` has horizontal frequency `u` and vertical `v`.
pub(super) type Block = [f32; 64];

/// The factors that the quantization table is multiplied by, for a block decoded to `side` x `side`: number `8 * u + v`.
pub(super) fn scales(side: usize) -> Block {
    std::array::from_fn(|i| {
        let (u, v) = (i / 8, i % 8);
        if side == 8 { (aan(u) * aan(v) / 8.0) as f32 } else { (side as f64 / 8.0) as f32 }
    })
}

/// `cos(k pi / 16) * sqrt(2)`, 1 for k = 0.
fn aan(k: usize) -> f64 {
    if k == 0 { 1.0 } else { (k as f64 * std::f64::consts::PI / 16.0).cos() * std::f64::consts::SQRT_2 }
}

/// The matrix of the orthonormal transform of `side` points: `[x][u]`.
pub(super) fn matrix(side: usize) -> [[f32; 4]; 4] {
    let n = side as f64;
    std::array::from_fn(|x| {
        std::array::from_fn(|u| {
            let norm = if u == 0 { (1.0 / n).sqrt() } else { (2.0 / n).sqrt() };
            (norm * ((2 * x + 1) as f64 * u as f64 * std::f64::consts::PI / (2.0 * n)).cos()) as f32
        })
    })
}

/// Pixels of a block of 8x8, rows of 8.
#[inline]
pub(super) fn full(block: &Block) -> [[u8; 8]; 8] {
    let mut rows: [[f32; 8]; 8] = std::array::from_fn(|u| std::array::from_fn(|v| block[8 * u + v]));
    pass(&mut rows);
    let mut columns: [[f32; 8]; 8] = std::array::from_fn(|v| std::array::from_fn(|x| rows[x][v]));
    pass(&mut columns);
    columns.map(|row| row.map(pixel))
}

/// Pixels of a block decoded to `side` x `side` pixels, at most 4, by [`matrix`]: number `4 * y + x`.
pub(super) fn reduced(block: &Block, side: usize, matrix: &[[f32; 4]; 4]) -> [u8; 16] {
    let mut half = [[0.0f32; 4]; 4];
    for v in 0..side {
        for x in 0..side {
            half[v][x] = (0..side).map(|u| matrix[x][u] * block[8 * u + v]).sum();
        }
    }
    let mut pixels = [0; 16];
    for y in 0..side {
        for x in 0..side {
            pixels[4 * y + x] = pixel((0..side).map(|v| matrix[y][v] * half[v][x]).sum());
        }
    }
    pixels
}

/// The pixel of a value around 0: rounded, limited to a byte.
#[inline(always)]
pub(super) fn pixel(value: f32) -> u8 {
    let value = value + 128.0;
    let value = if value > 0.0 { value } else { 0.0 };
    let value = if value < 255.0 { value } else { 255.0 };
    // Adding 2^23 leaves the rounded number in the lowest bits.
    (value + 8_388_608.0).to_bits() as u8
}

/// One-dimensional transforms of the eight columns of `x`.
#[inline(always)]
fn pass(x: &mut [[f32; 8]; 8]) {
    let add = |a: &[f32; 8], b: &[f32; 8]| -> [f32; 8] { std::array::from_fn(|i| a[i] + b[i]) };
    let sub = |a: &[f32; 8], b: &[f32; 8]| -> [f32; 8] { std::array::from_fn(|i| a[i] - b[i]) };
    let mul = |a: &[f32; 8], k: f32| -> [f32; 8] { std::array::from_fn(|i| a[i] * k) };
    // Even frequencies.
    let (sum, difference) = (add(&x[0], &x[4]), sub(&x[0], &x[4]));
    let outer = add(&x[2], &x[6]);
    let inner = sub(&mul(&sub(&x[2], &x[6]), std::f32::consts::SQRT_2), &outer);
    let (e0, e3) = (add(&sum, &outer), sub(&sum, &outer));
    let (e1, e2) = (add(&difference, &inner), sub(&difference, &inner));
    // Odd frequencies.
    let (z13, z10) = (add(&x[5], &x[3]), sub(&x[5], &x[3]));
    let (z11, z12) = (add(&x[1], &x[7]), sub(&x[1], &x[7]));
    let o7 = add(&z11, &z13);
    let t11 = mul(&sub(&z11, &z13), std::f32::consts::SQRT_2);
    let z5 = mul(&add(&z10, &z12), 1.847_759_1);
    let t10 = sub(&z5, &mul(&z12, 1.082_392_2));
    let t12 = sub(&z5, &mul(&z10, 2.613_126));
    let o6 = sub(&t12, &o7);
    let o5 = sub(&t11, &o6);
    let o4 = sub(&t10, &o5);
    *x = [
        add(&e0, &o7),
        add(&e1, &o6),
        add(&e2, &o5),
        add(&e3, &o4),
        sub(&e3, &o4),
        sub(&e2, &o5),
        sub(&e1, &o6),
        sub(&e0, &o7),
    ];
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// Pixels of `side` points in the definition's own words, in f64: the transform of ITU-T T.81, A.3.3, for 8 points,
    /// and its like for fewer.
    fn slow(block: &[[f64; 8]; 8], side: usize, x: usize, y: usize) -> f64 {
        let n = side as f64;
        let norm = |k: usize| if k == 0 { (1.0 / n).sqrt() } else { (2.0 / n).sqrt() };
        let cosine = |x: usize, k: usize| ((2 * x + 1) as f64 * k as f64 * std::f64::consts::PI / (2.0 * n)).cos();
        let mut sum = 0.0;
        for (u, row) in block.iter().enumerate().take(side) {
            for (v, coefficient) in row.iter().enumerate().take(side) {
                sum += norm(u) * norm(v) * coefficient * cosine(x, u) * cosine(y, v);
            }
        }
        (sum * n / 8.0 + 128.0).clamp(0.0, 255.0)
    }

    proptest! {
        #[test]
        fn every_size_is_what_the_definition_says(
            coefficients in prop::collection::vec(prop_oneof![3 => Just(0i32), 1 => -300..300i32], 64),
        ) {
            let block: [[f64; 8]; 8] = std::array::from_fn(|u| std::array::from_fn(|v| coefficients[8 * u + v].into()));
            for side in [8, 4, 2, 1] {
                let scales = scales(side);
                let scaled: Block = std::array::from_fn(|i| coefficients[i] as f32 * scales[i]);
                let matrix = matrix(side);
                for y in 0..side {
                    for x in 0..side {
                        let found = if side == 8 { full(&scaled)[y][x] } else { reduced(&scaled, side, &matrix)[4 * y + x] };
                        let expected = slow(&block, side, x, y);
                        prop_assert!((f64::from(found) - expected).abs() <= 0.51, "{side}: {found} for {expected}");
                    }
                }
            }
        }
    }
}
