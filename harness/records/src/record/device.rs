//! The device that a trial ran on.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// The device that a trial ran on. Records write it as `cpu` or `cuda:0`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(into = "String", try_from = "String")]
pub enum RecordedDevice {
    /// The processor.
    Cpu,
    /// The GPU with this number, from 0.
    Cuda(usize),
}

impl RecordedDevice {
    /// `cpu` or `cuda`: devices of one kind are expected to give the same numbers.
    #[must_use]
    pub fn kind(self) -> &'static str {
        match self {
            RecordedDevice::Cpu => "cpu",
            RecordedDevice::Cuda(_) => "cuda",
        }
    }
}

impl fmt::Display for RecordedDevice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            RecordedDevice::Cpu => f.write_str("cpu"),
            RecordedDevice::Cuda(index) => write!(f, "cuda:{index}"),
        }
    }
}

impl FromStr for RecordedDevice {
    type Err = String;

    fn from_str(text: &str) -> Result<RecordedDevice, String> {
        let index = text.strip_prefix("cuda:").and_then(|index| index.parse().ok());
        match (text, index) {
            ("cpu", _) => Ok(RecordedDevice::Cpu),
            (_, Some(index)) => Ok(RecordedDevice::Cuda(index)),
            _ => Err(format!("`{text}` is no device, expected `cpu` or `cuda:0`")),
        }
    }
}

impl TryFrom<String> for RecordedDevice {
    type Error = String;

    fn try_from(text: String) -> Result<RecordedDevice, String> {
        text.parse()
    }
}

impl From<RecordedDevice> for String {
    fn from(device: RecordedDevice) -> String {
        device.to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn written_devices_read_back() {
        for (device, text) in [(RecordedDevice::Cpu, "\"cpu\""), (RecordedDevice::Cuda(3), "\"cuda:3\"")] {
            assert_eq!(serde_json::to_string(&device).unwrap(), text);
            assert_eq!(serde_json::from_str::<RecordedDevice>(text).unwrap(), device);
        }
        for text in ["cuda", "cuda:", "cuda:x", "CPU", ""] {
            assert!(text.parse::<RecordedDevice>().is_err(), "{text}");
        }
    }
}
