//! Numbers sent from the host to the device.

use tch::{Device, Kind, TchError, Tensor};

/// Numbers on the device, i64. The host does not wait until a GPU has fetched them, nor for anything before that:
/// libtorch keeps the page-locked copy for as long as it is needed.
pub(super) fn upload(numbers: &[i64], device: Device) -> Result<Tensor, TchError> {
    let numbers = Tensor::f_from_slice(numbers)?;
    match device {
        Device::Cuda(_) => numbers.f_pin_memory(device)?.f_to_device_(device, Kind::Int64, true, false),
        _ => numbers.f_to_device(device),
    }
}
