//! Whole reports, from records to files.

mod opened;

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use harness_records::config::MethodChoice;
use harness_records::record::{FailureClass, Role, RunRecord, Status};

use crate::samples::{method, options, record};
use crate::{Choice, Format, ReportError, ReportInput, Verified, names, write};

fn input(records: Vec<RunRecord>) -> ReportInput {
    let names = names();
    let owned = |names: Vec<&str>| Choice::Named(names.into_iter().map(str::to_owned).collect());
    ReportInput {
        title: "quickstart".to_owned(),
        records,
        problems: Vec::new(),
        tables: owned(names.tables),
        figures: owned(names.figures),
        command: None,
        verified: Verified::default(),
        kernels: None,
        pivot: None,
        paper: None,
        layout: crate::Layout::default(),
        catalog: harness_records::catalog::Catalog::default(),
        labels: std::collections::BTreeMap::new(),
    }
}

/// Float and two methods at two widths over three seeds, numbers with few digits.
fn quickstart() -> Vec<RunRecord> {
    let mut records = Vec::new();
    for seed in 0..3u64 {
        let noise = 0.01 * seed as f64;
        records.push(record().seed(seed).top1(0.97 + noise).build());
        for bits in [1u8, 2] {
            let base = 0.6 + 0.1 * f64::from(bits);
            let choice = method("dorefa", bits, &[("noise", "yes")]);
            records.push(
                record().weights(choice).seed(seed).top1(base + noise).effective_bits(&[(Role::Weight, 0.75)]).build(),
            );
            let choice = method("uniform", bits, &[]);
            let built = record().quant(choice.clone(), choice, method("dorefa", 6, &[("noise", "no")])).seed(seed);
            records.push(match (bits, seed) {
                (1, _) => built.ended(Status::Diverged, FailureClass::Nan, "the loss became NaN").build(),
                (_, 2) => built.ended(Status::Failed, FailureClass::Oom, "out of memory").build(),
                _ => built.top1(0.9).build(),
            });
        }
    }
    records
}

fn read(folder: &Path, name: &str) -> String {
    fs::read_to_string(folder.join(name)).unwrap()
}

#[test]
fn the_accuracy_table() {
    let folder = tempfile::tempdir().unwrap();
    write(&input(quickstart()), folder.path(), &[Format::Markdown, Format::Csv]).unwrap();
    let text = read(folder.path(), "tables/accuracy.md");
    let (before, failures) = text.split_once("## Trials without a result").unwrap();
    assert_eq!(
        before,
        "# Accuracy

| Data set | Model | Method  |   W/A |   G | Seeds |    Top-1 (%) | Δ float (points) | Eff. bits W | Failed |
| :------- | :---- | :------ | ----: | --: | ----: | -----------: | ---------------: | ----------: | -----: |
| digits   | lenet | float   | 32/32 |  32 |     3 | 98.00 ± 1.00 |                – |           – |      0 |
| digits   | lenet | dorefa  |  1/32 |  32 |     3 | 71.00 ± 1.00 |    −27.00 ± 0.00 |        0.75 |      0 |
| digits   | lenet | dorefa  |  2/32 |  32 |     3 | 81.00 ± 1.00 |    −17.00 ± 0.00 |        0.75 |      0 |
| digits   | lenet | uniform |   1/1 |   6 |     0 |            – |                – |           – |      3 |
| digits   | lenet | uniform |   2/2 |   6 |     2 | 90.00 ± 0.00 |           −8.00† |           – |      1 |

- Metrics on the test set after the last epoch: mean ± sample standard deviation over the seeds that finished; a single \
seed has no spread. W/A: bits of weights and activations, full precision as 32.
- Δ float: difference to full precision with the same data set, model and setting, taken seed by seed; which layers stay in full precision is nothing to a network that is wholly so.
- † The seeds differ from those of full precision: difference of the means.
- Eff. bits: entropy of the codes, mean over quantized layers and seeds.

"
    );
    assert_eq!(failures.lines().filter(|line| line.starts_with("- ")).count(), 2, "{failures}");

    let text = read(folder.path(), "tables/accuracy.csv");
    let lines: Vec<&str> = text.lines().collect();
    assert_eq!(lines.len(), 6);
    assert!(
        lines[0].starts_with("dataset,model,setting,method,weight_method,weight_width,activation_method,"),
        "{}",
        lines[0]
    );
    assert_eq!(
        lines[4],
        "digits,lenet,,uniform,uniform,1,uniform,1,dorefa (noise=no),6,3,0,3,0,,,,,,0,,,0\
         ,,,,,,,,,"
    );
    assert!(lines[5].contains(",uniform,2,uniform,2,dorefa (noise=no),6,3,1,0,2,0.9,0,"), "{}", lines[5]);
}

#[test]
fn every_trial_without_a_result_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let records = quickstart();
    write(&input(records.clone()), folder.path(), &[Format::Markdown]).unwrap();
    for file in ["report.md", "tables/accuracy.md"] {
        let text = read(folder.path(), file);
        let (_, text) = text.split_once("## Trials without a result").unwrap();
        for record in records.iter().filter(|record| record.status != Status::Ok) {
            assert_eq!(text.matches(&record.id).count(), 1, "{file}: {}", record.id);
        }
        assert!(text.contains("diverged (nan): the loss became NaN — 3 trials: "), "{text}");
        assert!(text.contains("failed (oom): out of memory — digits, lenet, "), "{text}");
    }
    assert!(read(folder.path(), "report.md").contains("15 trials: 11 ok, 1 failed, 3 diverged."));
}

#[test]
fn files_are_those_of_the_formats() {
    let check = |formats: &[Format], expected: &[&str]| {
        let folder = tempfile::tempdir().unwrap();
        let written = write(&input(quickstart()), folder.path(), formats).unwrap().files;
        let mut found = BTreeSet::new();
        for place in ["", "tables", "figures"] {
            if let Ok(entries) = fs::read_dir(folder.path().join(place)) {
                found.extend(entries.map(|e| e.unwrap().path()).filter(|path| path.is_file()));
            }
        }
        let expected: BTreeSet<_> = expected.iter().map(|name| folder.path().join(name)).collect();
        assert_eq!(found, expected);
        assert_eq!(written.iter().cloned().collect::<BTreeSet<_>>(), expected);
        assert_eq!(written.len(), expected.len());
    };
    let tables = |format: &str| names().tables.iter().map(|name| format!("tables/{name}.{format}")).collect::<Vec<_>>();
    // What these trials have something to show in.
    let drawn = ["accuracy_vs_bits", "accuracy_vs_bit_ops", "layer_error"];
    let figure = |format: &str| drawn.map(|name| format!("figures/{name}.{format}")).to_vec();
    let page = |name: &str| vec![name.to_owned()];
    let all = |parts: &[Vec<String>]| parts.concat();
    let check = |formats: &[Format], parts: &[Vec<String>]| {
        let expected = all(parts);
        check(formats, &expected.iter().map(String::as_str).collect::<Vec<_>>());
    };
    check(&[], &[]);
    check(&[Format::Markdown], &[page("report.md"), tables("md")]);
    check(&[Format::Csv], &[tables("csv"), figure("csv")]);
    check(&[Format::Svg], &[figure("svg"), figure("csv")]);
    check(&[Format::Pdf], &[figure("pdf"), figure("csv")]);
    check(&[Format::Html], &[page("report.html")]);
    check(&[Format::Latex, Format::Parquet], &[tables("tex"), tables("parquet")]);
    let texts = ["md", "csv", "tex", "parquet"].map(tables).concat();
    let pictures = ["svg", "pdf", "tex", "png", "csv"].map(figure).concat();
    check(Format::ALL, &[page("report.md"), page("report.html"), texts, pictures]);
}

#[test]
fn what_was_not_asked_for_by_name_and_has_nothing_to_show_is_left_out() {
    let folder = tempfile::tempdir().unwrap();
    let mut input = input(quickstart());
    (input.tables, input.figures) = (Choice::All, Choice::All);
    let report = write(&input, folder.path(), &[Format::Markdown]).unwrap();
    let tables: Vec<&str> = report.tables.iter().map(|(name, _)| *name).collect();
    assert_eq!(tables, ["paper", "accuracy", "claims", "cost", "settings", "trials"]);
    assert!(!read(folder.path(), "report.md").contains("Nothing to draw"));
}

#[test]
fn links_lead_to_files() {
    let folder = tempfile::tempdir().unwrap();
    write(&input(quickstart()), folder.path(), Format::ALL).unwrap();
    let page = read(folder.path(), "report.md");
    let links: Vec<&str> = page.split("](").skip(1).filter_map(|rest| rest.split(')').next()).collect();
    assert_eq!(links.len(), 4 * names().tables.len() + 3 * 6, "{links:?}");
    for link in links {
        assert!(folder.path().join(link).is_file(), "{link}");
    }
    assert!(page.contains("(figures/accuracy_vs_bits.svg)"));
}

#[test]
fn the_same_records_give_the_same_files() {
    let mut records = quickstart();
    let (one, two) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    write(&input(records.clone()), one.path(), Format::ALL).unwrap();
    records.reverse();
    let written = write(&input(records), two.path(), Format::ALL).unwrap();
    for path in written.files {
        let other = one.path().join(path.strip_prefix(two.path()).unwrap());
        assert_eq!(fs::read(&path).unwrap(), fs::read(other).unwrap(), "{}", path.display());
    }
}

#[test]
fn csv_has_the_numbers_to_the_bit() {
    let folder = tempfile::tempdir().unwrap();
    let values = [0.1 + 0.2, 1.0 / 3.0];
    let records = values.iter().zip(0..).map(|(&top1, seed)| record().seed(seed).top1(top1).build()).collect();
    write(&input(records), folder.path(), &[Format::Csv]).unwrap();
    for file in ["tables/accuracy.csv", "figures/accuracy_vs_bits.csv"] {
        let mut reader = csv::Reader::from_path(folder.path().join(file)).unwrap();
        let headers = reader.headers().unwrap().clone();
        let row = reader.records().next().unwrap().unwrap();
        let value = |name: &str| row[headers.iter().position(|h| h == name).unwrap()].parse::<f64>().unwrap();
        assert_eq!(value("top1_mean"), values[0] + (values[1] - values[0]) / 2.0);
        assert!((value("top1_sd") - (values[1] - values[0]).abs() / 2f64.sqrt()).abs() < 1e-15);
        assert_eq!(value("top1_n"), 2.0);
    }
}

#[test]
fn hostile_names_stay_in_their_place() {
    let hostile = "a|b\n\"c\",<script>`*d*\u{202e}\u{7}量子, e=f";
    let mut built = record().dataset(hostile).weights(method(hostile, 2, &[(hostile, hostile)]));
    built = built.edit(|r| {
        r.sweep = hostile.to_owned();
        r.config.quant.keep_float = vec![hostile.to_owned()];
        r.environment.device_name = hostile.to_owned();
        r.environment.commit = Some(hostile.to_owned());
    });
    let failed = record().seed(1).ended(Status::Failed, FailureClass::Error, hostile).build();
    let mut other = record().weights(method(hostile, 2, &[])).seed(3).build();
    other.config.quant.activations.options = options(&[(hostile, "x")]);
    let records = vec![built.build(), failed, other];
    let mut input = input(records);
    input.title = hostile.to_owned();
    input.problems = vec![hostile.to_owned()];
    let folder = tempfile::tempdir().unwrap();
    write(&input, folder.path(), Format::ALL).unwrap();

    for file in ["report.md", "tables/accuracy.md", "tables/claims.md"] {
        let text = read(folder.path(), file);
        assert!(!text.contains("<script") && !text.contains('\u{202e}') && !text.contains('\u{7}'), "{text}");
        // Every table of the page by itself.
        for part in text.split("\n\n") {
            let bars: BTreeSet<usize> = part
                .lines()
                .filter(|line| line.starts_with('|'))
                .map(|line| line.replace("\\\\", "").replace("\\|", "").matches('|').count())
                .collect();
            assert!(bars.len() <= 1, "{part}");
        }
    }
    for file in ["tables/accuracy.csv", "figures/accuracy_vs_bits.csv"] {
        let mut reader = csv::Reader::from_path(folder.path().join(file)).unwrap();
        let rows: Vec<csv::StringRecord> = reader.records().collect::<Result<_, _>>().unwrap();
        assert!(rows.iter().any(|row| &row[0] == hostile), "{rows:?}");
    }
    let svg = read(folder.path(), "figures/accuracy_vs_bits.svg");
    let parsed = roxmltree::Document::parse(&svg).unwrap();
    assert!(parsed.descendants().any(|node| node.text().is_some_and(|text| text.contains("<script>"))));
}

#[test]
fn the_page_holds_everything_and_nothing_of_it_is_markup() {
    let hostile = "</script><script>alert(1)</script><b>\"'&";
    let mut records = quickstart();
    let mut loud = record().seed(9).ended(Status::Failed, FailureClass::Error, hostile);
    loud = loud.edit(|r| {
        r.sweep = hostile.to_owned();
        r.environment.host = hostile.to_owned();
        r.environment.commit = Some(hostile.to_owned());
    });
    records.push(loud.build());
    let mut input = input(records);
    input.title = hostile.to_owned();
    input.command = Some(format!("harness sweep '{hostile}'"));
    let folder = tempfile::tempdir().unwrap();
    write(&input, folder.path(), &[Format::Html]).unwrap();
    let text = read(folder.path(), "report.html");
    assert_eq!(text.matches("<script").count(), 1, "only our own");
    assert!(!text.contains("alert(1)</script>") && !text.contains("<b>"));
    for outside in ["src=", "@import", "<link", "<iframe"] {
        assert!(!text.contains(outside), "{outside}");
    }
    for part in ["<svg ", "Trials without a result", "dorefa", "harness sweep", "Configuration"] {
        assert!(text.contains(part), "{part}");
    }
    let sections = text.matches("<details").count();
    assert_eq!(sections, 16);
}

#[test]
fn bad_input_writes_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("report");
    let check = |input: &ReportInput, expected: &str| {
        let error = write(input, &out, Format::ALL).unwrap_err();
        assert_eq!(error.to_string(), expected);
        assert!(!out.exists());
    };
    let mut none = input(Vec::new());
    check(&none, "there are no records to report on");
    none.problems = vec!["runs/a/record.json: cut short".to_owned()];
    check(&none, "there are no records to report on: runs/a/record.json: cut short");
    none.problems.push("runs/b: empty".to_owned());
    check(&none, "there are no records to report on: runs/a/record.json: cut short (and 1 more problems)");

    let mut wrong = input(quickstart());
    wrong.tables = Choice::Named(vec!["accurcy".to_owned()]);
    check(
        &wrong,
        "unknown table `accurcy`, expected `paper`, `accuracy`, `claims`, `cost`, `kernels`, `published`, \
         `settings` or `trials`",
    );
    wrong.tables = Choice::All;
    wrong.figures = Choice::Named(vec!["pareto".to_owned()]);
    check(
        &wrong,
        "unknown figure `pareto`, expected `accuracy_vs_bits`, `accuracy_grid`, `ranking`, `sensitivity`, `accuracy_vs_bit_ops`, `accuracy_vs_kernel_time`, \
                    `training_curves`, `weight_histograms`, `layer_error`, `code_populations`, `stochastic_portion`, \
                    `kernel_speed`, `speed_vs_bits` or `roofline`",
    );
}

#[test]
fn a_folder_that_cannot_be_made_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("file");
    fs::write(&out, "").unwrap();
    let error = write(&input(quickstart()), &out, Format::ALL).unwrap_err();
    assert!(matches!(&error, ReportError::Write { path, .. } if path.starts_with(&out)), "{error}");
}

#[test]
fn language_models_are_compared_by_perplexity() {
    let perplexity = |value: f64| {
        move |record: &mut RunRecord| {
            record.metrics.as_mut().map(|m| (m.top1, m.perplexity) = (None, Some(value))).unwrap();
        }
    };
    let records = vec![
        record().edit(perplexity(100.0)).build(),
        record().weights(method("balanced", 2, &[])).edit(perplexity(126.5)).build(),
    ];
    let folder = tempfile::tempdir().unwrap();
    write(&input(records), folder.path(), Format::ALL).unwrap();
    let page = read(folder.path(), "report.md");
    assert!(page.contains("|     126.50 |               +26.50 |"), "{page}");
    assert!(!page.contains("Top-1 (%)"), "{page}");
    assert!(page.contains("Test perplexity against bit width"), "{page}");
}

#[test]
fn trials_recorded_twice_are_told() {
    let again = record().edit(|r| r.sweep = "again".to_owned()).build();
    let folder = tempfile::tempdir().unwrap();
    let mut input = input(vec![record().build(), again]);
    input.problems = vec!["runs/x/record.json: cut short".to_owned()];
    write(&input, folder.path(), &[Format::Markdown]).unwrap();
    let page = read(folder.path(), "report.md");
    assert!(page.contains("is recorded 2 times (sweeps quickstart, again)"), "{page}");
    assert!(page.contains("1 trial: 1 ok, 0 failed, 0 diverged."), "{page}");
    assert!(page.contains("- runs/x/record.json: cut short\n"), "{page}");
}

#[test]
fn the_claims_table() {
    let arm = |activations: &str, top1: f64| {
        let choice = (method("dorefa", 2, &[]), method(activations, 2, &[]));
        let of = move |seed: u64| {
            let trial = record().quant(choice.0.clone(), choice.1.clone(), MethodChoice::float()).seed(seed);
            trial.top1((top1 + 0.25 * (seed as f64)) / 100.0).build()
        };
        (0..3).map(of).collect::<Vec<_>>()
    };
    let folder = tempfile::tempdir().unwrap();
    let records = [arm("pact", 81.5), arm("dorefa", 80.0)].concat();
    write(&input(records), folder.path(), &[Format::Markdown, Format::Csv]).unwrap();
    let text = read(folder.path(), "tables/claims.md");
    let lines: Vec<String> =
        text.lines().map(|line| line.split('|').map(str::trim).collect::<Vec<_>>().join("|")).collect();
    let expected = [
        "|P1|Activations clipped at a learned level beat DoReFa's at 2 bits (Choi et al. 2018)|digits, lenet|||||\
         supported|",
        "|P1.1|top-1: dorefa w2, pact a2 − dorefa w2 a2||+1.50 points|+1.50 to +1.50|3|above 0|supported|",
        "||missing: dorefa w1 a2; dorefa w1 a1; dorefa w1 a4|||||||",
    ];
    for line in expected {
        assert!(lines.iter().any(|found| found == line), "{line}\n{lines:#?}");
    }
    assert!(text.contains("Proved by tests, not by trials: S5"), "{text}");
    assert!(text.contains("Not decided by anything yet: B6"), "{text}");

    let mut reader = csv::Reader::from_path(folder.path().join("tables/claims.csv")).unwrap();
    let headers = reader.headers().unwrap().clone();
    let rows: Vec<csv::StringRecord> = reader.records().collect::<Result<_, _>>().unwrap();
    let of = |row: &csv::StringRecord, name: &str| row[headers.iter().position(|h| h == name).unwrap()].to_owned();
    let row = rows.iter().find(|row| of(row, "claim") == "P1").unwrap();
    for (name, value) in [("verdict", "supported"), ("seeds", "3"), ("rule", "above"), ("dataset", "digits")] {
        assert_eq!(of(row, name), value);
    }
    assert!((of(row, "mean").parse::<f64>().unwrap() - 1.5).abs() < 1e-9);
    let of_claim = |id: &str| rows.iter().filter(|row| of(row, "claim") == id).count();
    assert_eq!((of_claim("O1"), of_claim("B6"), of_claim("S3")), (1, 1, 6));
}

#[test]
fn trials_that_were_run_again_are_mentioned() {
    let folder = tempfile::tempdir().unwrap();
    for (again, identical, said) in [
        (0, 0, " Work: "),
        (2, 2, " Verified: 2 trials run again, every number the same to the bit."),
        (3, 2, " 3 trials run again, 1 of them NOT the same."),
    ] {
        let input = ReportInput { verified: Verified { again, identical }, ..input(vec![record().build()]) };
        write(&input, folder.path(), &Format::parse_list("md").unwrap()).unwrap();
        let page = read(folder.path(), "report.md");
        assert!(page.contains(said), "{page}");
        assert_eq!(page.contains("run again"), again > 0);
    }
}
