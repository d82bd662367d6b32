//! The chain of two layers in libtorch, in f32 and int8.

use harness_kernels::Conv2d;
use harness_torch::Int8Conv2d;
use tch::{Device, Kind, TchError, Tensor};

use crate::candidate::ConvArguments;
use crate::timing::Candidate;

/// Two convolutions in libtorch with what follows each in a network.
pub(crate) struct TorchChain {
    x: Tensor,
    layers: [ChainLayer; 2],
}

/// A convolution and what follows it.
enum ChainLayer {
    /// f32: `conv2d`, then `batch_norm` with running statistics unless it is folded into the convolution, then `relu`.
    Float {
        weight: Tensor,
        /// Mean, variance, scale and bias of each channel; or the convolution's bias alone where it is folded.
        norm: [Option<Tensor>; 4],
        conv: ConvArguments,
    },
    /// int8: `quantized::conv2d`, whose requantization to uint8 with zero point 0 includes batch normalization and `relu`.
    Int8(Int8Conv2d),
}

impl TorchChain {
    /// The forms of the chain in f32: contiguous and channels last, with batch normalization by itself and folded into the
    /// convolution.
    ///
    /// # Errors
    /// When libtorch cannot allocate memory.
    pub(crate) fn floats(convs: &[Conv2d; 2]) -> Result<Vec<TorchChain>, TchError> {
        let mut forms = Vec::new();
        for (last, folded) in [(false, false), (true, false), (false, true), (true, true)] {
            let format = |t: Tensor| if last { harness_torch::channels_last(&t, true) } else { Ok(t) };
            let layer = |conv: &Conv2d| {
                let channel = |value: f64| Tensor::f_full([conv.outputs as i64], value, FLOAT).map(Some);
                let norm = if folded {
                    [None, None, None, channel(0.1)?]
                } else {
                    [channel(0.1)?, channel(2.0)?, channel(1.5)?, channel(0.1)?]
                };
                let weight = format(weight(conv)?)?;
                Ok::<ChainLayer, TchError>(ChainLayer::Float { weight, norm, conv: ConvArguments::of(conv) })
            };
            let layers = [layer(&convs[0])?, layer(&convs[1])?];
            forms.push(TorchChain { x: format(input(&convs[0])?)?, layers });
        }
        Ok(forms)
    }

    /// The chain in int8; `None` where libtorch has no such operator for it.
    #[must_use]
    pub(crate) fn int8(convs: &[Conv2d; 2]) -> Option<TorchChain> {
        let layer = |conv: &Conv2d| {
            let ConvArguments { stride, padding, dilation, groups } = ConvArguments::of(conv);
            let weight = weight(conv)?;
            let conv = Int8Conv2d::new(&weight, 1.0 / 127.0, stride, padding, dilation, groups)?;
            Ok::<ChainLayer, TchError>(ChainLayer::Int8(conv))
        };
        let chain = || {
            let x = harness_torch::channels_last(&input(&convs[0])?, true)?;
            let x = x.f_quantize_per_tensor(1.0 / 255.0, 0, Kind::QUInt8)?;
            let mut chain = TorchChain { x, layers: [layer(&convs[0])?, layer(&convs[1])?] };
            chain.call()?;
            Ok::<TorchChain, TchError>(chain)
        };
        chain().ok()
    }
}

impl Candidate for TorchChain {
    fn call(&mut self) -> Result<(), TchError> {
        let _no_gradient = tch::no_grad_guard();
        let mut x = self.x.shallow_clone();
        for layer in &self.layers {
            x = match layer {
                ChainLayer::Int8(conv) => conv.forward(&x, 1.0 / 16.0, 0)?,
                ChainLayer::Float { weight, norm: [mean, variance, scale, bias], conv } => {
                    let ConvArguments { stride, padding, dilation, groups } = *conv;
                    let own_bias = if mean.is_some() { None } else { bias.as_ref() };
                    let mut y = x.f_conv2d(weight, own_bias, stride, padding, dilation, groups)?;
                    if mean.is_some() {
                        y = y.f_batch_norm(
                            scale.as_ref(),
                            bias.as_ref(),
                            mean.as_ref(),
                            variance.as_ref(),
                            false,
                            0.1,
                            1e-5,
                            true,
                        )?;
                    }
                    y.f_relu_()?
                }
            };
        }
        drop(std::hint::black_box(x));
        Ok(())
    }
}

const FLOAT: (Kind, Device) = (Kind::Float, Device::Cpu);

/// Pseudo-random f32 input of a convolution, `[batch, channels, height, width]`.
fn input(conv: &Conv2d) -> Result<Tensor, TchError> {
    Tensor::f_rand([conv.batch, conv.channels, conv.height, conv.width].map(|size| size as i64), FLOAT)
}

/// Pseudo-random f32 weights of a convolution, `[outputs, channels / groups, height, width]`.
fn weight(conv: &Conv2d) -> Result<Tensor, TchError> {
    let sizes = [conv.outputs, conv.channels / conv.groups, conv.kernel[0], conv.kernel[1]].map(|size| size as i64);
    Tensor::f_rand(sizes, FLOAT)?.f_sub_scalar(0.5)
}
