//! Where a trial computes.

use std::fmt;
use std::str::FromStr;

use harness_records::record::RecordedDevice;
use harness_torch::cuda::{self, Cuda};
use tch::Device;

/// `--device`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum DeviceChoice {
    /// The first GPU if there is one, else the CPU.
    #[default]
    Auto,
    /// The CPU.
    Cpu,
    /// This GPU; without a number, the first.
    Cuda(usize),
}

impl FromStr for DeviceChoice {
    type Err = String;

    fn from_str(text: &str) -> Result<DeviceChoice, String> {
        match text {
            "auto" => Ok(DeviceChoice::Auto),
            "cpu" => Ok(DeviceChoice::Cpu),
            "cuda" => Ok(DeviceChoice::Cuda(0)),
            other => other
                .strip_prefix("cuda:")
                .and_then(|index| index.parse().ok())
                .map(DeviceChoice::Cuda)
                .ok_or_else(|| format!("`{other}` is no device, expected auto, cpu, cuda or cuda:0")),
        }
    }
}

impl fmt::Display for DeviceChoice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            DeviceChoice::Auto => f.write_str("auto"),
            DeviceChoice::Cpu => f.write_str("cpu"),
            DeviceChoice::Cuda(index) => write!(f, "cuda:{index}"),
        }
    }
}

impl DeviceChoice {
    /// The device that the choice stands for on this machine.
    ///
    /// # Errors
    /// A GPU was asked for and cannot be had, with the reason.
    pub fn resolve(self) -> Result<Device, String> {
        match self {
            DeviceChoice::Cpu => Ok(Device::Cpu),
            DeviceChoice::Auto => match cuda::load() {
                Cuda::Ready { devices, .. } if devices > 0 => Ok(Device::Cuda(0)),
                _ => Ok(Device::Cpu),
            },
            DeviceChoice::Cuda(index) => match cuda::load() {
                Cuda::Ready { devices, .. } if index < devices => Ok(Device::Cuda(index)),
                Cuda::Ready { devices, .. } => Err(format!("there is no cuda:{index}, this machine has {devices}")),
                Cuda::Absent { reason } => Err(format!("cuda:{index} is not available: {reason}")),
            },
        }
    }
}

/// Every GPU that libtorch can use, after [`DeviceChoice::resolve`] has found one.
#[must_use]
pub fn all_gpus() -> Vec<Device> {
    (0..usize::try_from(tch::Cuda::device_count()).unwrap_or(0)).map(Device::Cuda).collect()
}

/// The device as records name it.
#[must_use]
pub fn recorded(device: Device) -> RecordedDevice {
    match device {
        Device::Cuda(index) => RecordedDevice::Cuda(index),
        _ => RecordedDevice::Cpu,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn choices_read_back_as_written() {
        for text in ["auto", "cpu", "cuda:0", "cuda:3"] {
            assert_eq!(text.parse::<DeviceChoice>().unwrap().to_string(), text);
        }
        assert_eq!("cuda".parse(), Ok(DeviceChoice::Cuda(0)));
        for text in ["", "gpu", "cuda:", "cuda:-1", "CPU"] {
            assert!(text.parse::<DeviceChoice>().unwrap_err().contains("expected auto"), "{text}");
        }
    }
}
