//! XNOR-Net (Rastegari et al. 2016, arXiv:1603.05279, section 3.2): weights of [`crate::Bwn`], activations by sign.
//!
//! The paper approximates a convolution by `(sign(X) * sign(W)) K alpha`, where K is the mean of `|X|` over channels,
//! averaged over the window of the convolution. Its own code later dropped K. Here:
//! * `map: false`: `sign(X)`, `sign(0) = +1`; the gradient passes where `|X| < 1`.
//! * `map: true`: `sign(X) K`, the gradient `K [|X| < 1]`, K held constant. A quantizer stands before the convolution
//!   and does not know its window: for images K is averaged over 3x3 pixels with zeros around, the window of most
//!   layers that are binarized; for vectors it is the mean of the sample.
//!
//! With the map every pixel has a number of its own, which no level table holds: codes are those of the sign, and
//! [`Method::deployable`] says no.

use harness_method_core::{
    About, Codes, Dependence, KeyDefault, KeyDoc, KeyKind, Method, MethodAbout, MethodError, Options, Quantizer, Role,
    Site, StepContext, Support,
};
use harness_torch::with_gradient;
use tch::{Kind, TchError, Tensor, nn};

use crate::bwn::ScaledSign;
use crate::sign::Sign;

/// XNOR-Net.
#[derive(Debug)]
pub struct Xnor;

static ABOUT: MethodAbout = MethodAbout {
    about: About {
        name: "xnor",
        summary: "weights by sign with a scale for each filter, activations by sign",
        source: "Rastegari et al., XNOR-Net: ImageNet Classification Using Binary Convolutional Neural Networks, \
                 ECCV 2016, arXiv:1603.05279",
        options: &[KeyDoc {
            name: "map",
            kind: KeyKind::Bool,
            default: KeyDefault::Bool(false),
            doc: "scale every pixel of the activations by the mean magnitude around it (training only: no level table \
                  holds such a map, so it cannot be stored as codes and levels)",
        }],
    },
    bits: Some((1, 1)),
    weights: Support::Yes,
    activations: Support::Yes,
    gradients: Support::No("the paper's quantized gradients are only sketched; use dorefa"),
};

impl Method for Xnor {
    fn about(&self) -> &'static MethodAbout {
        &ABOUT
    }

    fn quantizer(&self, site: &Site, options: &Options, _: &nn::Path<'_>) -> Result<Box<dyn Quantizer>, MethodError> {
        self.check(site, options)?;
        let site = site.clone();
        Ok(match site.role {
            Role::Weight => Box::new(ScaledSign { site }),
            // The open gate, as the largest closed one inside it.
            _ if !options.bool("map") => Box::new(Sign { site, low: (-1.0f32).next_up(), high: 1.0f32.next_down() }),
            _ => Box::new(MappedSign { sign: Sign { site, low: -1.0, high: 1.0 } }),
        })
    }

    fn deployable(&self, options: &Options) -> Support {
        if options.bool("map") {
            Support::No("with `map` every pixel has a scale of its own, which no level table holds")
        } else {
            Support::Yes
        }
    }
}

/// Signs times a number for every pixel.
#[derive(Debug)]
struct MappedSign {
    sign: Sign,
}

/// K: `[N, 1, H, W]` for images, `[N, 1, ...]` otherwise.
fn map(x: &Tensor) -> Result<Tensor, TchError> {
    let mean = x.f_abs()?.f_mean_dim(1i64, true, Kind::Float)?;
    if x.dim() == 4 { mean.f_avg_pool2d([3, 3], [1, 1], [1, 1], false, true, None) } else { Ok(mean) }
}

/// The value of `value`, the gradient `K [|x| < 1]`.
fn gated(value: &Tensor, x: &Tensor, map: Tensor) -> Result<Tensor, TchError> {
    let saved = x.f_detach()?;
    with_gradient(value, &[x], move |g| {
        let inside = saved.f_abs()?.f_lt(1.0)?;
        Ok(vec![Some(g.f_mul(&map)?.f_mul(&inside)?)])
    })
}

impl Quantizer for MappedSign {
    fn site(&self) -> &Site {
        &self.sign.site
    }

    /// The signs alone: see the head of this file.
    fn assign(&mut self, x: &Tensor, ctx: &StepContext) -> Result<Codes, MethodError> {
        self.sign.assign(x, ctx)
    }

    fn surrogate(&self, x: &Tensor) -> Result<Tensor, MethodError> {
        Ok(gated(x, x, map(&x.f_detach()?)?)?)
    }

    fn forward(&mut self, x: &Tensor, ctx: &StepContext) -> Result<Tensor, MethodError> {
        let (value, map) = tch::no_grad(|| -> Result<_, MethodError> {
            let map = map(x)?;
            Ok((self.sign.forward(x, ctx)?.f_mul(&map)?, map))
        })?;
        Ok(gated(&value, x, map)?)
    }

    fn dependence(&self) -> Dependence {
        Dependence::Sample
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{STEP, floats, quantizer, site};
    use harness_method_core::OptionValue;
    use std::collections::BTreeMap;

    fn options(map: bool) -> Options {
        let given = BTreeMap::from([("map".to_owned(), OptionValue::Bool(map))]);
        Options::resolve(ABOUT.about.options, &given).unwrap()
    }

    fn image() -> Tensor {
        harness_torch::random::uniform(&[2, 3, 4, 5], 5, tch::Device::Cpu).unwrap() * 4.0 - 2.0
    }

    #[test]
    fn without_the_map_a_sign_with_an_open_gate() {
        let x = Tensor::from_slice(&[-1.5f32, -1.0, -0.999_999_9, 0.0, 0.4, 1.0]).view([1, 6]).set_requires_grad(true);
        let (mut q, _store) = quantizer(&Xnor, &site(Role::Activation, 1, &[6]), &options(false));
        let y = q.forward(&x, &STEP).unwrap();
        assert_eq!(floats(&y), [-1.0, -1.0, -1.0, 1.0, 1.0, 1.0]);
        y.sum(Kind::Float).backward();
        assert_eq!(floats(&x.grad()), [0.0, 0.0, 1.0, 1.0, 1.0, 0.0]);
        assert!(Xnor.deployable(&options(false)).is_yes());
    }

    /// One pixel at a time, in f64.
    #[test]
    fn with_the_map_each_pixel_has_the_mean_magnitude_around_it() {
        let x = image().set_requires_grad(true);
        let (mut q, _store) = quantizer(&Xnor, &site(Role::Activation, 1, &[3, 4, 5]), &options(true));
        let y = q.forward(&x, &STEP).unwrap();
        y.sum(Kind::Float).backward();
        let at = |n: i64, c: i64, i: i64, j: i64| x.double_value(&[n, c, i, j]);
        for (n, i, j) in (0..2).flat_map(|n| (0..4).flat_map(move |i| (0..5).map(move |j| (n, i, j)))) {
            let inside = |i: i64, j: i64| (0..4).contains(&i) && (0..5).contains(&j);
            let around = (-1..=1).flat_map(|di| (-1..=1).map(move |dj| (i + di, j + dj)));
            let sum: f64 = around
                .filter(|&(i, j)| inside(i, j))
                .map(|(i, j)| (0..3).map(|c| at(n, c, i, j).abs()).sum::<f64>())
                .sum();
            let k = sum / 27.0;
            for c in 0..3 {
                let v = at(n, c, i, j);
                let expected = if v >= 0.0 { k } else { -k };
                assert!((y.double_value(&[n, c, i, j]) - expected).abs() < 1e-6);
                let gate = if v.abs() < 1.0 { k } else { 0.0 };
                assert!((x.grad().double_value(&[n, c, i, j]) - gate).abs() < 1e-6);
            }
        }
        assert_eq!(q.dependence(), Dependence::Sample);
        assert!(!Xnor.deployable(&options(true)).is_yes());
    }

    #[test]
    fn the_map_on_vectors_and_awkward_shapes() {
        let (mut q, _store) = quantizer(&Xnor, &site(Role::Activation, 1, &[4]), &options(true));
        let x = Tensor::from_slice(&[1.0f32, -2.0, 3.0, -0.0, 0.0, 0.0, 0.0, 0.0]).view([2, 4]);
        assert_eq!(floats(&q.forward(&x, &STEP).unwrap()), [1.5, -1.5, 1.5, 1.5, 0.0, 0.0, 0.0, 0.0]);
        let pixel = Tensor::from_slice(&[-0.9f32]).view([1, 1, 1, 1]).set_requires_grad(true);
        let y = q.forward(&pixel, &STEP).unwrap();
        assert!((floats(&y)[0] + 0.1).abs() < 1e-7);
        let z = pixel.detach().set_requires_grad(true);
        y.backward();
        q.surrogate(&z).unwrap().backward();
        assert_eq!(floats(&pixel.grad()), floats(&z.grad()));
        let nan = Tensor::from_slice(&[f32::NAN, 1.0]).view([1, 2, 1, 1]);
        assert!(floats(&q.forward(&nan, &STEP).unwrap())[0].is_nan());
        assert!(matches!(q.quantize(&nan, &STEP), Err(MethodError::NotFinite { count: 1, .. })));
    }

    #[test]
    fn weights_are_those_of_bwn() {
        let x = image();
        let (mut ours, _a) = quantizer(&Xnor, &site(Role::Weight, 1, &x.size()), &options(true));
        let (mut bwn, _b) = quantizer(&crate::Bwn, &site(Role::Weight, 1, &x.size()), &Options::default());
        assert_eq!(floats(&ours.forward(&x, &STEP).unwrap()), floats(&bwn.forward(&x, &STEP).unwrap()));
    }
}
