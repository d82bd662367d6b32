//! Ids: the same for the same trial however it is written, different for every other one, and never changing.

use std::collections::BTreeMap;

use harness_records::catalog::{Catalog, Entry};
use harness_records::config::{
    Calibrate, DatasetChoice, Distill, Init, MethodChoice, ModelChoice, OptimizerConfig, Precision, QuantConfig,
    RangeChoice, ScheduleConfig, TrainConfig, TrialConfig,
};
use harness_records::config::{KeyDefault, KeyDoc, KeyKind};
use harness_records::options::{About, OptionValue, Options};
use harness_records::spec::{config_yaml, parse_config};
use harness_records::trial::trial_id;
use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;

use crate::support::{catalog, good};

fn id(yaml: &str) -> String {
    good(yaml, &[]).trials()[0].id.clone()
}

/// If one of these changes, every record that anybody has is orphaned. Beside each id is the text it is the hash of.
#[test]
fn ids_never_change() {
    for (yaml, want, canonical) in [
        (
            "{}",
            "aeef2ef7f5624bd0",
            r#"{"dataset":{"name":"digits"},"model":{"name":"lenet"},"quant":{"activations":{"method":"float"},"gradients":{"method":"float"},"weights":{"method":"float"}},"train":{"optimizer":{"name":"adam"},"schedule":{"name":"constant"}}}"#,
        ),
        (
            "base: {train: {seed: 1}, quant: {weights: {method: uniform, bits: 2}}}",
            "1568aa7260c6fa8f",
            r#"{"dataset":{"name":"digits"},"model":{"name":"lenet"},"quant":{"activations":{"method":"float"},"gradients":{"method":"float"},"weights":{"bits":2,"method":"uniform"}},"train":{"optimizer":{"name":"adam"},"schedule":{"name":"constant"},"seed":1}}"#,
        ),
        (
            "base: {dataset: {name: mnist, normalize: false, root: /data}, model: {name: mlp, hidden: 32}, \
             train: {optimizer: {name: sgd, lr: 0.05, nesterov: true}, \
             schedule: {name: multi-step, milestones: [3, 6]}, clip_norm: 1, limit: 1000}, quant: {keep_float: []}}",
            "466c082c2daa52a9",
            r#"{"dataset":{"name":"mnist","normalize":false},"model":{"hidden":32,"name":"mlp"},"quant":{"activations":{"method":"float"},"gradients":{"method":"float"},"keep_float":[],"weights":{"method":"float"}},"train":{"clip_norm":1.0,"limit":1000,"optimizer":{"lr":0.05,"name":"sgd","nesterov":true},"schedule":{"milestones":[3,6],"name":"multi-step"}}}"#,
        ),
        (
            "base: {train: {optimizer: {name: adamw, eps: 1.0e-9, weight_decay: 0.1}, seed: 18446744073709551615}, \
             quant: {activations: {method: balanced, bits: 3, momentum: 0.1}, \
             gradients: {method: uniform, bits: 8}, keep_float: [last, conv2, first]}}",
            "716e35cd16f00c29",
            r#"{"dataset":{"name":"digits"},"model":{"name":"lenet"},"quant":{"activations":{"bits":3,"method":"balanced","momentum":0.1},"gradients":{"bits":8,"method":"uniform"},"keep_float":["conv2","first","last"],"weights":{"method":"float"}},"train":{"optimizer":{"eps":1e-9,"name":"adamw","weight_decay":0.1},"schedule":{"name":"constant"},"seed":18446744073709551615}}"#,
        ),
    ] {
        assert_eq!(&blake3::hash(canonical.as_bytes()).to_hex()[..16], id(yaml), "not the hash of\n{canonical}");
        assert_eq!(id(yaml), want);
    }
}

#[test]
fn writing_defaults_out_changes_nothing() {
    let plain = id("base: {quant: {weights: {method: uniform, bits: 2}}}");
    for same in [
        "base: {quant: {weights: {method: uniform, bits: 2, per: tensor, range: symmetric}}}",
        "base: {quant: {weights: {bits: 2, method: uniform}, activations: {method: float}, keep_float: [first, last]}}",
        "base: {quant: {keep_float: [last, first], weights: {method: uniform, bits: 2}}}",
        "base: {train: {epochs: 10, batch: 128, seed: 0, clip_norm: null}, quant: {weights: {method: uniform, bits: 2}}}",
        "base: {train: {optimizer: {name: adam, lr: 0.001, betas: [0.9, 0.999]}}, quant.weights: {method: uniform, bits: 2}}",
        "base: {dataset: {name: digits}, model: {name: lenet, width: 20}, quant.weights: {method: uniform, bits: 2}}",
        // Where data lie is not what they are.
        "base: {dataset: {name: digits, root: /data}, quant.weights: {method: uniform, bits: 2}}",
        "{name: other, base: {quant.weights: {method: uniform, bits: 2}}}",
    ] {
        assert_eq!(id(same), plain, "{same}");
    }
}

#[test]
fn every_other_key_changes_the_id() {
    let base = "dataset: {name: mnist}, model: {name: lenet}, train: {optimizer: {name: sgd}}, quant: {weights: {method: stochastic, bits: 1}}";
    let mut seen = BTreeMap::from([(id(&format!("base: {{{base}}}")), "base".to_owned())]);
    for set in [
        "dataset.name=digits",
        "dataset.normalize=false",
        "model.name=mlp",
        "model.width=21",
        "train.epochs=11",
        "train.batch=127",
        "train.clip_norm=1",
        "train.label_smoothing=0.1",
        "train.seed=1",
        "train.threads=2",
        "train.deterministic=false",
        "train.limit=100",
        "train.limit_test=100",
        "train.accumulate=2",
        "train.ema=0.99",
        "train.amp=bf16",
        "train.bptt=35",
        "train.optimizer.name=adam",
        "train.optimizer.name=adamw",
        "train.optimizer.lr=0.2",
        "train.optimizer.momentum=0.8",
        "train.optimizer.nesterov=true",
        "train.optimizer.weight_decay=0.1",
        "train.schedule.name=cosine",
        "train.schedule={name: cosine, end: 0.1}",
        "train.schedule.warmup=1",
        "train.schedule={name: step, every: 3}",
        "train.schedule={name: multi-step, milestones: [3]}",
        "quant.weights={method: float}",
        "quant.weights.bits=2",
        "quant.weights={method: uniform, bits: 1}",
        "quant.weights={method: xnor}",
        "quant.weights.average=eval",
        "quant.weights.noise=false",
        "quant.weights.skip=2",
        "quant.weights.tag=x",
        "quant.activations={method: uniform, bits: 1}",
        "quant.gradients={method: uniform, bits: 1}",
        "quant.keep_float=[]",
        "quant.keep_float=[first]",
        "quant.keep_float=[first, last, conv2]",
    ] {
        let id = good(&format!("base: {{{base}}}"), &[set]).trials()[0].id.clone();
        let clash = seen.insert(id, set.to_owned());
        assert_eq!(clash, None, "{set}");
    }
    let path = good(&format!("base: {{{base}}}"), &["quant.weights.table=/a/path"]).trials()[0].id.clone();
    assert_eq!(seen.get(&path).map(String::as_str), Some("base"), "a path is not part of the id");
}

#[test]
fn an_option_added_later_leaves_old_ids_alone() {
    static LATER: About = About {
        name: "uniform",
        summary: "",
        source: "",
        options: &[KeyDoc { name: "invented", kind: KeyKind::Bool, default: KeyDefault::Bool(false), doc: "" }],
    };
    let config = good("base: {quant.weights: {method: uniform, bits: 2}}", &[]).trials()[0].config.clone();
    let mut newer = config.clone();
    let value = |v| [("invented".to_owned(), OptionValue::Bool(v))];
    newer.quant.weights.options =
        newer.quant.weights.options.iter().map(|(n, v)| (n.to_owned(), v.clone())).chain(value(false)).collect();
    let mut methods = catalog().methods;
    let options: Vec<KeyDoc> = methods[1].about.options.iter().chain(LATER.options).copied().collect();
    let about = About { options: Box::leak(options.into_boxed_slice()), ..LATER };
    methods[1] = Entry { about: Box::leak(Box::new(about)), ..methods[1] };
    let later = Catalog { methods, ..catalog() };
    assert_eq!(trial_id(&newer, &later), trial_id(&config, &catalog()));
    newer.quant.weights.options =
        newer.quant.weights.options.iter().map(|(n, v)| (n.to_owned(), v.clone())).chain(value(true)).collect();
    assert_ne!(trial_id(&newer, &later), trial_id(&config, &catalog()));
}

/// Any configuration that a sweep file could resolve to.
pub(crate) fn config() -> impl Strategy<Value = TrialConfig> {
    (dataset(), model(), train(), quant()).prop_map(|(dataset, model, train, quant)| TrialConfig {
        dataset,
        model,
        train,
        quant,
    })
}

/// Options of an entry of the catalog, some given.
fn options(entry: &Entry) -> impl Strategy<Value = Options> + use<> {
    let docs = entry.about.options;
    let each: Vec<_> = docs.iter().map(|doc| option::of(value(doc.kind))).collect();
    each.prop_map(move |values| {
        let given = docs.iter().zip(values).filter_map(|(doc, value)| Some((doc.name.to_owned(), value?))).collect();
        Options::resolve(docs, &given).unwrap()
    })
}

fn value(kind: KeyKind) -> BoxedStrategy<OptionValue> {
    match kind {
        KeyKind::Bool => any::<bool>().prop_map(OptionValue::Bool).boxed(),
        KeyKind::Int { min, max } => (min..=max).prop_map(OptionValue::Int).boxed(),
        KeyKind::Float { min, max } => (min..=max).prop_map(OptionValue::Float).boxed(),
        KeyKind::Choice(words) => prop::sample::select(words).prop_map(|w| OptionValue::Text(w.to_owned())).boxed(),
        KeyKind::Text | KeyKind::Path => words().prop_map(OptionValue::Text).boxed(),
        other => panic!("no option of the catalog is {other}"),
    }
}

/// Text that YAML could take for something else, and any other text.
fn words() -> BoxedStrategy<String> {
    const ODD: &[&str] = &[
        "",
        "null",
        "~",
        "true",
        "no",
        "off",
        "1",
        "1e3",
        ".nan",
        "- a",
        "a: b",
        "#",
        "'",
        "\"",
        "${A}",
        "*a",
        "a\nb",
        " a ",
        "|",
        "0x1F",
        "2020-01-01",
        "\u{1F600}",
        "=",
        "<<",
    ];
    prop_oneof![prop::sample::select(ODD).prop_map(str::to_owned), "\\PC{0,20}"].boxed()
}

fn dataset() -> impl Strategy<Value = DatasetChoice> {
    let entries = catalog().datasets;
    (0..entries.len()).prop_flat_map(move |i| {
        let name = entries[i].about.name.to_owned();
        let root = option::of(words().prop_filter("a root is not empty", |root| !root.is_empty()));
        (root, options(&entries[i])).prop_map(move |(root, options)| DatasetChoice {
            name: name.clone(),
            root: root.map(Into::into),
            options,
        })
    })
}

fn model() -> impl Strategy<Value = ModelChoice> {
    let entries = catalog().models;
    (0..entries.len()).prop_flat_map(move |i| {
        let name = entries[i].about.name.to_owned();
        options(&entries[i]).prop_map(move |options| ModelChoice { name: name.clone(), options })
    })
}

fn method(role: fn(&Entry) -> bool) -> impl Strategy<Value = MethodChoice> {
    let entries: Vec<Entry> = catalog().methods.into_iter().filter(role).collect();
    (0..entries.len()).prop_flat_map(move |i| {
        let method = entries[i].about.name.to_owned();
        let bits = match entries[i].bits {
            None => Just(None).boxed(),
            Some((lo, hi)) => (lo..=hi).prop_map(Some).boxed(),
        };
        (bits, options(&entries[i])).prop_map(move |(bits, options)| MethodChoice {
            method: method.clone(),
            bits,
            options,
        })
    })
}

fn quant() -> impl Strategy<Value = QuantConfig> {
    let layers = vec(prop_oneof![Just("first".to_owned()), Just("last".to_owned()), words()], 0..4);
    (method(|m| m.roles.weights), method(|m| m.roles.activations), method(|m| m.roles.gradients), layers).prop_map(
        |(weights, activations, gradients, keep_float)| QuantConfig::of(weights, activations, gradients, keep_float),
    )
}

fn positive() -> impl Strategy<Value = f64> {
    prop_oneof![Just(1.0), Just(0.1), 1e-300..1e300, f64::MIN_POSITIVE..1.0]
}

fn fraction() -> impl Strategy<Value = f64> {
    prop_oneof![Just(0.0), 0.0..1.0]
}

fn not_negative() -> impl Strategy<Value = f64> {
    prop_oneof![Just(0.0), positive()]
}

fn train() -> impl Strategy<Value = TrainConfig> {
    let sgd =
        (positive(), 0.01..1.0, any::<bool>(), not_negative()).prop_map(|(lr, momentum, nesterov, weight_decay)| {
            OptimizerConfig::Sgd { lr, momentum, nesterov, weight_decay }
        });
    let adam = (positive(), (fraction(), fraction()), positive(), not_negative());
    let adamw = adam.prop_map(|(lr, betas, eps, weight_decay)| OptimizerConfig::AdamW { lr, betas, eps, weight_decay });
    let adam = (positive(), (fraction(), fraction()), positive(), not_negative());
    let adam = adam.prop_map(|(lr, betas, eps, weight_decay)| OptimizerConfig::Adam { lr, betas, eps, weight_decay });
    let milestones = proptest::collection::btree_set(1_u32.., 1..5).prop_map(|set| set.into_iter().collect());
    let schedule =
        prop_oneof![
            not_negative().prop_map(|warmup| ScheduleConfig::Constant { warmup }),
            (1_u32.., positive(), not_negative()).prop_map(|(every, gamma, warmup)| ScheduleConfig::Step {
                every,
                gamma,
                warmup
            }),
            (milestones, positive(), not_negative())
                .prop_map(|(milestones, gamma, warmup)| ScheduleConfig::MultiStep { milestones, gamma, warmup }),
            (not_negative(), not_negative()).prop_map(|(end, warmup)| ScheduleConfig::Linear { end, warmup }),
            (not_negative(), not_negative()).prop_map(|(end, warmup)| ScheduleConfig::Cosine { end, warmup }),
        ];
    let sizes = (1_u32.., 1_u32.., any::<u64>(), 1_u32..=1024, option::of(1_u64..));
    let rest = (option::of(positive()), fraction(), any::<bool>(), 1_u32..);
    let more = (option::of(1_u64..), 1_u32.., option::of(fraction()), any::<bool>(), 1_u32..);
    // Ids that YAML could take for numbers are among them.
    let id = || prop_oneof!["[0-9a-f]{16}", "[0-9]{16}", "[0-9]{3}e[0-9]{12}"];
    let file = ("[a-z./ ]{1,12}", id()).prop_map(|(path, blake3)| Init::File { path: path.into(), blake3 });
    let init = option::of(prop_oneof![id().prop_map(Init::Trial), file]);
    let rule = prop_oneof![Just(RangeChoice::Max), Just(RangeChoice::Percentile), Just(RangeChoice::Mse)];
    let calibrate = (1_u64..1 << 40, any::<bool>(), rule, 50.0..=100.0).prop_map(
        |(images, batch_norm, activations, percentile)| Calibrate { images, batch_norm, activations, percentile },
    );
    let others = (init, option::of((id(), 0.0..=1.0, positive())), option::of(calibrate));
    (prop_oneof![sgd, adam, adamw], schedule, sizes, rest, more, others).prop_map(
        |(
            optimizer,
            schedule,
            (epochs, batch, seed, threads, limit),
            (clip_norm, label_smoothing, deterministic, restarts),
            (limit_test, accumulate, ema, amp, bptt),
            (init, distill, calibrate),
        )| {
            TrainConfig {
                epochs,
                batch,
                optimizer,
                schedule,
                clip_norm,
                label_smoothing,
                seed,
                threads,
                restarts,
                deterministic,
                limit,
                limit_test,
                accumulate,
                ema,
                amp: amp.then_some(Precision::Bf16),
                bptt,
                checkpoint_every: None,
                init,
                calibrate,
                distill: distill.map(|(teacher, alpha, temperature)| Distill { teacher, alpha, temperature }),
            }
        },
    )
}

/// The same JSON with the keys of every map in reverse order, as YAML text (JSON is YAML).
fn reversed(json: &serde_json::Value) -> String {
    match json {
        serde_json::Value::Object(map) => {
            let mut pairs: Vec<String> =
                map.iter().map(|(k, v)| format!("{}: {}", serde_json::Value::from(k.as_str()), reversed(v))).collect();
            pairs.reverse();
            format!("{{{}}}", pairs.join(", "))
        }
        serde_json::Value::Array(items) => {
            format!("[{}]", items.iter().map(reversed).collect::<Vec<_>>().join(", "))
        }
        other => other.to_string(),
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]

    #[test]
    fn a_resolved_configuration_reads_back_to_itself_and_its_id(config in config()) {
        let yaml = config_yaml(&config).unwrap();
        let read = parse_config("config.yaml", yaml.as_bytes(), &catalog()).map_err(|error| format!("{error}\n{yaml}"));
        prop_assert_eq!(read.as_ref(), Ok(&config), "{}", yaml);
        prop_assert_eq!(trial_id(&read.unwrap(), &catalog()), trial_id(&config, &catalog()));
    }

    #[test]
    fn the_order_of_keys_does_not_matter(config in config()) {
        let json = serde_json::to_value(&config).unwrap();
        let read = parse_config("config.yaml", reversed(&json).as_bytes(), &catalog());
        let read = read.map_err(|error| error.to_string());
        prop_assert_eq!(read.as_ref(), Ok(&config));
        prop_assert_eq!(trial_id(&read.unwrap(), &catalog()), trial_id(&config, &catalog()));
    }

    #[test]
    fn different_configurations_have_different_ids(a in config(), b in config()) {
        prop_assert_eq!(trial_id(&a, &catalog()) == trial_id(&b, &catalog()), a == b);
    }
}
