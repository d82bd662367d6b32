//! `report.paper` of a sweep file: the table `paper` with the rows and columns of a paper's own table.

use serde_json::{Value as Json, json};

use crate::config::catalog::Catalog;
use crate::config::trial::Trial;
use crate::config::trial_config::{Init, TrialConfig};
use crate::sweep::filter::Filter;
use crate::yaml::diagnostics::{Problem, suggest};
use crate::yaml::node::{Node, Origin, Value};

/// A table whose cells hold the trials that have what both their row and their column ask for.
#[derive(Debug, Clone, PartialEq)]
pub struct PaperLayout {
    /// Heading of the table.
    pub title: Option<String>,
    /// The paper whose published numbers stand beside ours; `None`: that of any paper.
    pub source: Option<String>,
    /// Headings of the columns that name the rows, at least one.
    pub heads: Vec<String>,
    /// The rows from top to bottom, at least one.
    pub rows: Vec<PaperLine>,
    /// The columns from left to right, at least one; each has one name.
    pub columns: Vec<PaperLine>,
    /// What cells show whose row and column do not say it.
    pub value: PaperValue,
}

/// A row or a column.
#[derive(Debug, Clone, PartialEq)]
pub struct PaperLine {
    /// Its name; of a row, one text for each of [`PaperLayout::heads`].
    pub name: Vec<String>,
    /// What its trials have; `None`: nothing in particular.
    pub filter: Option<Filter>,
    /// What its cells show.
    pub value: Option<PaperValue>,
    /// Which published numbers its cells show.
    pub published: Shown,
    /// Where it stands in the file.
    origin: Origin,
}

/// Which published numbers a cell shows.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum Shown {
    /// That of the same data set and model, beside our result.
    #[default]
    Beside,
    /// That of another data set or model, in the place of our result.
    Alone(PublishedPlace),
    /// None: `published: none`.
    Nothing,
}

/// The data set and the model of a published number.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PublishedPlace {
    /// Name of the data set.
    pub dataset: String,
    /// Name of the model.
    pub model: String,
}

/// What a cell shows, on the test set after the last epoch.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub enum PaperValue {
    /// Percent of samples that are right.
    #[default]
    Top1,
    /// Percent of samples whose class is among the five likeliest.
    Top5,
    /// Percent of samples that are wrong.
    Top1Error,
    /// Percent of samples whose class is not among the five likeliest.
    Top5Error,
    /// Perplexity.
    Perplexity,
}

impl PaperValue {
    /// All of them.
    pub const ALL: [PaperValue; 5] =
        [PaperValue::Top1, PaperValue::Top5, PaperValue::Top1Error, PaperValue::Top5Error, PaperValue::Perplexity];

    /// Name in sweep files.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            PaperValue::Top1 => "top1",
            PaperValue::Top5 => "top5",
            PaperValue::Top1Error => "top1_error",
            PaperValue::Top5Error => "top5_error",
            PaperValue::Perplexity => "perplexity",
        }
    }
}

impl PaperLine {
    fn fits(&self, config: &TrialConfig) -> bool {
        self.filter.as_ref().is_none_or(|filter| filter.matches(config))
    }
}

impl PaperLayout {
    /// Whether a cell holds the trials of a configuration.
    #[must_use]
    pub fn holds(row: &PaperLine, column: &PaperLine, config: &TrialConfig) -> bool {
        row.fits(config) && column.fits(config)
    }

    /// What a cell shows.
    #[must_use]
    pub fn value_of(&self, row: &PaperLine, column: &PaperLine) -> PaperValue {
        row.value.or(column.value).unwrap_or(self.value)
    }

    pub(crate) fn from_node(node: &Node, catalog: &Catalog) -> Result<PaperLayout, Problem> {
        let Value::Map(pairs) = &node.value else {
            return Err(expected(node, "report.paper", "a map with `rows` and `columns`"));
        };
        let (mut title, mut source, mut heads, mut value) = (None, None, vec![HEAD.to_owned()], PaperValue::default());
        let (mut rows, mut columns) = (None, None);
        for (key, node) in pairs {
            match key.name.as_str() {
                "title" => title = Some(text(node, "report.paper.title")?),
                "source" => source = Some(known_source(node, catalog)?),
                "heads" => heads = names(node, "report.paper.heads")?,
                "value" => value = value_from(node)?,
                "rows" => rows = Some(node),
                "columns" => columns = Some(node),
                other => {
                    let problem = Problem::new(key.origin.clone(), format!("unknown key `report.paper.{other}`"));
                    return Err(problem.hint(suggest(other, KEYS)));
                }
            }
        }
        let section = |name: &str, found: Option<&Node>, names: usize| match found {
            Some(node) => lines(node, name, names, catalog),
            None => Err(Problem::new(node.origin.clone(), format!("`report.paper.{name}` is missing"))),
        };
        let rows = section("rows", rows, heads.len())?;
        let columns = section("columns", columns, 1)?;
        for column in &columns {
            let alone = |line: &PaperLine| matches!(line.published, Shown::Alone(_));
            let twice =
                |row: &&PaperLine| (row.value.is_some() && column.value.is_some()) || (alone(row) && alone(column));
            if let Some(row) = rows.iter().find(twice) {
                let message = "a row and a column both say `value` or `published`, expected one of the two";
                return Err(Problem::new(column.origin.clone(), message).hint(format!("the row {}", row.origin)));
            }
        }
        Ok(PaperLayout { title, source, heads, rows, columns, value })
    }

    /// Cells that hold several configurations, which have no common mean, and sentences on lines without a trial.
    pub(crate) fn check(&self, trials: &[&Trial]) -> (Vec<Problem>, Vec<String>) {
        let (mut problems, mut notes) = (Vec::new(), Vec::new());
        for (what, lines) in [("row", &self.rows), ("column", &self.columns)] {
            for line in lines.iter().filter(|line| !trials.iter().any(|trial| line.fits(&trial.config))) {
                notes.push(format!("the {what} `{}` of `report.paper` fits no trial", line.name.join(", ")));
            }
        }
        for row in &self.rows {
            for column in &self.columns {
                let mut held = trials.iter().filter(|trial| PaperLayout::holds(row, column, &trial.config));
                let Some(first) = held.next() else { continue };
                if let Some(other) = held.find(|trial| !alike(&trial.config, &first.config)) {
                    let message = format!(
                        "the cell of this row and the column `{}` holds several configurations (trials {} and {}), \
                         expected trials that differ in the seed alone",
                        column.name.join(", "),
                        first.id,
                        other.id
                    );
                    let problem = Problem::new(row.origin.clone(), message);
                    problems.push(problem.hint("add a key to `where` of the row or of the column"));
                }
            }
        }
        (problems, notes)
    }
}

/// What trials are called that no other heading is given for.
const HEAD: &str = "Method";
const KEYS: [&str; 6] = ["title", "source", "heads", "rows", "columns", "value"];
const LINE_KEYS: [&str; 4] = ["name", "where", "value", "published"];

/// True where two configurations differ in nothing but the seed. Trials of other seeds build on other trials.
fn alike(one: &TrialConfig, other: &TrialConfig) -> bool {
    let bare = |config: &TrialConfig| {
        let mut config = config.clone();
        config.train.seed = 0;
        if let Some(Init::Trial(id)) = &mut config.train.init {
            id.clear();
        }
        if let Some(distill) = &mut config.train.distill {
            distill.teacher.clear();
        }
        config
    };
    bare(one) == bare(other)
}

fn lines(node: &Node, section: &str, names: usize, catalog: &Catalog) -> Result<Vec<PaperLine>, Problem> {
    let place = format!("report.paper.{section}");
    match &node.value {
        Value::List(items) if !items.is_empty() => {
            items.iter().map(|item| line(item, &place, names, catalog)).collect()
        }
        _ => Err(expected(node, &place, "a list of maps such as `[{name: DoReFa, where: {quant.weights.bits: 2}}]`")),
    }
}

fn line(node: &Node, place: &str, count: usize, catalog: &Catalog) -> Result<PaperLine, Problem> {
    let Value::Map(pairs) = &node.value else {
        return Err(expected(node, place, "a map such as `{name: DoReFa, where: {quant.weights.bits: 2}}`"));
    };
    let (published, origin) = (Shown::default(), node.origin.clone());
    let mut line = PaperLine { name: Vec::new(), filter: None, value: None, published, origin };
    for (key, node) in pairs {
        match key.name.as_str() {
            "name" => line.name = names(node, &format!("{place}.name"))?,
            "where" => line.filter = Some(Filter::from_node(node, catalog)?),
            "value" => line.value = Some(value_from(node)?),
            "published" => line.published = shown(node)?,
            other => {
                let problem = Problem::new(key.origin.clone(), format!("unknown key `{place}.{other}`"));
                return Err(problem.hint(suggest(other, LINE_KEYS)));
            }
        }
    }
    if line.name.len() != count {
        let expected = if count == 1 { "one text".to_owned() } else { format!("{count} texts, one a heading") };
        return Err(Problem::new(
            node.origin.clone(),
            format!("the name in `{place}` has {} parts, expected {expected}", line.name.len()),
        ));
    }
    Ok(line)
}

fn shown(node: &Node) -> Result<Shown, Problem> {
    if node.text() == Some("none") {
        return Ok(Shown::Nothing);
    }
    let part = |name: &str| node.get(name).and_then(Node::text).map(str::to_owned);
    match (node.pairs().map(<[_]>::len), part("dataset"), part("model")) {
        (Some(2), Some(dataset), Some(model)) => Ok(Shown::Alone(PublishedPlace { dataset, model })),
        _ => Err(expected(node, "published", "`none`, or a map such as `{dataset: imagenet, model: resnet18}`")),
    }
}

fn value_from(node: &Node) -> Result<PaperValue, Problem> {
    let known = PaperValue::ALL.map(PaperValue::name);
    let found = node.text().and_then(|text| PaperValue::ALL.into_iter().find(|value| value.name() == text));
    found.ok_or_else(|| {
        let message = format!("`value` is {}", node.value.describe());
        Problem::new(node.origin.clone(), message).hint(suggest(node.text().unwrap_or_default(), known))
    })
}

fn known_source(node: &Node, catalog: &Catalog) -> Result<String, Problem> {
    let source = text(node, "report.paper.source")?;
    if catalog.papers.is_empty() || catalog.papers.contains(&source) {
        return Ok(source);
    }
    let problem = Problem::new(node.origin.clone(), format!("no published number is known of `{source}`"));
    Err(problem.hint(suggest(&source, catalog.papers.iter().map(String::as_str))))
}

/// A text, or a list of texts, numbers included.
fn names(node: &Node, place: &str) -> Result<Vec<String>, Problem> {
    match &node.value {
        Value::List(items) if !items.is_empty() => items.iter().map(|item| text(item, place)).collect(),
        _ => Ok(vec![text(node, place)?]),
    }
}

fn text(node: &Node, place: &str) -> Result<String, Problem> {
    match &node.value {
        Value::Text(text) => Ok(text.clone()),
        Value::Int(number) => Ok(number.to_string()),
        _ => Err(expected(node, place, "a text")),
    }
}

fn expected(node: &Node, place: &str, what: &str) -> Problem {
    Problem::new(node.origin.clone(), format!("`{place}` is {}, expected {what}", node.value.describe()))
}

/// The section in the schema of sweep files; `conditions` are the keys that `where` may have.
pub(crate) fn schema(catalog: &Catalog, conditions: &Json) -> Json {
    let name = json!({"type": ["string", "integer"]});
    let names = json!({"anyOf": [name, {"type": "array", "minItems": 1, "items": name}]});
    let value = json!({"enum": PaperValue::ALL.map(PaperValue::name)});
    let place = json!({
        "type": "object", "required": ["dataset", "model"], "additionalProperties": false,
        "properties": {"dataset": {"type": "string"}, "model": {"type": "string"}}
    });
    let line = |name: &Json| {
        json!({
            "type": "object", "required": ["name"], "additionalProperties": false,
            "properties": {
                "name": name,
                "where": {"type": "object", "minProperties": 1, "properties": conditions, "additionalProperties": false},
                "value": value,
                "published": {"anyOf": [{"const": "none"}, place], "description": "Show no published number, or in the place of our results that of this data set and model."}
            }
        })
    };
    let lines = |name: &Json| json!({"type": "array", "minItems": 1, "items": line(name)});
    let source = if catalog.papers.is_empty() { json!({"type": "string"}) } else { json!({"enum": catalog.papers}) };
    json!({
        "type": "object", "required": ["rows", "columns"], "additionalProperties": false,
        "description": "Rows and columns of the table `paper`, as in a paper's own table.",
        "properties": {
            "title": name, "source": source, "heads": names, "value": value,
            "rows": lines(&names), "columns": lines(&names)
        }
    })
}
