//! `harness doctor`.

use std::env;
use std::path::PathBuf;

use harness_datasets::{DATASETS, JpegDecoder};
use harness_engine::environment;
use harness_records::options::Options;
use harness_torch::cuda::{self, Cuda};
use serde::Serialize;

use crate::exit::Outcome;
use crate::output::{columns, print, print_json};
use crate::shared_arguments::Listing;

#[derive(Debug, Serialize)]
struct Findings {
    harness: &'static str,
    libtorch: Libtorch,
    cuda: CudaFindings,
    cpu: CpuFindings,
    /// Who decodes the JPEG files of a data set of photographs.
    jpeg: String,
    datasets: Vec<DatasetFindings>,
}

#[derive(Debug, Serialize)]
struct Libtorch {
    version: String,
    /// Where the loaded library lies; `None` where the system does not say.
    path: Option<PathBuf>,
    cpu_kernels: String,
}

#[derive(Debug, Serialize)]
struct CudaFindings {
    available: bool,
    devices: usize,
    detail: String,
}

#[derive(Debug, Serialize)]
struct CpuFindings {
    model: String,
    cores: usize,
    libtorch_threads: i32,
    features: Vec<&'static str>,
}

#[derive(Debug, Serialize)]
struct DatasetFindings {
    name: &'static str,
    found: bool,
    detail: String,
}

pub(crate) fn run(listing: &Listing) -> Outcome {
    let findings = examine();
    if listing.json {
        return Ok(print_json(&findings)?);
    }
    let path = findings.libtorch.path.as_ref().map_or_else(|| "place unknown".to_owned(), |p| p.display().to_string());
    let rows = [
        ("harness", findings.harness.to_owned()),
        ("libtorch", format!("{} ({path}), CPU kernels {}", findings.libtorch.version, findings.libtorch.cpu_kernels)),
        ("cuda", findings.cuda.detail),
        (
            "cpu",
            format!(
                "{}, {} cores, libtorch uses {} threads",
                findings.cpu.model, findings.cpu.cores, findings.cpu.libtorch_threads
            ),
        ),
        ("features", findings.cpu.features.join(" ")),
        ("jpeg", findings.jpeg),
    ];
    let rows: Vec<Vec<String>> = rows.into_iter().map(|(name, value)| vec![name.to_owned(), value]).collect();
    print(columns(&["what", "found"], &rows))?;
    let rows: Vec<Vec<String>> = (findings.datasets.iter())
        .map(|d| vec![d.name.to_owned(), if d.found { "yes" } else { "no" }.to_owned(), d.detail.clone()])
        .collect();
    print(format_args!("\n{}", columns(&["data set", "found", "detail"], &rows)))?;
    Ok(())
}

fn examine() -> Findings {
    let cuda = cuda::load();
    Findings {
        harness: env!("CARGO_PKG_VERSION"),
        libtorch: Libtorch {
            version: harness_torch::version(),
            path: harness_torch::loaded_from(),
            cpu_kernels: harness_torch::cpu_capability(),
        },
        cuda: CudaFindings {
            available: matches!(cuda, Cuda::Ready { .. }),
            devices: if let Cuda::Ready { devices, .. } = cuda { devices } else { 0 },
            detail: cuda.to_string(),
        },
        cpu: CpuFindings {
            model: environment::cpu_model(),
            cores: environment::cores(),
            libtorch_threads: tch::get_num_threads(),
            features: features(),
        },
        jpeg: JpegDecoder::from_environment()
            .map_or_else(|value| format!("HARNESS_JPEG is `{value}`, expected `zune`"), |decoder| decoder.to_string()),
        datasets: DATASETS.iter().map(|dataset| find(*dataset)).collect(),
    }
}

/// Instruction sets that the kernels know how to use.
fn features() -> Vec<&'static str> {
    #[cfg(target_arch = "x86_64")]
    {
        let all = [
            ("popcnt", is_x86_feature_detected!("popcnt")),
            ("avx2", is_x86_feature_detected!("avx2")),
            ("fma", is_x86_feature_detected!("fma")),
            ("avx512f", is_x86_feature_detected!("avx512f")),
            ("avx512bw", is_x86_feature_detected!("avx512bw")),
            ("avx512vbmi", is_x86_feature_detected!("avx512vbmi")),
            ("avx512vpopcntdq", is_x86_feature_detected!("avx512vpopcntdq")),
            ("avx512vnni", is_x86_feature_detected!("avx512vnni")),
            ("gfni", is_x86_feature_detected!("gfni")),
        ];
        all.into_iter().filter_map(|(name, found)| found.then_some(name)).collect()
    }
    #[cfg(target_arch = "aarch64")]
    {
        let neon = std::arch::is_aarch64_feature_detected!("neon");
        let dotprod = std::arch::is_aarch64_feature_detected!("dotprod");
        [("neon", neon), ("dotprod", dotprod)].into_iter().filter_map(|(name, found)| found.then_some(name)).collect()
    }
    #[cfg(not(any(target_arch = "x86_64", target_arch = "aarch64")))]
    Vec::new()
}

/// Looks for a data set in the folder that its environment variable names, `FASHION_MNIST_DIR` for `fashion-mnist`.
fn find(dataset: &dyn harness_datasets::Dataset) -> DatasetFindings {
    let about = dataset.about();
    let variable = super::data::variable(about.name);
    let root = env::var_os(&variable).map(PathBuf::from);
    let (found, detail) = match dataset.probe(root.as_deref(), &Options::defaults(about.options)) {
        Ok(contents) => {
            let place = root.map_or_else(|| "built in".to_owned(), |root| root.display().to_string());
            (true, format!("{contents}, {place}"))
        }
        Err(_) if root.is_none() => (false, format!("give its folder as `dataset.root`, or here as {variable}")),
        Err(error) => (false, error.to_string()),
    };
    DatasetFindings { name: about.name, found, detail }
}
