//! Routes: a family of algorithms on an instruction set, and the choice among them. What exactly runs on a route is decided
//! in `inner_loop`.

use std::fmt;
use std::str::FromStr;

use crate::geometry::Conv2d;
use crate::levels::Bits;
use crate::tuning::{Source, Tuning};

/// Output pixels up to which a product waits for its weights to be read rather than for them to be taken apart.
pub(crate) const FEW_PIXELS: usize = 8;

/// How a product of codes is computed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Family {
    /// AND of bit-planes, then population count: time grows with `w * a`.
    Popcount,
    /// Weight bits index a table of sums of activations by a byte shuffle: time grows with `w`, and little with `a`.
    Table,
    /// Multiply-add of bytes, low-bit weights being unpacked in registers: time hardly depends on the bit widths.
    Int8,
}

/// Instruction set. Its tiles, packing and epilogue use no other vector instructions than these.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Isa {
    /// Plain Rust, as the compiler translates it for the oldest supported processor.
    Portable,
    /// 128-bit Arm vectors.
    Neon,
    /// 256-bit x86 vectors.
    Avx2,
    /// 512-bit x86 vectors with BW, VBMI, VPOPCNTDQ and VNNI (Ice Lake, Zen 4 and later).
    Avx512,
}

/// A family on an instruction set, written `popcount-avx512`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Route {
    /// The family of algorithms.
    pub family: Family,
    /// The instruction set.
    pub isa: Isa,
}

impl Isa {
    /// Every instruction set, from the narrowest vectors to the widest.
    pub const ALL: [Isa; 4] = [Isa::Portable, Isa::Neon, Isa::Avx2, Isa::Avx512];

    /// Whether this processor has it.
    #[must_use]
    pub fn is_available(self) -> bool {
        match self {
            Isa::Portable => true,
            // Every such processor has it; the loops take the lowest byte of a word to be the first.
            Isa::Neon => cfg!(all(target_arch = "aarch64", target_endian = "little")),
            #[cfg(target_arch = "x86_64")]
            Isa::Avx2 => is_x86_feature_detected!("avx2"),
            #[cfg(target_arch = "x86_64")]
            Isa::Avx512 => {
                is_x86_feature_detected!("avx512f")
                    && is_x86_feature_detected!("avx512bw")
                    && is_x86_feature_detected!("avx512vl")
                    && is_x86_feature_detected!("avx512vbmi")
                    && is_x86_feature_detected!("avx512vpopcntdq")
                    && is_x86_feature_detected!("avx512vnni")
                    && is_x86_feature_detected!("avx2")
                    && is_x86_feature_detected!("popcnt")
            }
            #[cfg(not(target_arch = "x86_64"))]
            Isa::Avx2 | Isa::Avx512 => false,
        }
    }

    /// The one with the widest vectors that this processor has.
    #[must_use]
    pub fn best() -> Isa {
        Isa::ALL.into_iter().rev().find(|isa| isa.is_available()).unwrap_or(Isa::Portable)
    }
}

impl Family {
    /// Every family.
    pub const ALL: [Family; 3] = [Family::Popcount, Family::Table, Family::Int8];
}

impl Route {
    /// Every route that this processor can run.
    pub fn available() -> impl Iterator<Item = Route> {
        let isas = Isa::ALL.into_iter().filter(|isa| isa.is_available());
        isas.flat_map(|isa| Family::ALL.map(|family| Route { family, isa }))
    }

    /// Whether this processor can run it.
    #[must_use]
    pub fn is_available(self) -> bool {
        self.isa.is_available()
    }

    /// The route expected to be fastest on this processor for a product of this shape whose activations are quantized from
    /// f32 values; see [`Tuning`] for other activations and for measuring.
    #[must_use]
    pub fn choose(shape: &Conv2d, weights: Bits, activations: Bits) -> Route {
        Tuning { shape: *shape, weights, activations, source: Source::Values }.choose()
    }
}

impl fmt::Display for Isa {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Isa::Portable => "portable",
            Isa::Neon => "neon",
            Isa::Avx2 => "avx2",
            Isa::Avx512 => "avx512",
        })
    }
}

impl fmt::Display for Family {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Family::Popcount => "popcount",
            Family::Table => "table",
            Family::Int8 => "int8",
        })
    }
}

impl fmt::Display for Route {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{}", self.family, self.isa)
    }
}

/// The error for a name that is no route.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UnknownRoute(String);

impl fmt::Display for UnknownRoute {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "unknown route \"{}\", expected FAMILY-ISA with popcount, table or int8 and portable, neon, avx2 or avx512",
            self.0
        )
    }
}

impl std::error::Error for UnknownRoute {}

impl FromStr for Route {
    type Err = UnknownRoute;

    fn from_str(name: &str) -> Result<Route, UnknownRoute> {
        let all = Family::ALL.into_iter().flat_map(|family| Isa::ALL.map(|isa| Route { family, isa }));
        all.into_iter().find(|route| route.to_string() == name).ok_or_else(|| UnknownRoute(name.to_owned()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_round_trip() {
        for family in Family::ALL {
            for isa in Isa::ALL {
                let route = Route { family, isa };
                assert_eq!(route.to_string().parse(), Ok(route));
            }
        }
        assert!("popcount-sse9".parse::<Route>().is_err());
    }

    #[test]
    fn a_portable_route_is_available_everywhere() {
        assert!(Route::available().any(|route| route.isa == Isa::Portable));
    }
}
