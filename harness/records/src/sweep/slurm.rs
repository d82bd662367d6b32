//! What a sweep asks of a Slurm cluster: the section `slurm:` of a sweep file.
//!
//! ```yaml
//! slurm:
//!   partition: gpu
//!   gpus: 1
//!   time: 04:00:00
//!   setup: [module load cuda]
//! ```
//!
//! It says where trials run, not what they are, so it is no part of a trial's id.

use serde_json::{Map, json};

use crate::yaml::diagnostics::{Problem, suggest};
use crate::yaml::node::{Key, Node, Value};

/// What every task of the array asks for; a task runs one trial.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SlurmOptions {
    /// `--partition`.
    pub partition: Option<String>,
    /// `--account`.
    pub account: Option<String>,
    /// `--gres=gpu:...`: a number, or a type and a number, `a100:2`.
    pub gpus: Option<String>,
    /// `--cpus-per-task`; by default the threads of the trial that has most.
    pub cpus: Option<u64>,
    /// `--mem`, `16G`.
    pub memory: Option<String>,
    /// `--time`, as Slurm writes it: minutes, or `4:00:00`, or `1-12`.
    pub time: Option<String>,
    /// Tasks at the same time, over all arrays of a submission.
    pub throttle: Option<u64>,
    /// Seconds before the time limit at which a task is told to write its checkpoint.
    pub notice: u64,
    /// More options of sbatch, one each.
    pub extra: Vec<String>,
    /// Shell commands before the trial, in order; the task fails with the first that does.
    pub setup: Vec<String>,
}

impl Default for SlurmOptions {
    fn default() -> SlurmOptions {
        SlurmOptions {
            partition: None,
            account: None,
            gpus: None,
            cpus: None,
            memory: None,
            time: None,
            throttle: None,
            notice: NOTICE,
            extra: Vec::new(),
            setup: Vec::new(),
        }
    }
}

/// Slurm may send its signal up to a minute early, never late; what is left must hold a step and a checkpoint.
const NOTICE: u64 = 120;

/// Options of sbatch that the executor sets itself.
const OURS: [&str; 11] = [
    "array",
    "job-name",
    "output",
    "error",
    "open-mode",
    "signal",
    "requeue",
    "no-requeue",
    "wrap",
    "parsable",
    "chdir",
];

/// Form of a value.
#[derive(Clone, Copy)]
enum Form {
    Word,
    Count { min: u64 },
    Gpus,
    Memory,
    Time,
    Options,
    Commands,
}

/// Every key with its form and one sentence.
const KEYS: [(&str, Form, &str); 10] = [
    ("partition", Form::Word, "Partition."),
    ("account", Form::Word, "Account that is charged."),
    ("gpus", Form::Gpus, "GPUs of a task: a number, or a type and a number such as a100:1."),
    ("cpus", Form::Count { min: 1 }, "CPU cores of a task; absent: the threads of the trial that has most."),
    ("memory", Form::Memory, "Memory of a task, such as 16G; megabytes without a letter."),
    ("time", Form::Time, "Time limit of a task: minutes, 4:00:00 or 1-12; its trial goes on in the next one."),
    ("throttle", Form::Count { min: 1 }, "Tasks at the same time."),
    ("notice", Form::Count { min: 1 }, "Seconds before the time limit at which a trial writes its checkpoint (120)."),
    ("extra", Form::Options, "More options of sbatch, such as --constraint=a100."),
    ("setup", Form::Commands, "Shell commands before the trial, such as module load cuda."),
];

impl Form {
    fn expected(self) -> String {
        match self {
            Form::Word => "a name without blanks".to_owned(),
            Form::Count { min } => format!("a whole number of at least {min}"),
            Form::Gpus => "a number, or a type and a number such as `a100:1`".to_owned(),
            Form::Memory => "a size such as `16G`, with K, M, G or T".to_owned(),
            Form::Time => "minutes, or a time such as `4:00:00`, `1-12` or `1-12:30:00`".to_owned(),
            Form::Options => "a list of options such as `[--constraint=a100]`".to_owned(),
            Form::Commands => "a list of commands such as `[module load cuda]`".to_owned(),
        }
    }

    /// A value of one line; `None` when it is not of this form.
    fn scalar(self, node: &Node) -> Option<String> {
        let text = match &node.value {
            Value::Text(text) => text.clone(),
            Value::Int(number) => number.to_string(),
            _ => return None,
        };
        let right = match self {
            Form::Word => {
                !text.is_empty() && !text.starts_with('-') && text.chars().all(|c| c.is_ascii_graphic() && c != '#')
            }
            Form::Count { min } => text.parse::<u32>().is_ok_and(|n| u64::from(n) >= min),
            Form::Gpus => is_gpus(&text),
            Form::Memory => is_number(text.strip_suffix(['K', 'M', 'G', 'T', 'k', 'm', 'g', 't']).unwrap_or(&text)),
            Form::Time => is_time(&text),
            Form::Options | Form::Commands => false,
        };
        right.then_some(text)
    }

    fn lines(self, node: &Node) -> Result<Vec<String>, Problem> {
        let wrong = |node: &Node| {
            Problem::new(node.origin.clone(), format!("{} found, expected {}", node.value.describe(), self.expected()))
        };
        let Value::List(items) = &node.value else { return Err(wrong(node)) };
        let mut lines = Vec::new();
        for item in items {
            let text = item.text().filter(|text| !text.trim().is_empty() && !text.contains('\0'));
            let text = text.ok_or_else(|| wrong(item))?;
            if matches!(self, Form::Options) {
                check_option(item, text)?;
            }
            lines.push(text.to_owned());
        }
        Ok(lines)
    }
}

fn is_number(text: &str) -> bool {
    (1..=12).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_digit())
}

fn is_gpus(text: &str) -> bool {
    let (kind, number) = text.rsplit_once(':').map_or((None, text), |(kind, number)| (Some(kind), number));
    let kind = kind
        .is_none_or(|kind| !kind.is_empty() && kind.chars().all(|c| c.is_ascii_alphanumeric() || "._-".contains(c)));
    kind && is_number(number)
}

/// `m`, `m:s`, `h:m:s`, `d-h`, `d-h:m` or `d-h:m:s`.
fn is_time(text: &str) -> bool {
    let (days, rest) = text.split_once('-').map_or((None, text), |(days, rest)| (Some(days), rest));
    let parts: Vec<&str> = rest.split(':').collect();
    days.is_none_or(is_number) && parts.len() <= 3 && parts.iter().all(|part| is_number(part))
}

/// One line of an option, none that the executor needs for itself.
fn check_option(item: &Node, text: &str) -> Result<(), Problem> {
    let name = text.strip_prefix("--").map(|rest| rest.split(['=', ' ']).next().unwrap_or_default());
    let wrong = |message: String| Err(Problem::new(item.origin.clone(), message));
    match name {
        _ if text.contains(['\n', '\r']) => {
            wrong("an option of sbatch with a line break, expected one line".to_owned())
        }
        None if text.starts_with('-') => {
            wrong(format!("`{text}` is a short option, expected a long one such as `--qos=high`"))
        }
        None => wrong(format!("`{text}` is no option of sbatch, expected one such as `--qos=high`")),
        Some(name) if OURS.contains(&name) => {
            wrong(format!("`--{name}` is set by the executor, expected any other option of sbatch"))
        }
        Some(name) if KEYS.iter().any(|(key, ..)| *key == name) => {
            wrong(format!("`--{name}` has a key of its own, expected `{name}:` under `slurm:`"))
        }
        Some(_) => Ok(()),
    }
}

impl SlurmOptions {
    /// The time limit in seconds; `None` where there is none.
    #[must_use]
    pub fn limit_seconds(&self) -> Option<u64> {
        let text = self.time.as_deref()?;
        let (days, rest) = text.split_once('-').map_or((None, text), |(days, rest)| (days.parse().ok(), rest));
        let parts: Vec<u64> = rest.split(':').filter_map(|part| part.parse().ok()).collect();
        // Without days one number is minutes and two are minutes and seconds; with days they begin with hours.
        let (hours, minutes, seconds) = match (days, parts.as_slice()) {
            (None, [minutes]) => (0, *minutes, 0),
            (None, [minutes, seconds]) => (0, *minutes, *seconds),
            (Some(_), [hours]) => (*hours, 0, 0),
            (Some(_), [hours, minutes]) => (*hours, *minutes, 0),
            (_, [hours, minutes, seconds]) => (*hours, *minutes, *seconds),
            _ => return None,
        };
        let days: u64 = days.unwrap_or(0);
        Some(
            ((days.saturating_mul(24).saturating_add(hours)).saturating_mul(60).saturating_add(minutes))
                .saturating_mul(60)
                .saturating_add(seconds),
        )
    }

    /// Reads the section; every mistake goes into `problems`.
    pub(crate) fn read(pairs: &[(Key, Node)], problems: &mut Vec<Problem>) -> SlurmOptions {
        let mut options = SlurmOptions::default();
        for (key, node) in pairs {
            if let Err(problem) = options.set(key, node) {
                problems.push(problem);
            }
        }
        options
    }

    fn set(&mut self, key: &Key, node: &Node) -> Result<(), Problem> {
        let Some((name, form, _)) = KEYS.iter().find(|(name, ..)| *name == key.name) else {
            let problem = Problem::new(key.origin.clone(), format!("unknown key `slurm.{}`", key.name));
            return Err(problem.hint(suggest(&key.name, KEYS.iter().map(|(name, ..)| *name))));
        };
        let default = SlurmOptions::default();
        if node.value == Value::Null {
            match *name {
                "partition" => self.partition = None,
                "account" => self.account = None,
                "gpus" => self.gpus = None,
                "cpus" => self.cpus = None,
                "memory" => self.memory = None,
                "time" => self.time = None,
                "throttle" => self.throttle = None,
                "notice" => self.notice = default.notice,
                "extra" => self.extra = default.extra,
                _ => self.setup = default.setup,
            }
            return Ok(());
        }
        if matches!(form, Form::Options | Form::Commands) {
            let lines = form.lines(node)?;
            *(if *name == "extra" { &mut self.extra } else { &mut self.setup }) = lines;
            return Ok(());
        }
        let Some(text) = form.scalar(node) else {
            let message = format!("`slurm.{name}` is {}, expected {}", node.value.describe(), form.expected());
            return Err(Problem::new(node.origin.clone(), message));
        };
        let count = text.parse().ok();
        match *name {
            "partition" => self.partition = Some(text),
            "account" => self.account = Some(text),
            "gpus" => self.gpus = Some(text),
            "cpus" => self.cpus = count,
            "memory" => self.memory = Some(text),
            "time" => self.time = Some(text),
            "throttle" => self.throttle = count,
            _ => self.notice = count.unwrap_or(default.notice),
        }
        Ok(())
    }
}

/// The section in the JSON Schema of sweep files.
pub(crate) fn schema() -> serde_json::Value {
    let property = |form: Form, doc: &str| {
        let mut schema = match form {
            Form::Count { min } => json!({"type": "integer", "minimum": min, "maximum": u32::MAX}),
            Form::Word | Form::Gpus | Form::Memory | Form::Time => json!({"type": ["string", "integer"]}),
            Form::Options => json!({"type": "array", "items": {"type": "string", "pattern": "^--"}}),
            Form::Commands => json!({"type": "array", "items": {"type": "string"}}),
        };
        schema = json!({"anyOf": [schema, {"type": "null"}]});
        schema["description"] = doc.into();
        schema
    };
    let properties: Map<String, serde_json::Value> =
        KEYS.iter().map(|(name, form, doc)| ((*name).to_owned(), property(*form, doc))).collect();
    json!({
        "type": ["object", "null"], "additionalProperties": false, "properties": properties,
        "description": "What `--executor slurm` asks of the cluster; no part of a trial's id."
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::yaml::node;

    fn read(yaml: &str) -> (SlurmOptions, Vec<String>) {
        let node = node::parse("sweep.yaml", yaml.as_bytes()).unwrap();
        let mut problems = Vec::new();
        let options = SlurmOptions::read(node.pairs().unwrap(), &mut problems);
        (options, problems.into_iter().map(|problem| problem.message).collect())
    }

    #[test]
    fn a_section_is_read_as_written() {
        let (options, problems) = read(
            "{partition: gpu, account: 42, gpus: 'a100:2', cpus: 4, memory: 16G, time: 04:00:00, throttle: 8, notice: 60,
            extra: [--qos=high, --constraint=a100|h100], setup: [module load cuda, '. env.sh']}",
        );
        assert_eq!(problems, [""; 0]);
        let text = |text: &str| Some(text.to_owned());
        let expected = SlurmOptions {
            partition: text("gpu"),
            account: text("42"),
            gpus: text("a100:2"),
            cpus: Some(4),
            memory: text("16G"),
            time: text("04:00:00"),
            throttle: Some(8),
            notice: 60,
            extra: vec!["--qos=high".to_owned(), "--constraint=a100|h100".to_owned()],
            setup: vec!["module load cuda".to_owned(), ". env.sh".to_owned()],
        };
        assert_eq!(options, expected);
        assert_eq!(read("{cpus: null, notice: null, gpus: 1}").0.gpus, text("1"));
    }

    #[test]
    fn times_are_as_long_as_slurm_says() {
        for (time, seconds) in [
            ("30", 1800),
            ("2:30", 150),
            ("4:00:00", 14400),
            ("1-12", 129_600),
            ("1-0:30", 88_200),
            ("1-2:3:4", 93_784),
        ] {
            let options = SlurmOptions { time: Some(time.to_owned()), ..SlurmOptions::default() };
            assert_eq!(options.limit_seconds(), Some(seconds), "{time}");
        }
    }

    #[test]
    fn what_sbatch_would_refuse_or_misread_is_refused() {
        for (yaml, expected) in [
            ("{partitoin: gpu}", "unknown key `slurm.partitoin`"),
            ("{partition: a b}", "`slurm.partition` is the text `a b`, expected a name without blanks"),
            ("{partition: --wrap=x}", "`slurm.partition` is the text `--wrap=x`, expected a name without blanks"),
            ("{cpus: 0}", "`slurm.cpus` is `0`, expected a whole number of at least 1"),
            (
                "{gpus: 'a100:'}",
                "`slurm.gpus` is the text `a100:`, expected a number, or a type and a number such as `a100:1`",
            ),
            ("{memory: 16 GB}", "`slurm.memory` is the text `16 GB`, expected a size such as `16G`, with K, M, G or T"),
            (
                "{time: 4h}",
                "`slurm.time` is the text `4h`, expected minutes, or a time such as `4:00:00`, `1-12` or `1-12:30:00`",
            ),
            ("{extra: [--array=0-3]}", "`--array` is set by the executor, expected any other option of sbatch"),
            ("{extra: [--time=3]}", "`--time` has a key of its own, expected `time:` under `slurm:`"),
            ("{extra: [qos=high]}", "`qos=high` is no option of sbatch, expected one such as `--qos=high`"),
            ("{extra: [-p gpu]}", "`-p gpu` is a short option, expected a long one such as `--qos=high`"),
            ("{extra: [\"--qos=a\\nrm\"]}", "an option of sbatch with a line break, expected one line"),
            (
                "{setup: module load}",
                "the text `module load` found, expected a list of commands such as `[module load cuda]`",
            ),
        ] {
            assert_eq!(read(yaml).1, [expected], "{yaml}");
        }
    }
}
