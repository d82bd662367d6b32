//! What is timed: our kernels, libtorch's, and the limits.

use harness_kernels::limits::Limit;
use harness_kernels::{Activations, KernelError, Output, Pool, Product, Quantize};
use harness_torch::Int8Conv2d;
use tch::{Device, Kind, TchError, Tensor};

use crate::shapes::Shape;
use crate::timing::Contender;

fn kernel_failed(error: &KernelError) -> TchError {
    TchError::Torch(error.to_string())
}

/// Our product on packed activations, results in f32.
pub struct Native<'a> {
    product: &'a Product,
    activations: &'a Activations,
    pool: &'a Pool,
    scale: Vec<f32>,
    out: Vec<f32>,
}

impl<'a> Native<'a> {
    /// Activations that are packed already.
    #[must_use]
    pub fn new(product: &'a Product, activations: &'a Activations, pool: &'a Pool) -> Native<'a> {
        let shape = product.shape();
        let [height, width] = product.output();
        let out = vec![0.0; shape.batch * height * width * shape.outputs];
        Native { product, activations, pool, scale: vec![0.01; shape.outputs], out }
    }
}

impl Contender for Native<'_> {
    fn call(&mut self) -> Result<(), TchError> {
        let output = Output::Scaled { out: &mut self.out, scale: &self.scale, bias: &[], relu: false };
        self.product.run(self.activations, output, self.pool).map_err(|error| kernel_failed(&error))
    }
}

/// Quantizing f32 activations and packing them.
pub struct Packing<'a> {
    activations: Activations,
    values: &'a [f32],
    quantize: Quantize,
    pool: &'a Pool,
}

impl<'a> Packing<'a> {
    /// `values` are `[batch, height, width, channels]`.
    #[must_use]
    pub fn new(product: &Product, values: &'a [f32], quantize: Quantize, pool: &'a Pool) -> Packing<'a> {
        Packing { activations: product.activations(), values, quantize, pool }
    }
}

impl Contender for Packing<'_> {
    fn call(&mut self) -> Result<(), TchError> {
        self.activations.fill(self.values, &self.quantize, self.pool).map_err(|error| kernel_failed(&error))
    }
}

/// A micro-loop of the processor's limit; its "call" is a fixed amount of work.
pub struct Floor {
    limit: Limit,
    steps: usize,
}

impl Floor {
    /// `steps` as for [`Limit::run`].
    #[must_use]
    pub fn new(limit: Limit, steps: usize) -> Floor {
        Floor { limit, steps }
    }

    /// What one call does: multiply-accumulates, or bytes read.
    #[must_use]
    pub fn work(&self) -> f64 {
        self.limit.run(self.steps)
    }
}

impl Contender for Floor {
    fn call(&mut self) -> Result<(), TchError> {
        std::hint::black_box(self.limit.run(self.steps));
        Ok(())
    }
}

/// A layer of libtorch.
pub enum Torch {
    /// `linear` or `conv2d` in f32.
    Float {
        /// `[rows, depth]` or `[batch, channels, height, width]`.
        x: Tensor,
        /// `[columns, depth]` or `[outputs, channels, height, width]`.
        weight: Tensor,
        /// Stride, padding, dilation and groups of a convolution.
        conv: Option<ConvArguments>,
    },
    /// `_int_mm` of int8 matrices.
    IntMm {
        /// `[rows, depth]`.
        x: Tensor,
        /// `[depth, columns]`.
        weight: Tensor,
    },
    /// `quantized::conv2d`, its input quantized already.
    Conv {
        /// uint8 `[batch, channels, height, width]`.
        x: Tensor,
        /// Packed weights.
        conv: Int8Conv2d,
    },
}

/// Stride, padding and dilation of a convolution, and its groups.
#[derive(Debug, Clone, Copy)]
pub struct ConvArguments {
    stride: [i64; 2],
    padding: [i64; 2],
    dilation: [i64; 2],
    groups: i64,
}

impl ConvArguments {
    fn of(shape: &Shape) -> ConvArguments {
        let pair = |values: [usize; 2]| values.map(|value| value as i64);
        let conv = shape.conv;
        ConvArguments {
            stride: pair(conv.stride),
            padding: pair(conv.padding),
            dilation: pair(conv.dilation),
            groups: conv.groups as i64,
        }
    }
}

impl Torch {
    /// Every f32 form of a layer: convolutions with pixels and with planes of channels next to each other. `x` is
    /// `[batch, channels, height, width]`, `weight` `[outputs, channels, height, width]`.
    ///
    /// # Errors
    /// When libtorch has no memory.
    pub fn floats(shape: &Shape, x: &Tensor, weight: &Tensor) -> Result<Vec<(&'static str, Torch)>, TchError> {
        if shape.is_matrix() {
            let [rows, columns, depth] = shape.matrix().map(|size| size as i64);
            let x = x.f_reshape([rows, depth])?;
            let weight = weight.f_reshape([columns, depth])?;
            return Ok(vec![("linear", Torch::Float { x, weight, conv: None })]);
        }
        let conv = Some(ConvArguments::of(shape));
        let last = |t: &Tensor| harness_torch::channels_last(t, true);
        Ok(vec![
            ("conv2d", Torch::Float { x: x.f_contiguous()?, weight: weight.f_contiguous()?, conv }),
            ("conv2d, channels last", Torch::Float { x: last(x)?, weight: last(weight)?, conv }),
        ])
    }

    /// Every int8 form that libtorch offers on this machine; those it refuses are left out.
    #[must_use]
    pub fn int8s(shape: &Shape, x: &Tensor, weight: &Tensor) -> Vec<(&'static str, Torch)> {
        let mut forms = Vec::new();
        let mut try_form = |name, form: Result<Torch, TchError>| {
            if let Ok(mut form) = form
                && form.call().is_ok()
            {
                forms.push((name, form));
            }
        };
        if shape.is_matrix() {
            try_form("_int_mm", Torch::int_mm(shape, x, weight));
        }
        try_form("quantized::conv2d", Torch::int8_conv(shape, x, weight));
        forms
    }

    fn int_mm(shape: &Shape, x: &Tensor, weight: &Tensor) -> Result<Torch, TchError> {
        let [rows, columns, depth] = shape.matrix().map(|size| size as i64);
        let int8 = |t: &Tensor| t.f_mul_scalar(100)?.f_to_kind(Kind::Int8);
        let x = int8(&x.f_reshape([rows, depth])?)?;
        let weight = int8(&weight.f_reshape([columns, depth])?)?.f_tr()?;
        Ok(Torch::IntMm { x, weight })
    }

    fn int8_conv(shape: &Shape, x: &Tensor, weight: &Tensor) -> Result<Torch, TchError> {
        let ConvArguments { stride, padding, dilation, groups } = ConvArguments::of(shape);
        let x = harness_torch::channels_last(x, true)?.f_quantize_per_tensor(1.0 / 255.0, 0, Kind::QUInt8)?;
        let conv = Int8Conv2d::new(weight, 1.0 / 127.0, stride, padding, dilation, groups)?;
        Ok(Torch::Conv { x, conv })
    }

    /// The f32 result.
    ///
    /// # Errors
    /// When libtorch refuses, and for the int8 forms.
    pub fn forward(&self) -> Result<Tensor, TchError> {
        match self {
            Torch::Float { x, weight, conv: None } => x.f_linear(weight, None::<&Tensor>),
            Torch::Float { x, weight, conv: Some(conv) } => {
                let ConvArguments { stride, padding, dilation, groups } = *conv;
                x.f_conv2d(weight, None::<&Tensor>, stride, padding, dilation, groups)
            }
            Torch::IntMm { x, weight } => x.f_internal_int_mm(weight),
            Torch::Conv { x, conv } => conv.forward(x, 1.0, 128),
        }
    }
}

impl Contender for Torch {
    fn call(&mut self) -> Result<(), TchError> {
        let _no_gradient = tch::no_grad_guard();
        drop(std::hint::black_box(self.forward()?));
        Ok(())
    }
}

/// Integers as an f32 tensor of `[batch, channels, height, width]`, from `[batch, height, width, channels]` codes.
///
/// # Errors
/// When libtorch has no memory.
pub fn image(codes: &[u8], shape: &Shape) -> Result<Tensor, TchError> {
    let conv = shape.conv;
    let sizes = [conv.batch, conv.height, conv.width, conv.channels].map(|size| size as i64);
    let image = Tensor::f_from_slice(codes)?.f_reshape(sizes)?.f_to_device(Device::Cpu)?;
    image.f_to_kind(Kind::Float)?.f_permute([0, 3, 1, 2])
}

/// Integers as an f32 tensor of `[outputs, channels / groups, height, width]`.
///
/// # Errors
/// When libtorch has no memory.
pub fn filters(codes: &[u8], shape: &Shape) -> Result<Tensor, TchError> {
    let conv = shape.conv;
    let sizes = [conv.outputs, conv.channels / conv.groups, conv.kernel[0], conv.kernel[1]].map(|size| size as i64);
    Tensor::f_from_slice(codes)?.f_reshape(sizes)?.f_to_kind(Kind::Float)
}
