//! `harness sweep --dry-run`: what would run, why, and how much work it is.

use harness_engine::gpu::{Gpu, UTILISATION};
use harness_engine::prepare::{Prepared, SiteSummary};
use harness_records::spec::SweepSpec;
use serde_json::{Value, json};

use crate::exit::Outcome;
use crate::output::{columns, print, print_json};

/// What would be done.
pub(super) struct Plan<'a> {
    pub(super) spec: &'a SweepSpec,
    pub(super) prepared: &'a [Prepared],
    /// The device, or the kind of cluster.
    pub(super) place: &'a str,
    /// The GPU to estimate hours on.
    pub(super) gpu: Option<&'static Gpu>,
    /// What each task of a cluster would run.
    pub(super) script: Option<String>,
}

impl Plan<'_> {
    pub(super) fn print(&self, as_json: bool) -> Outcome {
        if as_json { self.print_json() } else { self.print_text() }
    }

    fn print_json(&self) -> Outcome {
        let trials = self.prepared.iter().map(|p| {
            json!({
                "id": p.trial.id,
                "label": p.trial.label,
                "decision": p.decision.word(),
                "reason": p.decision.reason(),
                "needs": p.trial.config.train.needs().collect::<Vec<_>>(),
                "sites": self.site_objects(p),
                "model": p.model,
                "work": p.work,
                "gpu_hours": self.hours(p),
                "config": p.trial.config,
            })
        });
        let trials: Vec<Value> = trials.collect();
        let mut plan = json!({"sweep": self.spec.name, "device": self.place, "trials": trials});
        if let Some(script) = &self.script {
            plan["script"] = json!(script);
        }
        Ok(print_json(&plan)?)
    }

    fn print_text(&self) -> Outcome {
        let mut header =
            vec!["trial", "what", "does", "because", "sites", "parameters", "MACs/image", "images", "TFLOP"];
        header.extend(self.gpu.map(|_| "GPU h"));
        let rows: Vec<Vec<String>> = self.prepared.iter().map(|p| self.row(p)).collect();
        print(columns(&header, &rows))?;
        if self.prepared.iter().any(|p| !p.trial.config.quant.layers.is_empty()) {
            print("\nw8@12: 8-bit weights, by the entry of `quant.layers` in line 12")?;
        }
        let (mut images, mut flops, mut total) = (0, 0.0, 0.0);
        let runs = || self.prepared.iter().filter(|p| p.decision.runs());
        for p in runs() {
            images += p.work.train_images;
            flops += p.work.flops;
            total += self.hours(p).unwrap_or_default();
        }
        let (all, left) = (self.prepared.len(), runs().count());
        print(format_args!(
            "\n{all} trials, {left} to run on {}: {images} training images, {:.3} TFLOP",
            self.place,
            flops / 1e12
        ))?;
        if let (Some(gpu), Some(p)) = (self.gpu, self.prepared.first()) {
            let (numbers, peak) = gpu.peak(&p.trial.config.train);
            print(format_args!(
                "about {total:.1} GPU hours on one {}: an estimate, {:.0}% of its peak of {peak} TFLOP/s in {numbers}",
                gpu.name,
                100.0 * UTILISATION
            ))?;
        }
        if let Some(script) = &self.script {
            print(format_args!("\neach trial's task would run:\n\n{}", script.trim_end()))?;
        }
        Ok(())
    }

    fn hours(&self, p: &Prepared) -> Option<f64> {
        self.gpu.map(|gpu| gpu.hours(p.work.flops, &p.trial.config.train))
    }

    fn row(&self, p: &Prepared) -> Vec<String> {
        let mut row = vec![
            p.trial.id.clone(),
            p.trial.label.clone(),
            p.decision.word().to_owned(),
            p.decision.reason(),
            self.sites(p),
            p.model.parameters.to_string(),
            p.model.macs.to_string(),
            p.work.train_images.to_string(),
            format!("{:.3}", p.work.flops / 1e12),
        ];
        row.extend(self.hours(p).map(|hours| format!("{hours:.3}")));
        row
    }

    /// The sites with the places of the entries of `quant.layers` that they come from.
    fn site_objects(&self, p: &Prepared) -> Vec<Value> {
        let object = |site: &SiteSummary| {
            let mut object = json!(site);
            let places = self.places(p, site);
            if !places.is_empty() {
                object["places"] = json!(places);
            }
            object
        };
        p.sites.iter().map(object).collect()
    }

    /// Where the entries of `quant.layers` that a site comes from stand, `sweep.yaml:12:5`.
    fn places(&self, p: &Prepared, site: &SiteSummary) -> Vec<String> {
        let place = |pattern: &String| self.spec.place(&p.trial, &format!("quant.layers.{pattern}"));
        site.rules.iter().filter_map(place).collect()
    }

    /// `conv2:w2,a2 fc1:w2`, or `none`. What comes from an entry of `quant.layers` has its line: `conv1:w8@12`.
    fn sites(&self, p: &Prepared) -> String {
        let mut layers: Vec<(&str, Vec<String>)> = Vec::new();
        for site in &p.sites {
            let line = self.places(p, site).pop().and_then(|place| Some(place.split(':').nth(1)?.to_owned()));
            let line = line.map_or_else(String::new, |line| format!("@{line}"));
            let short = format!("{}{}{line}", &site.role.name()[..1], site.bits);
            match layers.iter_mut().find(|(layer, _)| *layer == site.layer) {
                Some((_, shorts)) => shorts.push(short),
                None => layers.push((&site.layer, vec![short])),
            }
        }
        if layers.is_empty() {
            return "none".to_owned();
        }
        layers.into_iter().map(|(layer, shorts)| format!("{layer}:{}", shorts.join(","))).collect::<Vec<_>>().join(" ")
    }
}
