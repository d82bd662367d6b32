//! The candidates that are timed: the native kernels, the packing of their activations, libtorch's operators, and the
//! loops that measure the limits of the roofline.

use harness_kernels::limits::Limit;
use harness_kernels::{Activations, Conv2d, KernelError, Output, Pool, Product, Quantize};
use harness_torch::Int8Conv2d;
use tch::{Device, Kind, TchError, Tensor};

use crate::shapes::Shape;
use crate::timing::Candidate;

pub(crate) fn kernel_failed(error: &KernelError) -> TchError {
    TchError::Torch(error.to_string())
}

/// A native product on packed activations, with f32 results.
pub struct NativeProduct<'a> {
    product: &'a Product,
    activations: &'a Activations,
    pool: &'a Pool,
    scale: Vec<f32>,
    out: Vec<f32>,
}

impl<'a> NativeProduct<'a> {
    /// `activations` are packed for `product` already.
    #[must_use]
    pub fn new(product: &'a Product, activations: &'a Activations, pool: &'a Pool) -> NativeProduct<'a> {
        let shape = product.shape();
        let [height, width] = product.output();
        let out = vec![0.0; shape.batch * height * width * shape.outputs];
        NativeProduct { product, activations, pool, scale: vec![0.01; shape.outputs], out }
    }
}

impl Candidate for NativeProduct<'_> {
    fn call(&mut self) -> Result<(), TchError> {
        let output = Output::Scaled { out: &mut self.out, scale: &self.scale, bias: &[], relu: false };
        self.product.run(self.activations, output, self.pool).map_err(|error| kernel_failed(&error))
    }
}

/// Quantizing f32 activations and packing them for a native product.
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

impl Candidate for Packing<'_> {
    fn call(&mut self) -> Result<(), TchError> {
        self.activations.fill(self.values, &self.quantize, self.pool).map_err(|error| kernel_failed(&error))
    }
}

/// A loop that runs at one of the limits of the roofline model: a loop's innermost instructions alone, or reading memory.
/// One call does a fixed amount of work, see [`RooflineLimit::work`].
pub struct RooflineLimit {
    limit: Limit,
    steps: usize,
}

impl RooflineLimit {
    /// `steps` as for [`Limit::run`].
    #[must_use]
    pub fn new(limit: Limit, steps: usize) -> RooflineLimit {
        RooflineLimit { limit, steps }
    }

    /// The work of one call: a number of multiply-accumulates, or of bytes read.
    #[must_use]
    pub fn work(&self) -> f64 {
        self.limit.run(self.steps)
    }
}

impl Candidate for RooflineLimit {
    fn call(&mut self) -> Result<(), TchError> {
        std::hint::black_box(self.limit.run(self.steps));
        Ok(())
    }
}

/// An operator of libtorch, with its operands.
pub enum TorchOperator {
    /// `linear` or `conv2d` in f32.
    Float {
        /// f32 activations, `[rows, depth]` or `[batch, channels, height, width]`.
        x: Tensor,
        /// f32 weights, `[columns, depth]` or `[outputs, channels / groups, height, width]`.
        weight: Tensor,
        /// Geometry of a convolution; `None` for `linear`.
        conv: Option<ConvArguments>,
    },
    /// `_int_mm` of int8 matrices.
    IntMm {
        /// int8 activations, `[rows, depth]`.
        x: Tensor,
        /// int8 weights, `[depth, columns]`.
        weight: Tensor,
    },
    /// `quantized::conv2d` on an input that is quantized already.
    Conv {
        /// quint8 activations, `[batch, channels, height, width]`, scale 1/255 and zero point 0.
        x: Tensor,
        /// Packed int8 weights and the geometry of the convolution.
        conv: Int8Conv2d,
    },
}

/// Geometry of a convolution as libtorch's operators take it; pairs are `[vertical, horizontal]`.
#[derive(Debug, Clone, Copy)]
pub struct ConvArguments {
    pub(crate) stride: [i64; 2],
    pub(crate) padding: [i64; 2],
    pub(crate) dilation: [i64; 2],
    pub(crate) groups: i64,
}

impl ConvArguments {
    pub(crate) fn of(conv: &Conv2d) -> ConvArguments {
        let pair = |values: [usize; 2]| values.map(|value| value as i64);
        ConvArguments {
            stride: pair(conv.stride),
            padding: pair(conv.padding),
            dilation: pair(conv.dilation),
            groups: conv.groups as i64,
        }
    }
}

impl TorchOperator {
    /// Every f32 operator for a layer, with its name: `linear` for a matrix product; for a convolution `conv2d` on
    /// contiguous tensors and on tensors in the channels-last memory format. `x` is `[batch, channels, height, width]`,
    /// `weight` is `[outputs, channels / groups, height, width]`.
    ///
    /// # Errors
    /// When libtorch cannot allocate memory.
    pub fn floats(shape: &Shape, x: &Tensor, weight: &Tensor) -> Result<Vec<(&'static str, TorchOperator)>, TchError> {
        if shape.is_matrix() {
            let [rows, columns, depth] = shape.matrix().map(|size| size as i64);
            let x = x.f_reshape([rows, depth])?;
            let weight = weight.f_reshape([columns, depth])?;
            return Ok(vec![("linear", TorchOperator::Float { x, weight, conv: None })]);
        }
        let conv = Some(ConvArguments::of(&shape.conv));
        let last = |t: &Tensor| harness_torch::channels_last(t, true);
        Ok(vec![
            ("conv2d", TorchOperator::Float { x: x.f_contiguous()?, weight: weight.f_contiguous()?, conv }),
            ("conv2d, channels last", TorchOperator::Float { x: last(x)?, weight: last(weight)?, conv }),
        ])
    }

    /// Every int8 operator that libtorch offers on this machine, with its name; those that it refuses are left out.
    #[must_use]
    pub fn int8s(shape: &Shape, x: &Tensor, weight: &Tensor) -> Vec<(&'static str, TorchOperator)> {
        let mut operators = Vec::new();
        let mut try_operator = |name, operator: Result<TorchOperator, TchError>| {
            if let Ok(mut operator) = operator
                && operator.call().is_ok()
            {
                operators.push((name, operator));
            }
        };
        if shape.is_matrix() {
            try_operator("_int_mm", TorchOperator::int_mm(shape, x, weight));
        }
        try_operator("quantized::conv2d", TorchOperator::int8_conv(shape, x, weight));
        operators
    }

    fn int_mm(shape: &Shape, x: &Tensor, weight: &Tensor) -> Result<TorchOperator, TchError> {
        let [rows, columns, depth] = shape.matrix().map(|size| size as i64);
        let int8 = |t: &Tensor| t.f_mul_scalar(100)?.f_to_kind(Kind::Int8);
        let x = int8(&x.f_reshape([rows, depth])?)?;
        let weight = int8(&weight.f_reshape([columns, depth])?)?.f_tr()?;
        Ok(TorchOperator::IntMm { x, weight })
    }

    fn int8_conv(shape: &Shape, x: &Tensor, weight: &Tensor) -> Result<TorchOperator, TchError> {
        let ConvArguments { stride, padding, dilation, groups } = ConvArguments::of(&shape.conv);
        let x = harness_torch::channels_last(x, true)?.f_quantize_per_tensor(1.0 / 255.0, 0, Kind::QUInt8)?;
        let conv = Int8Conv2d::new(weight, 1.0 / 127.0, stride, padding, dilation, groups)?;
        Ok(TorchOperator::Conv { x, conv })
    }

    /// Calls the operator once and returns its result.
    ///
    /// # Errors
    /// When libtorch refuses the operands or cannot allocate memory.
    pub fn forward(&self) -> Result<Tensor, TchError> {
        match self {
            TorchOperator::Float { x, weight, conv: None } => x.f_linear(weight, None::<&Tensor>),
            TorchOperator::Float { x, weight, conv: Some(conv) } => {
                let ConvArguments { stride, padding, dilation, groups } = *conv;
                x.f_conv2d(weight, None::<&Tensor>, stride, padding, dilation, groups)
            }
            TorchOperator::IntMm { x, weight } => x.f_internal_int_mm(weight),
            TorchOperator::Conv { x, conv } => conv.forward(x, 1.0, 128),
        }
    }
}

impl Candidate for TorchOperator {
    fn call(&mut self) -> Result<(), TchError> {
        let _no_gradient = tch::no_grad_guard();
        drop(std::hint::black_box(self.forward()?));
        Ok(())
    }
}

/// Activation codes `[batch, height, width, channels]` as an f32 tensor `[batch, channels, height, width]`.
///
/// # Errors
/// When libtorch cannot allocate memory.
pub fn image(codes: &[u8], shape: &Shape) -> Result<Tensor, TchError> {
    let conv = shape.conv;
    let sizes = [conv.batch, conv.height, conv.width, conv.channels].map(|size| size as i64);
    let image = Tensor::f_from_slice(codes)?.f_reshape(sizes)?.f_to_device(Device::Cpu)?;
    image.f_to_kind(Kind::Float)?.f_permute([0, 3, 1, 2])
}

/// Weight codes as an f32 tensor `[outputs, channels / groups, height, width]`.
///
/// # Errors
/// When libtorch cannot allocate memory.
pub fn filters(codes: &[u8], shape: &Shape) -> Result<Tensor, TchError> {
    let conv = shape.conv;
    let sizes = [conv.outputs, conv.channels / conv.groups, conv.kernel[0], conv.kernel[1]].map(|size| size as i64);
    Tensor::f_from_slice(codes)?.f_reshape(sizes)?.f_to_kind(Kind::Float)
}
