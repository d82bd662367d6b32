//! Reports opened by the programs that people open them with. Where a machine has none of them, the test says so aloud.

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use harness_records::record::Role;

use crate::samples::{method, record};
use crate::{Choice, Format, ReportInput, write};

fn written(formats: &[Format]) -> tempfile::TempDir {
    let mut records = Vec::new();
    for seed in 0..3u64 {
        for (bits, top1) in [(1, 0.71), (2, 0.955), (4, 0.962), (8, 0.8)] {
            let built = record().weights(method("dorefa", bits, &[])).seed(seed).top1(top1);
            records.push(built.effective_bits(&[(Role::Weight, 0.75)]).build());
        }
        records.push(record().seed(seed).top1(0.98).build());
    }
    let input = ReportInput {
        title: "a & b_c".to_owned(),
        records,
        problems: vec!["runs/x: 100 % broken".to_owned()],
        tables: Choice::All,
        figures: Choice::All,
        command: Some("harness sweep x.yaml".to_owned()),
        verified: crate::Verified::default(),
        kernels: None,
        pivot: None,
        paper: None,
        layout: crate::Layout::default(),
        catalog: harness_records::catalog::Catalog::default(),
        labels: std::collections::BTreeMap::new(),
    };
    let folder = tempfile::tempdir().unwrap();
    write(&input, folder.path(), formats).unwrap();
    folder
}

/// The variable's program, or the first of `names` that the machine has.
fn program(variable: &str, names: &[&str]) -> Option<PathBuf> {
    if let Some(named) = std::env::var_os(variable) {
        return Some(named.into());
    }
    let path = std::env::var_os("PATH")?;
    let all = std::env::split_paths(&path).flat_map(|folder| names.iter().map(move |name| folder.join(name)));
    all.into_iter().find(|file| file.is_file())
}

/// Past the capture of the test harness, which keeps what passing tests print.
fn skipped(what: &str) {
    writeln!(std::io::stderr(), "SKIPPED: {what}").unwrap();
}

/// What a program prints; it must end well.
fn said(command: &mut Command) -> String {
    let output = command.stdin(Stdio::null()).output().unwrap();
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(output.status.success(), "{command:?}: {said}{}", String::from_utf8_lossy(&output.stderr));
    said
}

/// Sorts by accuracy, falling, then looks for rows of one width; what the page says of it ends up in its title.
const VISIT: &str = "<script>
const titled = (table) => Array.from(table.tHead.rows[0].cells).some((cell) => cell.textContent.startsWith('Top-1'));
const table = Array.from(document.querySelectorAll('table.data')).find(titled);
const header = Array.from(table.tHead.rows[0].cells).find((cell) => cell.textContent.startsWith('Top-1'));
header.click(); header.click();
const column = header.cellIndex;
const sorted = Array.from(table.tBodies[0].rows).map((row) => row.cells[column].textContent.slice(0, 5));
const filter = table.closest('.scroll').previousElementSibling.previousElementSibling;
filter.value = 'DOREFA 2/32';
filter.dispatchEvent(new Event('input'));
const shown = Array.from(table.tBodies[0].rows).filter((row) => !row.hidden).length;
const figure = document.querySelector('figure');
const parts = Array.from(figure.querySelectorAll('g[data-series]:not(.key)'));
const hidden = () => parts.filter((part) => part.style.display === 'none').length;
const key = Array.from(figure.querySelectorAll('g.key')).find((key) => key.getAttribute('data-series') === 'dorefa');
key.dispatchEvent(new MouseEvent('click'));
const off = hidden() > 0 && parts.every((p) => (p.style.display === 'none') === (p.getAttribute('data-series') === 'dorefa'));
key.dispatchEvent(new MouseEvent('click'));
const told = parts.some((part) => part.querySelector('title').textContent.startsWith('dorefa 2/32: 95.50'));
document.title = 'VISITED ' + sorted.join(' ') + ' | ' + shown + ' | ' + document.querySelectorAll('figure svg').length
  + ' | ' + off + ' ' + (hidden() === 0) + ' ' + told;
</script></body>";

#[test]
fn the_page_sorts_filters_and_hides_in_chromium() {
    let names = ["chromium", "chromium-browser", "google-chrome", "google-chrome-stable"];
    let Some(chromium) = program("HARNESS_CHROMIUM", &names) else {
        return skipped("no Chromium on PATH and none named by HARNESS_CHROMIUM; report.html was not opened");
    };
    let folder = written(&[Format::Html]);
    let page = fs::read_to_string(folder.path().join("report.html")).unwrap();
    let file = folder.path().join("visited.html");
    fs::write(&file, page.replace("</body>", VISIT)).unwrap();
    let mut command = Command::new(chromium);
    command.args(["--headless", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--dump-dom"]);
    command.arg(format!("--user-data-dir={}", folder.path().join("profile").display()));
    let dom = said(command.arg(format!("file://{}", file.display())));
    let (_, rest) = dom.split_once("<title>VISITED ").unwrap_or_else(|| panic!("the script did not run: {dom}"));
    let (sorted, rest) = rest.split_once(" | ").unwrap();
    assert_eq!(sorted, "98.00 96.20 95.50 80.00 71.00");
    let (shown, rest) = rest.split_once("</title>").unwrap().0.split_once(" | ").unwrap();
    assert_eq!(shown, "1");
    let (figures, legend) = rest.split_once(" | ").unwrap();
    assert_eq!(legend, "true true true", "a click on the legend hides a series and shows it; marks say what they are");
    assert!(figures.parse::<usize>().unwrap() >= 2, "{figures}");
}

#[test]
fn latex_compiles_every_table_and_figure() {
    let Some(latex) = program("HARNESS_LATEX", &["pdflatex", "tectonic"]) else {
        return skipped("neither pdflatex nor tectonic on PATH and none named by HARNESS_LATEX; no table was compiled");
    };
    let folder = written(&[Format::Latex, Format::Pdf]);
    let mut tables = files(&folder.path().join("tables"));
    tables.sort();
    assert!(tables.len() > 3);
    let mut figures = files(&folder.path().join("figures"));
    figures.retain(|file| file.ends_with(".tex"));
    figures.sort();
    assert!(figures.len() > 2);
    let tables = tables.iter().map(|file| format!("\\input{{tables/{file}}}\n"));
    // Many floats at once would not fit: each page is set before the next.
    let figures = figures.iter().map(|file| format!("\\input{{figures/{file}}}\\clearpage\n"));
    let inputs: String = tables.chain(figures).collect();
    let paper = format!(
        "\\documentclass{{article}}\n\\usepackage{{booktabs,graphicx,amssymb}}\n\\usepackage[T1]{{fontenc}}\n\
         \\begin{{document}}\n{inputs}\\end{{document}}\n"
    );
    fs::write(folder.path().join("paper.tex"), paper).unwrap();
    let mut command = Command::new(&latex);
    command.current_dir(folder.path());
    if latex.ends_with("pdflatex") {
        command.args(["-interaction=nonstopmode", "-halt-on-error"]);
    }
    said(command.arg("paper.tex"));
    assert!(fs::read(folder.path().join("paper.pdf")).unwrap().starts_with(b"%PDF"));
}

/// Reads every Parquet file with each library that is there and compares it with the CSV file beside it.
const READ: &str = "
import csv, glob, sys
readers = {}
try:
    import pyarrow.parquet
    readers['pyarrow'] = lambda file: pyarrow.parquet.read_table(file).to_pydict()
except ImportError:
    pass
try:
    import polars
    readers['polars'] = lambda file: polars.read_parquet(file).to_dict(as_series=False)
except ImportError:
    pass
for file in sorted(glob.glob(sys.argv[1] + '/*.parquet')):
    with open(file.replace('.parquet', '.csv'), newline='') as text:
        header, *rows = csv.reader(text)
    for name, read in readers.items():
        columns = read(file)
        assert list(columns) == header, (name, file)
        for place, values in enumerate(columns.values()):
            texts = [row[place] for row in rows]
            same = [('' if v is None else v) == t if isinstance(v, (str, type(None))) else float(t) == v
                    for v, t in zip(values, texts, strict=True)]
            assert all(same), (name, file, header[place])
print('READ BY', *readers)
";

#[test]
fn parquet_is_read_by_polars_and_pyarrow() {
    let Some(python) = program("HARNESS_PYTHON", &["python3"]) else {
        return skipped("no python3 on PATH and none named by HARNESS_PYTHON; no Parquet file was read by others");
    };
    let folder = written(&[Format::Csv, Format::Parquet]);
    let tables = folder.path().join("tables");
    let said = said(Command::new(python).args(["-c", READ]).arg(&tables));
    for library in ["polars", "pyarrow"] {
        if !said.contains(library) {
            skipped(&format!(
                "this Python has no {library} (HARNESS_PYTHON names another one); it read no Parquet file"
            ));
        }
    }
}

#[test]
fn poppler_draws_every_pdf_with_its_own_letters() {
    let (Some(fonts), Some(draw)) =
        (program("HARNESS_PDFFONTS", &["pdffonts"]), program("HARNESS_PDFTOPPM", &["pdftoppm"]))
    else {
        return skipped("no pdffonts and pdftoppm on PATH; no PDF was opened");
    };
    let folder = written(&[Format::Pdf]);
    let figures = folder.path().join("figures");
    let pdfs: Vec<String> = files(&figures).into_iter().filter(|file| file.ends_with(".pdf")).collect();
    assert!(pdfs.len() > 2);
    for file in pdfs {
        let listed = said(Command::new(&fonts).arg(figures.join(&file)));
        // Name, type, encoding, and whether it is embedded, a subset, and can be searched.
        let line = listed.lines().find(|line| line.contains("HarnessSans")).unwrap_or_else(|| panic!("{listed}"));
        assert!(line.contains("CID TrueType") && line.contains(" yes "), "{listed}");
        let mut command = Command::new(&draw);
        let output = command.args(["-r", "50", "-png"]).arg(figures.join(&file)).arg(figures.join("drawn")).output();
        let output = output.unwrap();
        assert!(output.status.success() && output.stderr.is_empty(), "{}", String::from_utf8_lossy(&output.stderr));
    }
}

fn files(folder: &Path) -> Vec<String> {
    fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect()
}
