//! Routes that were measured, kept in a file.

use std::collections::BTreeMap;
use std::fmt;
use std::path::Path;

use crate::error::KernelError;
use crate::geometry::Conv2d;
use crate::pool::Pool;
use crate::route::{Family, Isa, Route};
use crate::tuning::{Source, Tuning};

/// The version of the kernels: it grows when a loop, a layout or an epilogue becomes faster or slower, so that choices made
/// before are measured again.
pub const KERNEL_VERSION: u32 = 2;

/// First line of the file.
const HEADER: &str = "# harness-kernels plans, version 1";

/// Rounds of a measurement whose result is kept.
const ROUNDS: usize = 7;

/// The fastest route of each product that was measured, by processor, version of the kernels, shape, bit widths, source of
/// the activations, and threads.
///
/// The file is text, a line for each product: `key<TAB>route<TAB>seconds`. Lines of other processors and of other versions of
/// the kernels stay in it and are not used.
#[derive(Debug, Clone, PartialEq)]
pub struct PlanCache {
    processor: String,
    lines: BTreeMap<String, (Route, f64)>,
}

/// Why a file holds no plans.
#[derive(Debug)]
pub enum PlanCacheError {
    /// It cannot be read or written.
    Io(std::io::Error),
    /// A line is not what [`PlanCache::text`] writes.
    Line {
        /// Number of the line, from 1.
        number: usize,
        /// What is wrong with it.
        what: &'static str,
    },
}

impl fmt::Display for PlanCacheError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            PlanCacheError::Io(error) => error.fmt(f),
            PlanCacheError::Line { number, what } => {
                write!(f, "line {number}: {what}; delete the file to measure again")
            }
        }
    }
}

impl std::error::Error for PlanCacheError {}

impl PlanCache {
    /// No plans yet, for the processor of this name.
    #[must_use]
    pub fn new(processor: &str) -> PlanCache {
        let processor = processor.split_whitespace().collect::<Vec<_>>().join(" ");
        PlanCache { processor, lines: BTreeMap::new() }
    }

    /// The plans of a file; none if there is no such file.
    ///
    /// # Errors
    /// When it cannot be read, or is not such a file.
    pub fn load(processor: &str, path: &Path) -> Result<PlanCache, PlanCacheError> {
        match std::fs::read_to_string(path) {
            Ok(text) => PlanCache::parse(processor, &text),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(PlanCache::new(processor)),
            Err(error) => Err(PlanCacheError::Io(error)),
        }
    }

    /// Reads what [`PlanCache::text`] has written.
    ///
    /// # Errors
    /// When a line is not such a line.
    pub fn parse(processor: &str, text: &str) -> Result<PlanCache, PlanCacheError> {
        let mut cache = PlanCache::new(processor);
        let mut lines = (1..).zip(text.lines());
        let wrong = |number, what| Err(PlanCacheError::Line { number, what });
        if lines.next().is_none_or(|(_, line)| line != HEADER) {
            return wrong(1, "expected the header of version 1");
        }
        for (number, line) in lines {
            let fields: Vec<&str> = line.split('\t').collect();
            let &[key, route, seconds] = &fields[..] else {
                return wrong(number, "expected a key, a route and seconds, separated by tabs");
            };
            let Ok(route) = route.parse() else { return wrong(number, "expected a route such as popcount-avx2") };
            let seconds = seconds.parse().ok().filter(|s: &f64| s.is_finite() && *s >= 0.0);
            let Some(seconds) = seconds else { return wrong(number, "expected a number of seconds") };
            cache.lines.insert(key.to_owned(), (route, seconds));
        }
        Ok(cache)
    }

    /// Number of products, those of other processors and versions included.
    #[must_use]
    pub fn len(&self) -> usize {
        self.lines.len()
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.lines.is_empty()
    }

    /// The text of the file.
    #[must_use]
    pub fn text(&self) -> String {
        let lines = self.lines.iter().map(|(key, (route, seconds))| format!("{key}\t{route}\t{seconds:e}\n"));
        format!("{HEADER}\n{}", lines.collect::<String>())
    }

    /// The route that was measured to be the fastest for this product on `threads` threads.
    #[must_use]
    pub fn get(&self, tuning: &Tuning, threads: usize) -> Option<Route> {
        // A file from another machine with a processor of the same name may name what this one lacks.
        let (route, _) = self.lines.get(&self.key(tuning, threads))?;
        route.is_available().then_some(*route)
    }

    /// The fastest route for this product on the threads of `pool`: the one that is kept, or else the one that is fastest now
    /// among all families on the widest instruction set, which is then kept.
    ///
    /// # Errors
    /// When the product cannot be set up.
    pub fn get_or_measure(&mut self, tuning: &Tuning, pool: &Pool) -> Result<Route, KernelError> {
        if let Some(route) = self.get(tuning, pool.threads()) {
            return Ok(route);
        }
        let isa = Isa::best();
        let routes = Family::ALL.map(|family| Route { family, isa });
        let timed = tuning.measure(&routes, ROUNDS, pool)?;
        let Some(best) = timed.first() else { return Ok(tuning.choose()) };
        self.insert(tuning, pool.threads(), best.route, best.total());
        Ok(best.route)
    }

    /// Keeps a route for this product on `threads` threads, which took `seconds`.
    pub fn insert(&mut self, tuning: &Tuning, threads: usize, route: Route, seconds: f64) {
        self.lines.insert(self.key(tuning, threads), (route, seconds));
    }

    fn key(&self, tuning: &Tuning, threads: usize) -> String {
        let Conv2d { batch, height, width, channels, outputs, kernel, stride, padding, dilation, groups } =
            tuning.shape;
        let pair = |[y, x]: [usize; 2]| format!("{y}x{x}");
        let source = match tuning.source {
            Source::Packed => "packed",
            Source::Codes => "codes",
            Source::Values => "values",
        };
        format!(
            "{}, kernels {KERNEL_VERSION}, {batch}x{height}x{width}x{channels}-{outputs}, kernel {}, stride {}, padding {}, \
             dilation {}, groups {groups}, w{}a{}, {source}, threads {threads}",
            self.processor,
            pair(kernel),
            pair(stride),
            pair(padding),
            pair(dilation),
            tuning.weights,
            tuning.activations
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::levels::Bits;

    fn tuning(outputs: usize) -> Tuning {
        let two = Bits::new(2).unwrap();
        Tuning { shape: Conv2d::matrix(3, outputs, 70), weights: two, activations: two, source: Source::Values }
    }

    #[test]
    fn what_is_kept_comes_back_for_the_same_product_alone() {
        let mut cache = PlanCache::new("Example\tCPU  @ 3 GHz");
        let portable = |family| Route { family, isa: Isa::Portable };
        cache.insert(&tuning(4), 1, portable(Family::Table), 1.5e-6);
        cache.insert(&tuning(4), 2, portable(Family::Int8), 1e-6);
        let read = PlanCache::parse("Example CPU @ 3 GHz", &cache.text()).unwrap();
        assert_eq!(read, cache);
        assert_eq!(read.get(&tuning(4), 1), Some(portable(Family::Table)));
        assert_eq!(read.get(&tuning(4), 2), Some(portable(Family::Int8)));
        assert_eq!(read.get(&tuning(4), 3), None);
        assert_eq!(read.get(&tuning(5), 1), None);
        assert_eq!(read.get(&Tuning { source: Source::Packed, ..tuning(4) }, 1), None);
        // The lines of another processor are kept and not used.
        let other = PlanCache::parse("Another CPU", &cache.text()).unwrap();
        assert_eq!((other.get(&tuning(4), 1), other.text()), (None, cache.text()));
        // Neither are those of another version of the kernels, or routes that this processor lacks.
        let newer = cache.text().replace(&format!("kernels {KERNEL_VERSION}"), "kernels 4000000000");
        assert_eq!(PlanCache::parse("Example CPU @ 3 GHz", &newer).unwrap().get(&tuning(4), 1), None);
        if let Some(isa) = Isa::ALL.into_iter().find(|isa| !isa.is_available()) {
            cache.insert(&tuning(4), 1, Route { family: Family::Table, isa }, 1.0);
            assert_eq!(cache.get(&tuning(4), 1), None);
        }
    }

    #[test]
    #[cfg_attr(miri, ignore = "measures times")]
    fn a_product_is_measured_once() {
        let (mut cache, pool) = (PlanCache::new("Example CPU"), Pool::new(1));
        let route = cache.get_or_measure(&tuning(4), &pool).unwrap();
        assert_eq!((route.isa, cache.get(&tuning(4), 1)), (Isa::best(), Some(route)));
        // What is kept is not measured again, whatever it is.
        let slow = Route { family: Family::Popcount, isa: Isa::Portable };
        cache.insert(&tuning(4), 1, slow, 9.0);
        assert_eq!(cache.get_or_measure(&tuning(4), &pool).unwrap(), slow);
        assert!(cache.get_or_measure(&tuning(0), &pool).is_err());
    }

    #[test]
    #[cfg_attr(miri, ignore = "reads files")]
    fn other_files_are_refused() {
        let folder = std::env::temp_dir().join(format!("harness-plans-{}", std::process::id()));
        assert_eq!(PlanCache::load("x", &folder.join("none")).unwrap(), PlanCache::new("x"));
        std::fs::create_dir_all(&folder).unwrap();
        assert!(matches!(PlanCache::load("x", &folder), Err(PlanCacheError::Io(_))));
        std::fs::remove_dir(&folder).unwrap();
        let error = |text: &str| PlanCache::parse("x", text).unwrap_err().to_string();
        assert!(error("").starts_with("line 1: expected the header"));
        for line in ["x", "x\ty", "x\tpopcount-avx3\t1", "x\tpopcount-avx2\tNaN", "x\tpopcount-avx2\t1\t2"] {
            assert!(error(&format!("{HEADER}\n{line}\n")).starts_with("line 2: expected"), "{line}");
        }
    }
}
