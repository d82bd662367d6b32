//! Gradients that no `detach` expression can give.

use std::cell::RefCell;
use std::ffi::{CString, c_char, c_void};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::ptr;

use tch::{TchError, Tensor};
use torch_sys::C_tensor;

use crate::ffi;

type Backward = Box<dyn Fn(&Tensor) -> Result<Vec<Option<Tensor>>, TchError> + Send>;

/// A tensor with the value of `value` whose gradient is what `backward` says.
///
/// `backward` is given the gradient of the result (the shape of `value`) and returns one gradient per input, in
/// order, each of its input's shape, or `None` where nothing flows. It runs under `no_grad`, on whichever thread
/// runs the backward pass, and is dropped with the graph; tensors it needs are moved into it. It must not hold
/// the result itself, which would keep the graph alive for ever. Without an input that requires a gradient, or
/// under `no_grad`, the result is just `value`, detached.
///
/// # Errors
/// When libtorch refuses. An error or panic inside `backward` comes out of the call to `Tensor::f_backward`.
pub fn with_gradient<F>(value: &Tensor, inputs: &[&Tensor], backward: F) -> Result<Tensor, TchError>
where
    F: Fn(&Tensor) -> Result<Vec<Option<Tensor>>, TchError> + Send + 'static,
{
    let boxed: Box<Backward> = Box::new(Box::new(backward));
    let closure = ffi::Closure { state: Box::into_raw(boxed).cast(), call, drop: drop_closure };
    let inputs = ffi::handles(inputs);
    // SAFETY: the handles are borrowed from live tensors for the length of the call; the shim takes the closure
    // over and drops it exactly once, whether or not the call succeeds.
    ffi::taken(unsafe { ffi::ht_with_gradient(value.as_ptr(), inputs.as_ptr(), inputs.len(), closure) })
}

extern "C" fn drop_closure(state: *mut c_void) {
    // SAFETY: `state` is the pointer that `with_gradient` made from a `Box<Backward>`, and the shim passes it here
    // once, never to use it again.
    let closure = unsafe { Box::from_raw(state.cast::<Backward>()) };
    // A panic in the destructor of something captured must not unwind into C++.
    let _ = catch_unwind(AssertUnwindSafe(|| drop(closure)));
}

thread_local! {
    static MESSAGE: RefCell<CString> = RefCell::default();
}

extern "C" fn call(
    state: *mut c_void,
    gradient: *mut C_tensor,
    results: *mut *mut C_tensor,
    count: usize,
) -> *const c_char {
    let outcome = catch_unwind(AssertUnwindSafe(|| {
        // SAFETY: `state` came from `with_gradient` and the shim holds its lock while calling, so nothing drops it.
        let backward = unsafe { &*state.cast::<Backward>() };
        // SAFETY: `gradient` points to a live tensor of the shim; the clone has its own handle.
        let gradient = unsafe { Tensor::clone_from_ptr(gradient) };
        let gradients = tch::no_grad(|| backward(&gradient))?;
        if gradients.len() == count {
            Ok(gradients)
        } else {
            Err(TchError::Torch(format!("backward gave {} gradients for {count} inputs", gradients.len())))
        }
    }));
    let message = match outcome {
        Ok(Ok(gradients)) => {
            for (index, gradient) in gradients.into_iter().enumerate() {
                let Some(gradient) = gradient else { continue };
                // SAFETY: `at_shallow_clone` gives a new handle on the heap, which the shim deletes.
                let handle = unsafe { torch_sys::at_shallow_clone(gradient.as_ptr().cast_mut()) };
                // SAFETY: `results` has room for `count` pointers and `index < count`.
                unsafe { results.add(index).write(handle) };
            }
            return ptr::null();
        }
        Ok(Err(error)) => error.to_string(),
        Err(_) => "the backward closure panicked".to_owned(),
    };
    MESSAGE.with_borrow_mut(|slot| {
        *slot = CString::new(message.replace('\0', " ")).unwrap_or_default();
        slot.as_ptr()
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Arc;
    use tch::{Kind, Tensor};

    fn leaf(values: &[f32]) -> Tensor {
        Tensor::from_slice(values).set_requires_grad(true)
    }

    #[test]
    fn the_closure_is_the_gradient() {
        let (x, y) = (leaf(&[1.0, 2.0]), leaf(&[3.0, 4.0]));
        let value = &x * &y;
        let (x_saved, y_saved) = (x.detach(), y.detach());
        // The true gradients, doubled, so that they cannot come from anywhere else.
        let z = with_gradient(&value, &[&x, &y], move |g| Ok(vec![Some(g * &y_saved * 2.0), Some(g * &x_saved * 2.0)]))
            .unwrap();
        assert_eq!(z, value.detach());
        (z * 3.0).sum(Kind::Float).backward();
        assert_eq!(x.grad(), Tensor::from_slice(&[18.0f32, 24.0]));
        assert_eq!(y.grad(), Tensor::from_slice(&[6.0f32, 12.0]));
    }

    #[test]
    fn an_input_may_get_nothing() {
        let (x, y) = (leaf(&[1.0]), leaf(&[1.0]));
        let z = with_gradient(&x.detach(), &[&x, &y], |g| Ok(vec![Some(g * 5.0), None])).unwrap();
        z.backward();
        assert_eq!(x.grad(), Tensor::from_slice(&[5.0f32]));
        assert!(!y.grad().defined());
    }

    #[test]
    fn errors_and_panics_come_out_of_backward() {
        let x = leaf(&[1.0]);
        let wrong_count = with_gradient(&x.detach(), &[&x], |_| Ok(vec![])).unwrap();
        assert!(wrong_count.f_backward().unwrap_err().to_string().contains("0 gradients for 1 inputs"));
        let long = leaf(&[1.0, 2.0, 3.0]);
        let two = |_: &Tensor| Ok(vec![Some(Tensor::from_slice(&[1.0f32, 2.0]))]);
        let wrong_shape = with_gradient(&long.detach(), &[&long], two).unwrap();
        assert!(wrong_shape.sum(Kind::Float).f_backward().is_err());
        let failing = with_gradient(&x.detach(), &[&x], |_| Err(TchError::Torch("no such luck".to_owned())));
        assert!(failing.unwrap().f_backward().unwrap_err().to_string().contains("no such luck"));
        let panicking = with_gradient(&x.detach(), &[&x], |_| panic!("on purpose")).unwrap();
        assert!(panicking.f_backward().unwrap_err().to_string().contains("panicked"));
    }

    #[test]
    fn the_closure_is_dropped_with_the_graph_or_unused() {
        let held = Arc::new(());
        let x = leaf(&[1.0]);
        let used = Arc::clone(&held);
        let z = with_gradient(&x.detach(), &[&x], move |g| {
            let _ = &used;
            Ok(vec![Some(g.shallow_clone())])
        })
        .unwrap();
        assert_eq!(Arc::strong_count(&held), 2);
        z.backward();
        drop(z);
        assert_eq!(Arc::strong_count(&held), 1);
        let unused = Arc::clone(&held);
        let z = tch::no_grad(|| {
            with_gradient(&x.detach(), &[&x], move |_| {
                let _ = &unused;
                Ok(vec![None])
            })
        })
        .unwrap();
        assert!(!z.requires_grad());
        assert_eq!(Arc::strong_count(&held), 1);
    }
}
