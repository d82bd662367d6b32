//! Optimizer steps, each one fused pass over all parameters. The state is plain tensors that the caller owns and
//! saves, which is what makes an exact resume possible.

use tch::{TchError, Tensor};

use crate::ffi;

/// Constants of one SGD step.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Sgd {
    /// Learning rate.
    pub lr: f64,
    /// Momentum, in [0, 1).
    pub momentum: f64,
    /// Nesterov's form.
    pub nesterov: bool,
    /// L2 penalty.
    pub weight_decay: f64,
}

/// Constants of one Adam step.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Adam {
    /// Learning rate.
    pub lr: f64,
    /// Decay of the first and second moments.
    pub betas: (f64, f64),
    /// Added to the root of the second moment.
    pub eps: f64,
    /// L2 penalty, or decoupled decay.
    pub weight_decay: f64,
    /// AdamW's decay, apart from the gradient.
    pub decoupled: bool,
}

/// `values -= lr * update`, in place; `momenta` are of the values' shapes, zero before the first step, and updated in
/// place.
///
/// # Errors
/// When the lists differ in length or shape, or libtorch refuses.
pub fn sgd_step(values: &[&Tensor], gradients: &[&Tensor], momenta: &[&Tensor], sgd: Sgd) -> Result<(), TchError> {
    same_length(&[values.len(), gradients.len(), momenta.len()])?;
    let lists = [ffi::handles(values), ffi::handles(gradients), ffi::handles(momenta)];
    let [v, g, m] = &lists;
    // SAFETY: three arrays of `values.len()` handles (checked above), borrowed from live tensors.
    ffi::done(unsafe {
        ffi::ht_sgd(v.as_ptr(), g.as_ptr(), m.as_ptr(), v.len(), sgd.lr, sgd.momentum, sgd.weight_decay, sgd.nesterov)
    })
}

/// State of Adam for a list of parameters.
#[derive(Debug, Clone, Copy)]
pub struct Moments<'a> {
    /// First moments, of the values' shapes.
    pub first: &'a [&'a Tensor],
    /// Second moments, of the values' shapes.
    pub second: &'a [&'a Tensor],
    /// Steps taken before this one is counted in, f32 scalars; raised by the call's caller.
    pub steps: &'a [&'a Tensor],
}

/// One step of Adam or AdamW, in place. `moments.steps` must already count this step.
///
/// # Errors
/// When the lists differ in length or shape, or libtorch refuses.
pub fn adam_step(values: &[&Tensor], gradients: &[&Tensor], moments: Moments<'_>, adam: Adam) -> Result<(), TchError> {
    same_length(&[values.len(), gradients.len(), moments.first.len(), moments.second.len(), moments.steps.len()])?;
    let lists = [values, gradients, moments.first, moments.second, moments.steps].map(ffi::handles);
    let [v, g, m1, m2, t] = &lists;
    // SAFETY: five arrays of `values.len()` handles (checked above), borrowed from live tensors.
    ffi::done(unsafe {
        ffi::ht_adam(
            v.as_ptr(),
            g.as_ptr(),
            m1.as_ptr(),
            m2.as_ptr(),
            t.as_ptr(),
            v.len(),
            adam.lr,
            adam.betas.0,
            adam.betas.1,
            adam.eps,
            adam.weight_decay,
            adam.decoupled,
        )
    })
}

fn same_length(lengths: &[usize]) -> Result<(), TchError> {
    if lengths.windows(2).all(|pair| pair[0] == pair[1]) {
        Ok(())
    } else {
        Err(TchError::Torch(format!("lists of tensors differ in length: {lengths:?}")))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const VALUES: [f64; 3] = [1.0, -2.0, 0.5];
    const GRADIENTS: [[f64; 3]; 3] = [[0.1, -0.3, 2.0], [0.2, 0.3, -1.0], [-0.5, 0.0, 0.25]];

    fn close(tensor: &Tensor, expected: &[f64]) {
        let found = Vec::<f64>::try_from(tensor).unwrap();
        for (a, b) in found.iter().zip(expected) {
            assert!((a - b).abs() < 1e-12, "{found:?} against {expected:?}");
        }
    }

    #[test]
    fn sgd_is_the_textbook_formula() {
        for nesterov in [false, true] {
            let (lr, momentum, decay) = (0.1, 0.9, 0.01);
            let (mut x, mut m) = (VALUES, [0.0; 3]);
            let value = Tensor::from_slice(&VALUES);
            let buffer = value.zeros_like();
            for (step, gradient) in GRADIENTS.iter().enumerate() {
                for i in 0..3 {
                    let g = gradient[i] + decay * x[i];
                    m[i] = if step == 0 { g } else { momentum * m[i] + g };
                    x[i] -= lr * if nesterov { g + momentum * m[i] } else { m[i] };
                }
                let sgd = Sgd { lr, momentum, nesterov, weight_decay: decay };
                sgd_step(&[&value], &[&Tensor::from_slice(gradient)], &[&buffer], sgd).unwrap();
                close(&value, &x);
                close(&buffer, &m);
            }
        }
    }

    #[test]
    fn adam_and_adamw_are_the_textbook_formulas() {
        for decoupled in [false, true] {
            let (lr, (b1, b2), eps, decay) = (0.01, (0.9, 0.999), 1e-8, 0.1);
            let (mut x, mut m, mut v) = (VALUES, [0.0; 3], [0.0; 3]);
            let value = Tensor::from_slice(&VALUES);
            let (first, second, count) = (value.zeros_like(), value.zeros_like(), Tensor::from(0.0f32));
            for (step, gradient) in GRADIENTS.iter().enumerate() {
                let t = step as i32 + 1;
                for i in 0..3 {
                    if decoupled {
                        x[i] -= lr * decay * x[i];
                    }
                    let g = gradient[i] + if decoupled { 0.0 } else { decay * x[i] };
                    m[i] = b1 * m[i] + (1.0 - b1) * g;
                    v[i] = b2 * v[i] + (1.0 - b2) * g * g;
                    x[i] -= lr * (m[i] / (1.0 - f64::powi(b1, t))) / ((v[i] / (1.0 - f64::powi(b2, t))).sqrt() + eps);
                }
                let _ = count.shallow_clone().f_add_scalar_(1.0).unwrap();
                let moments = Moments { first: &[&first], second: &[&second], steps: &[&count] };
                let adam = Adam { lr, betas: (b1, b2), eps, weight_decay: decay, decoupled };
                adam_step(&[&value], &[&Tensor::from_slice(gradient)], moments, adam).unwrap();
                close(&value, &x);
            }
        }
    }

    #[test]
    fn lists_must_match() {
        let t = Tensor::from(0.0);
        let sgd = Sgd { lr: 0.1, momentum: 0.0, nesterov: false, weight_decay: 0.0 };
        assert!(sgd_step(&[&t], &[], &[&t], sgd).is_err());
    }
}
