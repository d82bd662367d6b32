//! Which packages hold libtorch for this machine, and which of their files are kept.
//!
//! All of it belongs to one version of tch: whoever raises that raises this table. `pip install --dry-run --report`
//! prints names and checksums.

use std::env::consts::{ARCH, OS};
use std::fmt;
use std::str::FromStr;

use anyhow::{Error, Result, bail};

/// The version of libtorch.
pub(super) const VERSION: &str = "2.11.0";
/// The version of tch that was made for it.
pub(super) const TCH: &str = "0.24";

/// Without the CUDA libraries, or with them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Variant {
    Cpu,
    Cuda,
}

impl Variant {
    /// Whether what this variant installed is enough where `wanted` is asked for.
    pub(super) fn serves(self, wanted: Variant) -> bool {
        self == wanted || self == Variant::Cuda
    }
}

impl fmt::Display for Variant {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Variant::Cpu => "cpu",
            Variant::Cuda => "cuda",
        })
    }
}

impl FromStr for Variant {
    type Err = Error;

    fn from_str(name: &str) -> Result<Variant> {
        match name {
            "cpu" => Ok(Variant::Cpu),
            "cuda" => Ok(Variant::Cuda),
            _ => bail!("`{name}` is neither `cpu` nor `cuda`"),
        }
    }
}

/// A package file of the Python index, the same for whatever Python the user has.
#[derive(Debug)]
pub(super) struct Wheel {
    /// `<name>-<version>-<python>-<abi>-<platform>.<platform>....whl`
    pub(super) file: &'static str,
    pub(super) sha256: &'static str,
}

const fn wheel(file: &'static str, sha256: &'static str) -> Wheel {
    Wheel { file, sha256 }
}

impl Wheel {
    /// What pip calls it, as in `nvidia-cuda-cupti==13.0.85`.
    pub(super) fn requirement(&self) -> String {
        let mut parts = self.file.split('-');
        let (name, version) = (parts.next().unwrap_or_default(), parts.next().unwrap_or_default());
        format!("{}=={version}", name.replace('_', "-"))
    }

    /// The first of the platforms it names: any one of them leads pip to it.
    pub(super) fn platform(&self) -> &'static str {
        let tags = self.file.trim_end_matches(".whl").rsplit('-').next().unwrap_or_default();
        tags.split('.').next().unwrap_or_default()
    }
}

/// A file of the official libtorch archive, for machines without pip.
#[derive(Debug)]
pub(super) struct Archive {
    pub(super) url: &'static str,
    /// Its size in the words of a progress line.
    pub(super) size: &'static str,
}

impl Archive {
    /// The name it is stored under.
    pub(super) fn file(&self) -> &'static str {
        self.url.rsplit('/').next().unwrap_or(self.url)
    }
}

/// What there is for one kind of machine.
#[derive(Debug)]
pub(super) struct Platform {
    pub(super) name: &'static str,
    pub(super) cpu: &'static [Wheel],
    /// In addition to `cpu`; empty where there is no CUDA.
    cuda: &'static [Wheel],
    /// The libraries of the wheels that training on the CPU needs. The others are the greater part.
    libraries: &'static [&'static str],
    /// What `lib` must hold in any case, whatever it came from.
    needed: &'static [&'static str],
    cpu_archive: Option<Archive>,
    cuda_archive: Option<Archive>,
    /// Sizes of the download and of what is kept of it, for the CPU and for CUDA.
    sizes: [&'static str; 2],
}

/// torch-sys links these.
const NEEDED_LINUX: &[&str] = &["libc10.so", "libtorch.so", "libtorch_cpu.so"];
const NEEDED_CUDA: &[&str] = &["libc10.so", "libtorch.so", "libtorch_cpu.so", "libtorch_cuda.so"];
const NEEDED_MACOS: &[&str] = &["libc10.dylib", "libtorch.dylib", "libtorch_cpu.dylib"];

static LINUX_X86_64: Platform = Platform {
    name: "linux-x86_64",
    cpu: X86_64_CPU,
    cuda: X86_64_CUDA,
    libraries: &["libtorch_cpu.so", "libc10.so", "libtorch.so", "libgomp.so.1", "libcudart.so.13", "libcupti.so.13"],
    needed: NEEDED_LINUX,
    cpu_archive: Some(Archive {
        url: "https://download.pytorch.org/libtorch/cpu/libtorch-shared-with-deps-2.11.0%2Bcpu.zip",
        size: "about 0.2 GB",
    }),
    cuda_archive: Some(Archive {
        url: "https://download.pytorch.org/libtorch/cu130/libtorch-shared-with-deps-2.11.0%2Bcu130.zip",
        size: "about 2 GB",
    }),
    sizes: ["545 MB to download, 0.5 GB kept", "2.5 GB to download, 3.8 GB kept"],
};

static LINUX_AARCH64: Platform = Platform {
    name: "linux-aarch64",
    cpu: AARCH64_CPU,
    cuda: AARCH64_CUDA,
    libraries: &[
        "libtorch_cpu.so",
        "libc10.so",
        "libtorch.so",
        "libgomp.so.1",
        "libgfortran.so.5",
        "libarm_compute.so",
        "libarm_compute_graph.so",
        "libnvpl_blas_core.so.0",
        "libnvpl_blas_lp64_gomp.so.0",
        "libnvpl_lapack_core.so.0",
        "libnvpl_lapack_lp64_gomp.so.0",
        "libcudart.so.13",
        "libcupti.so.13",
    ],
    needed: NEEDED_LINUX,
    cpu_archive: None,
    cuda_archive: None,
    sizes: ["432 MB to download, 0.4 GB kept", "several GB"],
};

static MACOS_ARM64: Platform = Platform {
    name: "macos-arm64",
    cpu: MACOS_CPU,
    cuda: &[],
    libraries: &["libtorch_cpu.dylib", "libc10.dylib", "libtorch.dylib", "libomp.dylib"],
    needed: NEEDED_MACOS,
    cpu_archive: Some(Archive {
        url: "https://download.pytorch.org/libtorch/cpu/libtorch-macos-arm64-2.11.0.zip",
        size: "about 0.1 GB",
    }),
    cuda_archive: None,
    sizes: ["81 MB to download, 0.3 GB kept", ""],
};

impl Platform {
    /// # Errors
    /// Where no libtorch of this version is published.
    pub(super) fn of_this_machine() -> Result<&'static Platform> {
        match (OS, ARCH) {
            ("linux", "x86_64") if cfg!(target_env = "gnu") => Ok(&LINUX_X86_64),
            ("linux", "aarch64") if cfg!(target_env = "gnu") => Ok(&LINUX_AARCH64),
            ("macos", "aarch64") => Ok(&MACOS_ARM64),
            _ => bail!(
                "libtorch {VERSION} is published for Linux with glibc (x86_64, aarch64) and macOS (arm64), not for \
                 this {OS} {ARCH}; build it, and set LIBTORCH to its folder"
            ),
        }
    }

    /// The wheels to take, libtorch itself first.
    ///
    /// # Errors
    /// When CUDA is asked for where there is none.
    pub(super) fn wheels(&self, variant: Variant) -> Result<Vec<&'static Wheel>> {
        Ok(match variant {
            Variant::Cpu => self.cpu.iter().collect(),
            Variant::Cuda if self.cuda.is_empty() => bail!("there is no CUDA for {}", self.name),
            Variant::Cuda => self.cpu.iter().chain(self.cuda).collect(),
        })
    }

    /// The official archive, if there is one.
    pub(super) fn archive(&self, variant: Variant) -> Option<&Archive> {
        match variant {
            Variant::Cpu => self.cpu_archive.as_ref(),
            Variant::Cuda => self.cuda_archive.as_ref(),
        }
    }

    /// How much the wheels are, in words.
    pub(super) fn size(&self, variant: Variant) -> &'static str {
        match variant {
            Variant::Cpu => self.sizes[0],
            Variant::Cuda => self.sizes[1],
        }
    }

    /// The libraries without which the folder is no libtorch of that variant.
    pub(super) fn libraries_needed(&self, variant: Variant) -> &'static [&'static str] {
        match variant {
            Variant::Cpu => self.needed,
            Variant::Cuda => NEEDED_CUDA,
        }
    }

    /// Where a file of a wheel or of the archive goes, below the libtorch folder; `None` for those not kept.
    pub(super) fn place(&self, variant: Variant, name: &str) -> Option<String> {
        let (is_archive, inside) = match name.strip_prefix("libtorch/") {
            Some(inside) => (true, inside),
            None => (false, name.strip_prefix("torch/").unwrap_or(name)),
        };
        if inside.starts_with("include/") {
            return Some(inside.to_owned());
        }
        let (folder, file) = inside.rsplit_once('/')?;
        let is_library = folder.rsplit('/').next() == Some("lib") && is_shared_library(file);
        // The archive is made for one variant, under file names of its own; the wheels always hold the CUDA libraries.
        let keeps_all = is_archive || variant == Variant::Cuda;
        let is_kept = if keeps_all { !is_for_python(file) } else { self.libraries.contains(&file) };
        (is_library && is_kept).then(|| format!("lib/{file}"))
    }
}

/// `libx.so`, `libx.so.1`, `libx.dylib`.
fn is_shared_library(file: &str) -> bool {
    file.ends_with(".so") || file.contains(".so.") || file.ends_with(".dylib")
}

/// Of no use without a Python interpreter.
fn is_for_python(file: &str) -> bool {
    file.starts_with("libtorch_python") || file.starts_with("libshm")
}

/// libtorch names the CUDA runtime and CUPTI as needed even where no GPU is: two small packages.
const X86_64_CPU: &[Wheel] = &[
    wheel(
        "torch-2.11.0-cp312-cp312-manylinux_2_28_x86_64.whl",
        "0f68f4ac6d95d12e896c3b7a912b5871619542ec54d3649cf48cc1edd4dd2756",
    ),
    wheel(
        "nvidia_cuda_cupti-13.0.85-py3-none-manylinux_2_25_x86_64.whl",
        "4eb01c08e859bf924d222250d2e8f8b8ff6d3db4721288cf35d14252a4d933c8",
    ),
    wheel(
        "nvidia_cuda_runtime-13.0.96-py3-none-manylinux2014_x86_64.manylinux_2_17_x86_64.whl",
        "7f82250d7782aa23b6cfe765ecc7db554bd3c2870c43f3d1821f1d18aebf0548",
    ),
];

/// What `libtorch_cuda.so` needs beyond those.
const X86_64_CUDA: &[Wheel] = &[
    wheel(
        "nvidia_cublas-13.1.0.3-py3-none-manylinux_2_27_x86_64.whl",
        "ee8722c1f0145ab246bccb9e452153b5e0515fd094c3678df50b2a0888b8b171",
    ),
    wheel(
        "nvidia_cuda_nvrtc-13.0.88-py3-none-manylinux2010_x86_64.manylinux_2_12_x86_64.whl",
        "ad9b6d2ead2435f11cbb6868809d2adeeee302e9bb94bcf0539c7a40d80e8575",
    ),
    wheel(
        "nvidia_cudnn_cu13-9.19.0.56-py3-none-manylinux_2_27_x86_64.whl",
        "d20e1734305e9d68889a96e3f35094d733ff1f83932ebe462753973e53a572bf",
    ),
    wheel(
        "nvidia_cufft-12.0.0.61-py3-none-manylinux2014_x86_64.manylinux_2_17_x86_64.whl",
        "6c44f692dce8fd5ffd3e3df134b6cdb9c2f72d99cf40b62c32dde45eea9ddad3",
    ),
    wheel(
        "nvidia_cufile-1.15.1.6-py3-none-manylinux2014_x86_64.manylinux_2_17_x86_64.whl",
        "08a3ecefae5a01c7f5117351c64f17c7c62efa5fffdbe24fc7d298da19cd0b44",
    ),
    wheel(
        "nvidia_curand-10.4.0.35-py3-none-manylinux_2_27_x86_64.whl",
        "1aee33a5da6e1db083fe2b90082def8915f30f3248d5896bcec36a579d941bfc",
    ),
    wheel(
        "nvidia_cusolver-12.0.4.66-py3-none-manylinux_2_27_x86_64.whl",
        "0a759da5dea5c0ea10fd307de75cdeb59e7ea4fcb8add0924859b944babf1112",
    ),
    wheel(
        "nvidia_cusparse-12.6.3.3-py3-none-manylinux2014_x86_64.manylinux_2_17_x86_64.whl",
        "2b3c89c88d01ee0e477cb7f82ef60a11a4bcd57b6b87c33f789350b59759360b",
    ),
    wheel(
        "nvidia_cusparselt_cu13-0.8.0-py3-none-manylinux2014_x86_64.whl",
        "25e30a8a7323935d4ad0340b95a0b69926eee755767e8e0b1cf8dd85b197d3fd",
    ),
    wheel(
        "nvidia_nccl_cu13-2.28.9-py3-none-manylinux_2_18_x86_64.whl",
        "e4553a30f34195f3fa1da02a6da3d6337d28f2003943aa0a3d247bbc25fefc42",
    ),
    wheel(
        "nvidia_nvjitlink-13.0.88-py3-none-manylinux2010_x86_64.manylinux_2_12_x86_64.whl",
        "13a74f429e23b921c1109976abefacc69835f2f433ebd323d3946e11d804e47b",
    ),
    wheel(
        "nvidia_nvshmem_cu13-3.4.5-py3-none-manylinux2014_x86_64.manylinux_2_17_x86_64.whl",
        "290f0a2ee94c9f3687a02502f3b9299a9f9fe826e6d0287ee18482e78d495b80",
    ),
    wheel(
        "nvidia_nvtx-13.0.85-py3-none-manylinux1_x86_64.manylinux_2_5_x86_64.whl",
        "4936d1d6780fbe68db454f5e72a42ff64d1fd6397df9f363ae786930fd5c1cd4",
    ),
];

/// As for x86_64.
const AARCH64_CPU: &[Wheel] = &[
    wheel(
        "torch-2.11.0-cp312-cp312-manylinux_2_28_aarch64.whl",
        "f99924682ef0aa6a4ab3b1b76f40dc6e273fca09f367d15a524266db100a723f",
    ),
    wheel(
        "nvidia_cuda_cupti-13.0.85-py3-none-manylinux_2_25_aarch64.whl",
        "796bd679890ee55fb14a94629b698b6db54bcfd833d391d5e94017dd9d7d3151",
    ),
    wheel(
        "nvidia_cuda_runtime-13.0.96-py3-none-manylinux2014_aarch64.manylinux_2_17_aarch64.whl",
        "ef9bcbe90493a2b9d810e43d249adb3d02e98dd30200d86607d8d02687c43f55",
    ),
];

/// As for x86_64.
const AARCH64_CUDA: &[Wheel] = &[
    wheel(
        "nvidia_cublas-13.1.0.3-py3-none-manylinux_2_27_aarch64.whl",
        "c86fc7f7ae36d7528288c5d88098edcb7b02c633d262e7ddbb86b0ad91be5df2",
    ),
    wheel(
        "nvidia_cuda_nvrtc-13.0.88-py3-none-manylinux2014_aarch64.manylinux_2_17_aarch64.whl",
        "d27f20a0ca67a4bb34268a5e951033496c5b74870b868bacd046b1b8e0c3267b",
    ),
    wheel(
        "nvidia_cudnn_cu13-9.19.0.56-py3-none-manylinux_2_27_aarch64.whl",
        "6ed29ffaee1176c612daf442e4dd6cfeb6a0caa43ddcbeb59da94953030b1be4",
    ),
    wheel(
        "nvidia_cufft-12.0.0.61-py3-none-manylinux2014_aarch64.manylinux_2_17_aarch64.whl",
        "2708c852ef8cd89d1d2068bdbece0aa188813a0c934db3779b9b1faa8442e5f5",
    ),
    wheel(
        "nvidia_cufile-1.15.1.6-py3-none-manylinux_2_27_aarch64.whl",
        "bdc0deedc61f548bddf7733bdc216456c2fdb101d020e1ab4b88d232d5e2f6d1",
    ),
    wheel(
        "nvidia_curand-10.4.0.35-py3-none-manylinux_2_27_aarch64.whl",
        "133df5a7509c3e292aaa2b477afd0194f06ce4ea24d714d616ff36439cee349a",
    ),
    wheel(
        "nvidia_cusolver-12.0.4.66-py3-none-manylinux_2_27_aarch64.whl",
        "02c2457eaa9e39de20f880f4bd8820e6a1cfb9f9a34f820eb12a155aa5bc92d2",
    ),
    wheel(
        "nvidia_cusparse-12.6.3.3-py3-none-manylinux2014_aarch64.manylinux_2_17_aarch64.whl",
        "80bcc4662f23f1054ee334a15c72b8940402975e0eab63178fc7e670aa59472c",
    ),
    wheel(
        "nvidia_cusparselt_cu13-0.8.0-py3-none-manylinux2014_aarch64.whl",
        "400c6ed1cf6780fc6efedd64ec9f1345871767e6a1a0a552a1ea0578117ea77c",
    ),
    wheel(
        "nvidia_nccl_cu13-2.28.9-py3-none-manylinux_2_18_aarch64.whl",
        "01c873ba1626b54caa12272ed228dc5b2781545e0ae8ba3f432a8ef1c6d78643",
    ),
    wheel(
        "nvidia_nvjitlink-13.0.88-py3-none-manylinux2014_aarch64.manylinux_2_17_aarch64.whl",
        "e931536ccc7d467a98ba1d8b89ff7fa7f1fa3b13f2b0069118cd7f47bff07d0c",
    ),
    wheel(
        "nvidia_nvshmem_cu13-3.4.5-py3-none-manylinux2014_aarch64.manylinux_2_17_aarch64.whl",
        "6dc2a197f38e5d0376ad52cd1a2a3617d3cdc150fd5966f4aee9bcebb1d68fe9",
    ),
    wheel(
        "nvidia_nvtx-13.0.85-py3-none-manylinux2014_aarch64.manylinux_2_17_aarch64.whl",
        "cb7780edb6b14107373c835bf8b72e7a178bac7367e23da7acb108f973f157a6",
    ),
];

/// All in one.
const MACOS_CPU: &[Wheel] = &[wheel(
    "torch-2.11.0-cp312-cp312-macosx_11_0_arm64.whl",
    "4b5866312ee6e52ea625cd211dcb97d6a2cdc1131a5f15cc0d87eec948f6dd34",
)];

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;

    const ALL: [&Platform; 3] = [&LINUX_X86_64, &LINUX_AARCH64, &MACOS_ARM64];

    #[test]
    fn pip_is_asked_for_what_the_file_name_says() {
        let check = |file, requirement: &str, platform| {
            let wheel = wheel(file, "");
            assert_eq!((wheel.requirement().as_str(), wheel.platform()), (requirement, platform));
        };
        check("torch-2.11.0-cp312-cp312-manylinux_2_28_x86_64.whl", "torch==2.11.0", "manylinux_2_28_x86_64");
        check(
            "nvidia_cuda_runtime-13.0.96-py3-none-manylinux2014_x86_64.manylinux_2_17_x86_64.whl",
            "nvidia-cuda-runtime==13.0.96",
            "manylinux2014_x86_64",
        );
    }

    #[test]
    fn the_tables_are_in_order() {
        for platform in ALL {
            let wheels: Vec<&Wheel> = platform.cpu.iter().chain(platform.cuda).collect();
            assert_eq!(wheels[0].requirement(), format!("torch=={VERSION}"));
            let names: HashSet<&str> = wheels.iter().map(|wheel| wheel.file).collect();
            assert_eq!(names.len(), wheels.len(), "{}: a wheel appears twice", platform.name);
            for wheel in wheels {
                assert!(wheel.sha256.len() == 64 && wheel.sha256.bytes().all(|c| c.is_ascii_hexdigit()));
                let machine = platform.name.rsplit('-').next().unwrap();
                assert!(wheel.platform().ends_with(machine), "{} is not for {}", wheel.file, platform.name);
            }
            for needed in platform.needed {
                assert!(platform.libraries.contains(needed), "{needed}");
            }
        }
    }

    #[test]
    fn places() {
        let check = |variant, name, expected: Option<&str>| {
            assert_eq!(LINUX_X86_64.place(variant, name).as_deref(), expected, "{name} ({variant})");
        };
        let both = |name, expected| {
            check(Variant::Cpu, name, expected);
            check(Variant::Cuda, name, expected);
        };
        both("torch/lib/libtorch_cpu.so", Some("lib/libtorch_cpu.so"));
        both("torch/lib/libgomp.so.1", Some("lib/libgomp.so.1"));
        both("nvidia/cu13/lib/libcudart.so.13", Some("lib/libcudart.so.13"));
        both("torch/include/torch/csrc/api/include/torch/all.h", Some("include/torch/csrc/api/include/torch/all.h"));
        both("libtorch/include/ATen/ATen.h", Some("include/ATen/ATen.h"));
        both("libtorch/lib/libgomp-98b21ff3.so.1", Some("lib/libgomp-98b21ff3.so.1"));
        both("libtorch/lib/libbenchmark.a", None);
        both("libtorch/lib/libtorch_python.so", None);
        both("libtorch/build-version", None);
        both("torch/lib/libtorch_python.so", None);
        both("torch/_C.cpython-312-x86_64-linux-gnu.so", None);
        both("torch/nn/modules/linear.py", None);
        both("nvidia/cu13/include/cuda.h", None);
        both("torch/testing/include/x.h", None);
        check(Variant::Cpu, "torch/lib/libtorch_cuda.so", None);
        check(Variant::Cuda, "torch/lib/libtorch_cuda.so", Some("lib/libtorch_cuda.so"));
        check(Variant::Cpu, "nvidia/cudnn/lib/libcudnn.so.9", None);
        check(Variant::Cuda, "nvidia/cudnn/lib/libcudnn.so.9", Some("lib/libcudnn.so.9"));
    }
}
