//! The commands that only tell.

use crate::support::Workplace;
use serde_json::Value;

const COMMANDS: &[&str] = &[
    "sweep",
    "status",
    "cancel",
    "report",
    "track",
    "eval",
    "export",
    "runs",
    "verify",
    "bench",
    "quantize",
    "batchnorm",
    "data",
    "methods",
    "models",
    "doctor",
    "schema",
    "completions",
];

fn json(arguments: &[&str]) -> Value {
    let ran = Workplace::new("").run(arguments);
    assert_eq!(ran.code, 0, "{ran:?}");
    serde_json::from_str(&ran.stdout).unwrap()
}

#[test]
fn methods_tell_names_bits_roles_and_options() {
    let methods = json(&["methods", "--json"]);
    let find = |name: &str| methods.as_array().unwrap().iter().find(|m| m["name"] == name).unwrap();
    assert!(find("float")["bits"].is_null());
    assert_eq!(find("dorefa")["bits"], serde_json::json!({"min": 1, "max": 8}));
    assert_eq!(find("uniform")["options"][0]["name"], "range");
    assert_eq!(find("uniform")["roles"]["gradient"]["supported"], false);
    assert_eq!(find("dorefa")["deployable"], serde_json::json!({"supported": true, "except": []}));
    assert_eq!(find("float")["deployable"]["supported"], false);
    let except = &find("xnor")["deployable"]["except"][0];
    assert_eq!((&except["option"], &except["value"]), (&"map".into(), &true.into()));
    let table = Workplace::new("").run(&["methods"]).stdout;
    assert!(table.contains(&format!(
        "cannot be stored as codes and levels with map: true: {}",
        except["reason"].as_str().unwrap()
    )));
    assert!(methods.as_array().unwrap().iter().all(|m| table.contains(m["name"].as_str().unwrap())));
}

#[test]
fn models_and_schema_are_json() {
    assert!(json(&["models", "--json"]).as_array().unwrap().iter().any(|m| m["name"] == "lenet"));
    let schema = json(&["schema"]);
    assert!(schema["$schema"].as_str().unwrap().contains("2020-12"));
    assert!(schema.to_string().contains("dorefa"));
}

#[test]
fn doctor_looks_at_the_machine() {
    let findings = json(&["doctor", "--json"]);
    assert!(findings["libtorch"]["version"].as_str().unwrap().starts_with("2.11.0"));
    assert!(findings["cpu"]["cores"].as_u64().unwrap() >= 1);
    assert!(!findings["cuda"]["detail"].as_str().unwrap().is_empty());
    let digits = findings["datasets"].as_array().unwrap().iter().find(|d| d["name"] == "digits").unwrap();
    assert_eq!(digits["found"], true);
}

#[test]
fn every_command_has_help_with_an_example() {
    let workplace = Workplace::new("");
    for command in COMMANDS {
        let ran = workplace.run(&[command, "--help"]);
        assert_eq!(ran.code, 0, "{command}");
        assert!(ran.stdout.contains("harness "), "{command}: {}", ran.stdout);
        assert!(ran.stdout.contains("Example"), "{command}: {}", ran.stdout);
    }
    for shell in ["bash", "zsh", "fish"] {
        assert!(workplace.run(&["completions", shell]).stdout.contains("sweep"), "{shell}");
    }
}
