//! The arithmetic of a layer's epilogue: from the sums of one output pixel to its values and codes, in one pass over them.

use std::ops::Range;

use crate::layer_output::Clip;
use crate::pack::portable;

/// Several numbers at a time. Every operation on floats is rounded by itself, to nearest and half to even.
///
/// # Safety of every method
/// The processor has the instruction set, and pointers are valid for [`Numbers::LANES`] numbers.
pub(crate) trait Numbers {
    type Int: Copy;
    type Float: Copy;
    const LANES: usize;
    unsafe fn splat_int(x: i32) -> Self::Int;
    unsafe fn load_int(from: *const i32) -> Self::Int;
    /// Both modulo 2^32.
    unsafe fn multiply_int(a: Self::Int, b: Self::Int) -> Self::Int;
    unsafe fn add_int(a: Self::Int, b: Self::Int) -> Self::Int;
    unsafe fn to_float(x: Self::Int) -> Self::Float;
    unsafe fn splat(x: f32) -> Self::Float;
    unsafe fn load(from: *const f32) -> Self::Float;
    unsafe fn store(x: Self::Float, to: *mut f32);
    unsafe fn multiply(a: Self::Float, b: Self::Float) -> Self::Float;
    unsafe fn add(a: Self::Float, b: Self::Float) -> Self::Float;
    /// `a` where it is greater than `b`, else `b`: the latter if one is NaN.
    unsafe fn larger(a: Self::Float, b: Self::Float) -> Self::Float;
    /// `a` where it is less than `b`, else `b`: the latter if one is NaN.
    unsafe fn smaller(a: Self::Float, b: Self::Float) -> Self::Float;
    /// The nearest integers to `clamp(x, 0, max)`, ties to even, for a `max` of at most 255. A number below 0 may come out for
    /// 0, and does for NaN unless 0 does; [`Numbers::store_bytes`] stores it as 0.
    unsafe fn round_even(x: Self::Float, max: Self::Float) -> Self::Int;
    /// The same with ties to zero.
    unsafe fn round_to_zero(x: Self::Float, max: Self::Float) -> Self::Int;
    /// One more than `count` where `x >= boundary`.
    unsafe fn count_reached(count: Self::Int, x: Self::Float, boundary: Self::Float) -> Self::Int;
    /// Shifts to the left.
    unsafe fn shift_int(x: Self::Int, by: u32) -> Self::Int;
    /// Stores numbers below 256 as bytes, those below 0 as 0, `U` vectors one after the other.
    unsafe fn store_bytes<const U: usize>(x: [Self::Int; U], to: *mut u8);
}

/// Where the numbers of the channels of a pixel come from.
pub(crate) trait Source {
    /// Number of channels.
    fn channels(&self) -> usize;

    /// The numbers of channels `n..n + U * V::LANES`.
    ///
    /// # Safety
    /// The channels exist, and the processor has the instruction set.
    unsafe fn at<V: Numbers, const U: usize>(&self, n: usize) -> [V::Float; U];
}

/// Sums of products of stored codes, and what corrects them:
/// `(scale * x << shift) + offset + by_sum[n] * sum + constant[n]` modulo 2^32.
pub(crate) struct CorrectedSums<'a> {
    pub(crate) sums: &'a [i32],
    pub(crate) scale: i32,
    pub(crate) shift: u32,
    pub(crate) offset: i32,
    pub(crate) by_sum: Option<&'a [i32]>,
    pub(crate) sum: i32,
    pub(crate) constant: Option<&'a [i32]>,
}

impl Source for CorrectedSums<'_> {
    #[inline(always)]
    fn channels(&self) -> usize {
        self.sums.len()
    }

    #[inline(always)]
    unsafe fn at<V: Numbers, const U: usize>(&self, n: usize) -> [V::Float; U] {
        // SAFETY: the caller's promise; all lists are as long as the sums.
        unsafe {
            let mut x = [V::splat_int(0); U];
            let offset = V::splat_int(self.offset);
            for u in 0..U {
                let sum = V::load_int(self.sums.as_ptr().add(n + u * V::LANES));
                x[u] = V::add_int(V::shift_int(sum, self.shift), offset);
            }
            if self.scale != 1 {
                for u in 0..U {
                    let sum = V::load_int(self.sums.as_ptr().add(n + u * V::LANES));
                    let scaled = V::multiply_int(V::shift_int(sum, self.shift), V::splat_int(self.scale));
                    x[u] = V::add_int(scaled, offset);
                }
            }
            if let Some(by_sum) = self.by_sum {
                let sum = V::splat_int(self.sum);
                for u in 0..U {
                    let by_sum = V::load_int(by_sum.as_ptr().add(n + u * V::LANES));
                    x[u] = V::add_int(x[u], V::multiply_int(by_sum, sum));
                }
            }
            if let Some(constant) = self.constant {
                for u in 0..U {
                    x[u] = V::add_int(x[u], V::load_int(constant.as_ptr().add(n + u * V::LANES)));
                }
            }
            let mut floats = [V::splat(0.0); U];
            for u in 0..U {
                floats[u] = V::to_float(x[u]);
            }
            floats
        }
    }
}

/// Results that are floats already.
pub(crate) struct Results<'a>(pub(crate) &'a [f32]);

impl Source for Results<'_> {
    #[inline(always)]
    fn channels(&self) -> usize {
        self.0.len()
    }

    #[inline(always)]
    unsafe fn at<V: Numbers, const U: usize>(&self, n: usize) -> [V::Float; U] {
        // SAFETY: the caller's promise.
        unsafe { load::<V, U>(self.0.as_ptr().add(n)) }
    }
}

/// What is made of the numbers of each pixel. Lists are empty, have one number for all channels, or one for each.
pub(crate) struct Rule<'a> {
    pub(crate) scale: &'a [f32],
    pub(crate) bias: &'a [f32],
    pub(crate) clip: Clip,
    pub(crate) codes: [CodesRule<'a>; 2],
}

/// What is made of the values of each pixel.
#[derive(Clone, Copy)]
pub(crate) struct CodesRule<'a> {
    pub(crate) scale: &'a [f32],
    pub(crate) bias: &'a [f32],
    pub(crate) rule: CodeRule<'a>,
}

/// Where the numbers of one pixel are read and written.
pub(crate) struct Places {
    /// What is added.
    pub(crate) residual: Option<*const f32>,
    /// Where the values go.
    pub(crate) values: Option<*mut f32>,
    /// Where the codes go, one per byte; null where none are wanted.
    pub(crate) codes: [*mut u8; 2],
}

/// How values become codes.
#[derive(Clone, Copy)]
pub(crate) enum CodeRule<'a> {
    /// `round_half_even(clamp(x * inverse, 0, max))`.
    Even { inverse: f32, max: f32 },
    /// `round_half_to_zero(clamp(x * inverse, 0, max))`.
    ToZero { inverse: f32, max: f32 },
    /// The number of boundaries that are reached.
    Boundaries(&'a [f32]),
    /// None: another loop makes codes of the values, which go here.
    Values { to: *mut f32 },
}

/// Makes of the numbers of one pixel what `rule` says.
///
/// # Safety
/// The processor has the instruction set of `V`. The lists of `rule` have the lengths that it says for the source's channels, the
/// pointers of it and of `places` are valid for as many numbers, and no two of them overlap unless residual and values are the
/// same.
#[inline(always)]
pub(crate) unsafe fn pixel<V: Numbers>(source: &impl Source, rule: &Rule<'_>, places: &Places) {
    let channels = source.channels();
    // Several vectors at a time share the questions of what is to be done.
    let most = channels / (VECTORS * V::LANES) * VECTORS * V::LANES;
    let whole = channels / V::LANES * V::LANES;
    // SAFETY: the caller's promise.
    unsafe {
        part::<V, VECTORS>(source, rule, places, 0..most);
        part::<V, 1>(source, rule, places, most..whole);
        part::<Plain<1>, 1>(source, rule, places, whole..channels);
    }
}

/// Vectors that are computed at a time: as many as make a vector of bytes.
const VECTORS: usize = 4;

/// Some channels of [`pixel`], a multiple of `U` vectors.
///
/// # Safety
/// As for [`pixel`].
#[inline(always)]
unsafe fn part<V: Numbers, const U: usize>(
    source: &impl Source,
    rule: &Rule<'_>,
    places: &Places,
    channels: Range<usize>,
) {
    for n in channels.step_by(U * V::LANES) {
        // SAFETY: the caller's promise.
        unsafe {
            let mut v = line::<V, U>(source.at::<V, U>(n), rule.scale, rule.bias, n);
            if let Some(residual) = places.residual {
                v = add::<V, U>(v, load::<V, U>(residual.add(n)));
            }
            match rule.clip {
                Clip::None => {}
                Clip::Relu => v = larger::<V, U>(v, 0.0),
                Clip::Between { low, high } => v = smaller::<V, U>(larger::<V, U>(v, low), high),
            }
            if let Some(values) = places.values {
                store::<V, U>(v, values.add(n));
            }
            for (codes, to) in rule.codes.iter().zip(places.codes) {
                if to.is_null() {
                    continue;
                }
                let v = line::<V, U>(v, codes.scale, codes.bias, n);
                let mut code = [V::splat_int(0); U];
                match codes.rule {
                    CodeRule::Even { inverse, max } => {
                        let (v, max) = (multiply::<V, U>(v, [V::splat(inverse); U]), V::splat(max));
                        for u in 0..U {
                            code[u] = V::round_even(v[u], max);
                        }
                    }
                    CodeRule::ToZero { inverse, max } => {
                        let (v, max) = (multiply::<V, U>(v, [V::splat(inverse); U]), V::splat(max));
                        for u in 0..U {
                            code[u] = V::round_to_zero(v[u], max);
                        }
                    }
                    CodeRule::Boundaries(boundaries) => {
                        for &boundary in boundaries {
                            let boundary = V::splat(boundary);
                            for u in 0..U {
                                code[u] = V::count_reached(code[u], v[u], boundary);
                            }
                        }
                    }
                    CodeRule::Values { to } => {
                        store::<V, U>(v, to.add(n));
                        continue;
                    }
                }
                V::store_bytes(code, to.add(n));
            }
        }
    }
}

/// # Safety
/// As for [`pixel`].
#[inline(always)]
unsafe fn load<V: Numbers, const U: usize>(from: *const f32) -> [V::Float; U] {
    // SAFETY: the caller's promise.
    unsafe {
        let mut v = [V::splat(0.0); U];
        for u in 0..U {
            v[u] = V::load(from.add(u * V::LANES));
        }
        v
    }
}

/// # Safety
/// As for [`pixel`].
#[inline(always)]
unsafe fn store<V: Numbers, const U: usize>(v: [V::Float; U], to: *mut f32) {
    for u in 0..U {
        // SAFETY: the caller's promise.
        unsafe { V::store(v[u], to.add(u * V::LANES)) };
    }
}

/// # Safety
/// As for [`pixel`].
#[inline(always)]
unsafe fn add<V: Numbers, const U: usize>(mut a: [V::Float; U], b: [V::Float; U]) -> [V::Float; U] {
    for u in 0..U {
        // SAFETY: the caller's promise.
        a[u] = unsafe { V::add(a[u], b[u]) };
    }
    a
}

/// # Safety
/// As for [`pixel`].
#[inline(always)]
unsafe fn multiply<V: Numbers, const U: usize>(mut a: [V::Float; U], b: [V::Float; U]) -> [V::Float; U] {
    for u in 0..U {
        // SAFETY: the caller's promise.
        a[u] = unsafe { V::multiply(a[u], b[u]) };
    }
    a
}

/// # Safety
/// As for [`pixel`].
#[inline(always)]
unsafe fn larger<V: Numbers, const U: usize>(mut v: [V::Float; U], low: f32) -> [V::Float; U] {
    for u in 0..U {
        // SAFETY: the caller's promise.
        v[u] = unsafe { V::larger(v[u], V::splat(low)) };
    }
    v
}

/// # Safety
/// As for [`pixel`].
#[inline(always)]
unsafe fn smaller<V: Numbers, const U: usize>(mut v: [V::Float; U], high: f32) -> [V::Float; U] {
    for u in 0..U {
        // SAFETY: the caller's promise.
        v[u] = unsafe { V::smaller(v[u], V::splat(high)) };
    }
    v
}

/// `v * scale[n] + bias[n]`, the product rounded before the addition; without what an empty list would give.
///
/// # Safety
/// As for [`pixel`].
#[inline(always)]
unsafe fn line<V: Numbers, const U: usize>(
    mut v: [V::Float; U],
    scale: &[f32],
    bias: &[f32],
    n: usize,
) -> [V::Float; U] {
    // SAFETY: the caller's promise.
    unsafe {
        match scale {
            [] => {}
            &[scale] => v = multiply::<V, U>(v, [V::splat(scale); U]),
            scale => v = multiply::<V, U>(v, load::<V, U>(scale.as_ptr().add(n))),
        }
        match bias {
            [] => {}
            &[bias] => v = add::<V, U>(v, [V::splat(bias); U]),
            bias => v = add::<V, U>(v, load::<V, U>(bias.as_ptr().add(n))),
        }
        v
    }
}

/// Plain Rust, which the compiler turns into the vectors that every processor of the target has.
pub(crate) struct Plain<const N: usize>;

#[inline(always)]
fn each<A: Copy, B, const N: usize>(a: [A; N], f: impl Fn(A) -> B) -> [B; N] {
    std::array::from_fn(|lane| f(a[lane]))
}

#[inline(always)]
fn pairs<A: Copy, B: Copy, C, const N: usize>(a: [A; N], b: [B; N], f: impl Fn(A, B) -> C) -> [C; N] {
    std::array::from_fn(|lane| f(a[lane], b[lane]))
}

impl<const N: usize> Numbers for Plain<N> {
    type Int = [i32; N];
    type Float = [f32; N];
    const LANES: usize = N;

    #[inline(always)]
    unsafe fn splat_int(x: i32) -> [i32; N] {
        [x; N]
    }

    #[inline(always)]
    unsafe fn load_int(from: *const i32) -> [i32; N] {
        // SAFETY: the caller's promise; an array asks for the alignment of its elements.
        unsafe { from.cast::<[i32; N]>().read() }
    }

    #[inline(always)]
    unsafe fn multiply_int(a: [i32; N], b: [i32; N]) -> [i32; N] {
        pairs(a, b, i32::wrapping_mul)
    }

    #[inline(always)]
    unsafe fn add_int(a: [i32; N], b: [i32; N]) -> [i32; N] {
        pairs(a, b, i32::wrapping_add)
    }

    #[inline(always)]
    unsafe fn to_float(x: [i32; N]) -> [f32; N] {
        each(x, |x| x as f32)
    }

    #[inline(always)]
    unsafe fn splat(x: f32) -> [f32; N] {
        [x; N]
    }

    #[inline(always)]
    unsafe fn load(from: *const f32) -> [f32; N] {
        // SAFETY: as for integers.
        unsafe { from.cast::<[f32; N]>().read() }
    }

    #[inline(always)]
    unsafe fn store(x: [f32; N], to: *mut f32) {
        // SAFETY: as for integers.
        unsafe { to.cast::<[f32; N]>().write(x) }
    }

    #[inline(always)]
    unsafe fn multiply(a: [f32; N], b: [f32; N]) -> [f32; N] {
        pairs(a, b, |a, b| a * b)
    }

    #[inline(always)]
    unsafe fn add(a: [f32; N], b: [f32; N]) -> [f32; N] {
        pairs(a, b, |a, b| a + b)
    }

    #[inline(always)]
    unsafe fn larger(a: [f32; N], b: [f32; N]) -> [f32; N] {
        pairs(a, b, |a, b| if a > b { a } else { b })
    }

    #[inline(always)]
    unsafe fn smaller(a: [f32; N], b: [f32; N]) -> [f32; N] {
        pairs(a, b, |a, b| if a < b { a } else { b })
    }

    #[inline(always)]
    unsafe fn round_even(x: [f32; N], max: [f32; N]) -> [i32; N] {
        pairs(x, max, |x, max| i32::from(portable::round_even(x, max)))
    }

    #[inline(always)]
    unsafe fn round_to_zero(x: [f32; N], max: [f32; N]) -> [i32; N] {
        pairs(x, max, |x, max| i32::from(portable::round_to_zero(x, max)))
    }

    #[inline(always)]
    unsafe fn count_reached(count: [i32; N], x: [f32; N], boundary: [f32; N]) -> [i32; N] {
        pairs(count, pairs(x, boundary, |x, boundary| i32::from(x >= boundary)), |count, one| count + one)
    }

    #[inline(always)]
    unsafe fn shift_int(x: [i32; N], by: u32) -> [i32; N] {
        each(x, |x| x << by)
    }

    #[inline(always)]
    unsafe fn store_bytes<const U: usize>(x: [[i32; N]; U], to: *mut u8) {
        for u in 0..U {
            // SAFETY: the caller's promise.
            unsafe { to.add(u * N).cast::<[u8; N]>().write(each(x[u], |x| x as u8)) };
        }
    }
}
