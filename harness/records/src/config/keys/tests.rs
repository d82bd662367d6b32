use std::collections::BTreeSet;

use serde_json::{Map, Value};

use super::*;
use crate::config::{Calibrate, Distill, OptimizerConfig, ScheduleConfig, TrainConfig};

/// The fields of `train` that are described elsewhere: choices with keys of their own, and references to trials.
const NOT_IN_THE_TABLE: [&str; 5] = ["optimizer", "schedule", "init", "distill", "calibrate"];

fn object(value: impl serde::Serialize) -> Map<String, Value> {
    match serde_json::to_value(value).unwrap() {
        Value::Object(map) => map,
        other => panic!("{other} is no map"),
    }
}

fn names(table: &[KeyDoc]) -> BTreeSet<String> {
    let names: BTreeSet<String> = table.iter().map(|row| row.name.to_owned()).collect();
    assert_eq!(names.len(), table.len(), "a key has two rows");
    names
}

/// The default of every row, a value in range where the key must be given.
fn defaults(table: &[KeyDoc]) -> Map<String, Value> {
    let required = |kind| match kind {
        KeyKind::AscendingInts => serde_json::json!([1]),
        KeyKind::Int { min, .. } => serde_json::json!(min),
        other => panic!("no required key is {other} so far"),
    };
    table.iter().map(|row| (row.name.to_owned(), row.default.json().unwrap_or_else(|| required(row.kind)))).collect()
}

#[test]
fn every_field_of_the_training_has_a_row_and_every_row_a_field() {
    let calibrate: Calibrate = serde_json::from_value(defaults(CALIBRATE).into()).unwrap();
    let whole = TrainConfig { calibrate: Some(calibrate), ..TrainConfig::default() };
    let mut fields: BTreeSet<String> = object(whole).into_iter().map(|(name, _)| name).collect();
    for name in NOT_IN_THE_TABLE {
        assert!(fields.remove(name), "TrainConfig has no field `{name}`");
    }
    assert_eq!(fields, names(TRAIN));
}

/// A record older than a key means the same as a sweep file that does not give it.
#[test]
fn a_key_that_old_records_lack_has_the_default_of_the_table() {
    let written = object(TrainConfig::default());
    let mut optional: BTreeSet<&str> = BTreeSet::new();
    for row in TRAIN {
        let mut older = written.clone();
        older.remove(row.name);
        if let Ok(read) = serde_json::from_value::<TrainConfig>(older.into()) {
            assert_eq!(object(read)[row.name], row.default.json().unwrap(), "{}", row.name);
            optional.insert(row.name);
        }
    }
    let rest = TRAIN.iter().map(|row| row.name).filter(|name| !IN_EVERY_RECORD.contains(name)).collect();
    assert_eq!(optional, rest);
}

#[test]
fn every_variant_has_the_fields_of_its_table() {
    for table in OPTIMIZERS {
        let mut keys = defaults(table.fields);
        keys.insert("name".to_owned(), table.name.into());
        let read: OptimizerConfig = serde_json::from_value(Value::Object(keys.clone())).unwrap();
        assert_eq!(object(read), keys, "{}", table.name);
    }
    for table in SCHEDULES {
        let mut keys = defaults(table.fields);
        keys.insert("name".to_owned(), table.name.into());
        let read: ScheduleConfig = serde_json::from_value(Value::Object(keys.clone())).unwrap();
        assert_eq!(object(read), keys, "{}", table.name);
    }
    let keys = defaults(CALIBRATE);
    let read: Calibrate = serde_json::from_value(Value::Object(keys.clone())).unwrap();
    assert_eq!(object(read), keys);
    let mut keys = defaults(DISTILL);
    keys.insert("teacher".to_owned(), "0123456789abcdef".into());
    let read: Distill = serde_json::from_value(Value::Object(keys.clone())).unwrap();
    assert_eq!(object(read), keys);
}

#[test]
fn every_default_is_accepted_by_its_own_range() {
    let variants = OPTIMIZERS.iter().chain(SCHEDULES).map(|variant| variant.fields);
    for row in [TRAIN, DISTILL, CALIBRATE].into_iter().chain(variants).flatten() {
        let Some(default) = row.default.json().filter(|value| !value.is_null()) else { continue };
        let node = crate::yaml::node::parse("default", default.to_string().as_bytes()).unwrap();
        assert_eq!(row.kind.accept_node(&node), Some(default), "{}", row.name);
    }
}
