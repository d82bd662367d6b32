//! What is quantized: weights, activations or gradients.

use std::fmt;

use serde::{Deserialize, Serialize};

/// What a quantizer stands for in the network. Records name it by [`Role::name`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Role {
    /// Parameters of a convolution or linear layer, `[C_out, ...]`.
    Weight,
    /// Input of a convolution or linear layer, `[N, ...]`. The quantizer takes the place of the non-linearity: it
    /// is given what comes out of batch normalization and bounds it itself.
    Activation,
    /// Gradient with respect to the output of a convolution or linear layer, `[N, ...]`.
    Gradient,
}

impl Role {
    /// All of them, in the order of a configuration.
    pub const ALL: [Role; 3] = [Role::Weight, Role::Activation, Role::Gradient];

    /// The key of the role in `quant`.
    #[must_use]
    pub const fn key(self) -> &'static str {
        match self {
            Role::Weight => "weights",
            Role::Activation => "activations",
            Role::Gradient => "gradients",
        }
    }

    /// The name in records, tables and messages.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Role::Weight => "weight",
            Role::Activation => "activation",
            Role::Gradient => "gradient",
        }
    }
}

impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_and_messages_use_the_same_name() {
        for role in Role::ALL {
            assert_eq!(serde_json::to_string(&role).unwrap(), format!("\"{role}\""));
        }
        assert!(serde_json::from_str::<Role>("\"bias\"").is_err());
    }
}
