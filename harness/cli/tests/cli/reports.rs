//! What `harness report` can be asked for beyond the report of one sweep.

use std::fs;

use crate::support::{Ran, TINY, Workplace};

fn swept(yaml: &str) -> Workplace {
    let workplace = Workplace::new(yaml);
    assert_eq!(workplace.run(&["sweep", "sweep.yaml", "--quiet"]).code, 0);
    workplace
}

#[track_caller]
fn refused(ran: &Ran, part: &str) {
    assert_eq!(ran.code, 2, "{ran:?}");
    assert!(ran.stderr.contains(part), "{ran:?}");
}

#[test]
fn a_table_of_ones_own_is_printed_and_written() {
    let workplace = swept(TINY);
    let words =
        ["report", "sweep.yaml", "--pivot", "rows=method", "cols=bits", "value=epochs", "--format", "md,csv,tex"];
    let ran = workplace.run(&words);
    assert_eq!(ran.code, 0, "{ran:?}");
    assert!(ran.stdout.starts_with("# epochs by method and bits\n\n| method | 2/32 | 32/32 |\n"), "{ran:?}");
    let csv = fs::read_to_string(workplace.path("runs/tiny/report/tables/pivot.csv")).unwrap();
    assert_eq!(csv, "row,column,value,n,mean,sd\ndorefa,2/32,epochs,1,2,\nfloat,32/32,epochs,1,2,\n");
    assert!(workplace.path("runs/tiny/report/tables/pivot.tex").is_file());
    let filtered =
        workplace.run(&["report", "runs", "--pivot", "rows=method", "cols=seed", "--where", "method=dorefa"]);
    assert!(filtered.stdout.contains("| dorefa |") && !filtered.stdout.contains("| float"), "{filtered:?}");
}

#[test]
fn wrong_requests_say_what_would_be_right() {
    let workplace = swept(TINY);
    let report = |more: &[&str]| workplace.run(&[&["report", "sweep.yaml"], more].concat());
    refused(&report(&["--pivot", "rows=method"]), "a pivot table needs `cols=KEY`");
    refused(&report(&["--pivot", "rows=metod", "cols=bits"]), "no trial has the key `metod`, expected one of id");
    refused(&report(&["--pivot", "rows=method", "cols=bits", "value=accuracy"]), "unknown metric `accuracy`");
    refused(&report(&["--where", "method=float"]), "--pivot");
    refused(&report(&["--style", "nature"]), "unknown style `nature`, expected `report`, `ieee`");
    refused(&report(&["--columns", "3"]), "1..=2");
    refused(&report(&["runs"]), "say where it goes with --out");
    refused(&workplace.run(&["report"]), "SWEEP|RUNS");
}

#[test]
fn several_sweeps_make_one_report() {
    let workplace = swept(TINY);
    let other = TINY.replace("name: tiny", "name: other").replace("bits: 2", "bits: 3");
    fs::write(workplace.path("other.yaml"), other).unwrap();
    assert_eq!(workplace.run(&["sweep", "other.yaml", "--quiet"]).code, 0);
    let ran = workplace.run(&["report", "runs/tiny", "other.yaml", "--out", "both", "--format", "md"]);
    assert_eq!(ran.code, 0, "{ran:?}");
    assert!(ran.stdout.contains("| Method | 32/32 |  2/32 |  3/32 |"), "{ran:?}");
    let page = fs::read_to_string(workplace.path("both/report.md")).unwrap();
    assert!(page.starts_with("# tiny, other\n"), "{page}");
}

#[test]
fn figures_have_the_width_of_the_publication_and_names_of_the_sweep_file() {
    let labelled = TINY.replace("{method: dorefa, bits: 2}", "{method: dorefa, bits: 2, label: ours}");
    assert_ne!(labelled, TINY);
    let workplace = swept(&labelled);
    let ran = workplace.run(&["report", "sweep.yaml", "--style", "cvpr", "--columns", "1", "--format", "svg,pdf,tex"]);
    assert_eq!(ran.code, 0, "{ran:?}");
    assert!(ran.stdout.contains("| ours "), "{ran:?}");
    let figures = workplace.path("runs/tiny/report/figures");
    let svg = fs::read_to_string(figures.join("accuracy_vs_bits.svg")).unwrap();
    assert!(svg.contains("width=\"3.250in\"") && svg.contains("Liberation Serif") && svg.contains(">ours<"), "{svg}");
    let tex = fs::read_to_string(figures.join("accuracy_vs_bits.tex")).unwrap();
    assert!(tex.contains("\\includegraphics{figures/accuracy_vs_bits.pdf}"), "{tex}");
    assert!(fs::read(figures.join("accuracy_vs_bits.pdf")).unwrap().starts_with(b"%PDF"));
    // A folder of runs knows nothing of the file.
    assert!(workplace.run(&["report", "runs"]).stdout.contains("| dorefa "));
}
