//! Every way a sweep file can be wrong that we could think of, each with the place and the words that must be shown.

use crate::support::{Folder, read};

/// Checks the error of `sweep.yaml`: it starts with `place`, and holds all `parts`.
#[track_caller]
fn check(yaml: impl AsRef<[u8]>, sets: &[&str], place: &str, parts: &[&str]) {
    let shown = Folder::new().file("sweep.yaml", yaml).error("sweep.yaml", sets);
    assert!(shown.starts_with(&format!("{place}: ")), "not at {place}:\n{shown}");
    for part in parts {
        assert!(shown.contains(part), "no {part:?} in:\n{shown}");
    }
}

macro_rules! malformed {
    ($($name:ident: $yaml:expr, $place:expr, [$($part:expr),* $(,)?];)*) => {
        $(#[test]
        fn $name() {
            check($yaml, &[], $place, &[$($part),*]);
        })*
    };
}

malformed! {
    // What is no sweep at all.
    empty: "", "sweep.yaml:1:1", ["the file is empty", "`base:`"];
    only_comments: "# nothing\n\n", "sweep.yaml:1:1", ["the file is empty"];
    a_list: "- a\n- b\n", "sweep.yaml:1:1", ["the file holds a list", "`axes:`"];
    a_word: "hello\n", "sweep.yaml:1:1", ["the file holds the text `hello`"];
    not_utf8: b"name: a\nbase: {model: {name: l\xffnet}}\n", "sweep.yaml:2:23", ["not UTF-8", "0xff", "save it as UTF-8"];
    utf16: b"\xff\xfen\0a\0", "sweep.yaml:1:1", ["not UTF-8"];
    nul_byte: "name: a\0b\n", "sweep.yaml:1:8", [];
    two_documents: "name: a\n---\nname: b\n", "sweep.yaml:3:1", ["second document", "remove the `---`"];
    unclosed: "base: {model: {name: lenet}\naxes: {}\n", "sweep.yaml:2:1", [];
    bad_indent: "base:\n  train:\n   epochs: 1\n  batch\n", "sweep.yaml:4:3", [];
    tab_indent: "base:\n\ttrain: {}\n", "sweep.yaml:2:2", ["tabs"];
    unknown_alias: "base: *nothing\n", "sweep.yaml:1:7", ["unknown anchor"];
    duplicate_section: "name: a\nbase: {}\nname: b\n", "sweep.yaml:3:1", ["`name` is given twice"];
    duplicate_key: "base:\n  train:\n    epochs: 1\n    epochs: 2\n", "sweep.yaml:4:5", ["`epochs` is given twice", "    epochs: 2", "^^^^^^"];
    anchor_bomb: bomb(), "sweep.yaml:4:45", ["aliases"];
    deep_nesting: "[".repeat(500), "sweep.yaml:1:49", ["nest"];
    deep_block_nesting: (0..200).map(|i| format!("{}a:\n", " ".repeat(i))).collect::<String>(), "sweep.yaml:49:49", ["nest"];

    // Keys.
    unknown_section: "name: a\naxis: {}\n", "sweep.yaml:2:1", ["unknown key `axis`", "did you mean `axes`?"];
    section_at_the_top: "train: {epochs: 3}\n", "sweep.yaml:1:1", ["unknown key `train`", "under `base:`"];
    unknown_part: "base:\n  trian: {epochs: 3}\n", "sweep.yaml:2:3", ["unknown key `trian`", "did you mean `train`?", "^^^^^"];
    unknown_train_key: "base:\n  train: {epoch: 3}\n", "sweep.yaml:2:11", ["unknown key `train.epoch`", "did you mean `epochs`?"];
    unknown_quant_key: "base:\n  quant: {weight: {method: float}}\n", "sweep.yaml:2:11", ["unknown key `quant.weight`", "did you mean `weights`?"];
    unknown_dotted_key: "base:\n  train.sede: 3\n", "sweep.yaml:2:3", ["unknown key `train.sede`", "did you mean `seed`?"];
    dotted_and_nested: "base:\n  train: {seed: 1}\n  train.seed: 2\n", "sweep.yaml:3:3", ["`train.seed` is given twice"];
    key_below_a_value: "axes:\n  train.epochs.x: [1, 2]\nbase: {train: {epochs: 3}}\n", "sweep.yaml:2:3", ["no key `x` here", "not a map"];
    unknown_axis: "axes:\n  tran.seed: [1, 2]\n", "sweep.yaml:2:3", ["unknown key `tran.seed`", "did you mean `train.seed`?"];
    unknown_axis_key: "axes:\n  train.sede: [1, 2]\n", "sweep.yaml:2:3", ["unknown key `train.sede`", "did you mean `seed`?"];
    unknown_cell_key: "axes:\n  quant_weights:\n    - {method: float}\n", "sweep.yaml:3:8", ["`method` is no key of the configuration", "`quant_weights`"];
    unknown_exclude_key: "axes: {train.seed: [1, 2]}\nexclude: [{train.sed: 1}]\n", "sweep.yaml:2:12", ["unknown key `train.sed`", "did you mean `train.seed`?"];
    unknown_report_key: "report: {table: [accuracy]}\n", "sweep.yaml:1:10", ["unknown key `report.table`", "did you mean `tables`?"];
    unknown_table: "report: {tables: [acuracy]}\n", "sweep.yaml:1:19", ["unknown table `acuracy`", "did you mean `accuracy`?"];

    paper_without_columns: "report: {paper: {rows: [{name: a}]}}\n", "sweep.yaml:1:17", ["`report.paper.columns` is missing"];
    paper_without_rows: "report: {paper: {rows: [], columns: [{name: a}]}}\n", "sweep.yaml:1:24", ["`report.paper.rows` is a list", "expected a list of maps"];
    unknown_paper_key: "report: {paper: {row: []}}\n", "sweep.yaml:1:18", ["unknown key `report.paper.row`", "did you mean `rows`?"];
    unknown_line_key: "report: {paper: {rows: [{name: a, were: {}}], columns: [{name: b}]}}\n", "sweep.yaml:1:35", ["unknown key `report.paper.rows.were`", "did you mean `where`?"];
    unknown_condition_of_a_row: "report: {paper: {rows: [{name: a, where: {train.sed: 1}}], columns: [{name: b}]}}\n", "sweep.yaml:1:43", ["unknown key `train.sed`"];
    unknown_value: "report: {paper: {rows: [{name: a}], columns: [{name: b, value: top}]}}\n", "sweep.yaml:1:64", ["`value` is the text `top`", "did you mean `top1`?"];
    unknown_source: "report: {paper: {source: Zhou, rows: [{name: a}], columns: [{name: b}]}}\n", "sweep.yaml:1:26", ["no published number is known of `Zhou`"];
    a_name_for_two_headings: "report: {paper: {heads: [A, B], rows: [{name: a}], columns: [{name: b}]}}\n", "sweep.yaml:1:40", ["has 1 parts, expected 2 texts"];
    half_a_published_place: "report: {paper: {rows: [{name: a, published: {dataset: x}}], columns: [{name: b}]}}\n", "sweep.yaml:1:46", ["`published` is a map", "`none`, or a map such as `{dataset: imagenet, model: resnet18}`"];
    value_of_row_and_column: "report: {paper: {rows: [{name: a, value: top1}], columns: [{name: b, value: top5}]}}\n", "sweep.yaml:1:60", ["both say `value`"];
    a_cell_of_two_configurations: "axes: {train.epochs: [1, 2], train.seed: [0, 1]}\nreport: {paper: {rows: [{name: a}], columns: [{name: b}]}}\n", "sweep.yaml:2:25", ["holds several configurations", "differ in the seed alone", "add a key to `where`"];

    // Trials that build on others.
    nobody_fits: "base: {train: {init: {trial: {train.seed: 5}}}}\n", "sweep.yaml:1:30", ["`train.init.trial` of the trial `float` fits no other trial", "an entry of `include`"];
    only_itself_fits: "base: {train: {distill: {teacher: {train.seed: 0}}}}\n", "sweep.yaml:1:35", ["fits no other trial", "give it `train.distill: null`"];
    several_fit: "base: {train: {seed: 9, init: {trial: {train.epochs: 1}}}}\ninclude: [{train: {init: null, seed: 1, epochs: 1}}, {train: {init: null, seed: 2, epochs: 1}}]\n", "sweep.yaml:1:39", ["fits 2 trials", "expected one", "`train.seed: same`"];
    a_circle: "base: {train: {init: {trial: {train.seed: 0}}}}\naxes: {train.seed: [0, 1]}\ninclude: [{train: {seed: 0, epochs: 1, init: {trial: {train.seed: 1}}}}]\n", "sweep.yaml:1:30", ["makes a circle", "`train.init: null`"];
    unknown_reference_key: "base: {train: {init: {trial: {train.sed: 5}}}}\n", "sweep.yaml:1:31", ["unknown key `train.sed`", "did you mean `train.seed`?"];
    a_reference_that_is_no_map: "base: {train: {init: {trial: 0123456789abcdef}}}\n", "sweep.yaml:1:30", ["expected a map"];
    init_of_both: "base: {train: {init: {trial: {train.seed: 5}, file: x}}}\n", "sweep.yaml:1:22", ["`train.init` is a map", "`{file: PATH}`"];
    init_of_neither: "base: {train: {init: {}}}\n", "sweep.yaml:1:22", ["`train.init` is a map"];
    an_absent_file: "base: {train: {init: {file: /no/such/file}}}\naxes: {train.seed: [0, 1]}\n", "sweep.yaml:1:29", ["cannot read `/no/such/file`"];
    distill_without_teacher: "base: {train: {distill: {alpha: 0.5}}}\n", "sweep.yaml:1:25", ["`train.distill.teacher` is missing", "train.seed: same"];
    distill_alpha: "base: {train: {distill: {teacher: {train.seed: 1}, alpha: 1.5}}}\n", "sweep.yaml:1:59", ["`train.distill.alpha` is `1.5`", "a number from 0 to 1"];
    unknown_distill_key: "base: {train: {distill: {teacher: {train.seed: 1}, temp: 2}}}\n", "sweep.yaml:1:52", ["unknown key `train.distill.temp`"];
    half_precision: "base: {train: {amp: fp16}}\n", "sweep.yaml:1:21", ["`train.amp` is the text `fp16`", "`bf16` or null"];
    no_pass: "base: {train: {accumulate: 0}}\n", "sweep.yaml:1:28", ["`train.accumulate`", "at least 1"];
    an_average_of_nothing: "base: {train: {ema: 1}}\n", "sweep.yaml:1:21", ["`train.ema`", "below 1 or null"];

    // Names of things.
    unknown_method: "base:\n  quant:\n    weights: {method: unifrom, bits: 2}\n", "sweep.yaml:3:23", ["unknown method `unifrom`", "did you mean `uniform`?", "^^^^^^^"];
    unknown_method_in_axis: "axes:\n  quant.weights:\n    - {method: float}\n    - {method: balance, bits: 2}\n", "sweep.yaml:4:16", ["unknown method `balance`", "`balanced`"];
    unknown_model: "base: {model: {name: resnet}}\n", "sweep.yaml:1:22", ["unknown model `resnet`", "`lenet`"];
    unknown_dataset: "base: {dataset: {name: minst}}\n", "sweep.yaml:1:24", ["unknown data set `minst`", "did you mean `mnist`?"];
    unknown_optimizer: "base: {train: {optimizer: {name: sdg}}}\n", "sweep.yaml:1:34", ["unknown optimizer `sdg`", "did you mean `sgd`?"];
    unknown_schedule: "base: {train: {schedule: {name: multistep}}}\n", "sweep.yaml:1:33", ["unknown schedule `multistep`", "did you mean `multi-step`?"];
    bad_name: "name: ../up\n", "sweep.yaml:1:7", ["`name` is the text `../up`", "folder"];
    dot_name: "name: ..\n", "sweep.yaml:1:7", ["`name` is"];
    number_name: "name: 2024\n", "sweep.yaml:1:7", ["`name` is `2024`", "quote it"];
    role_not_supported: "base:\n  quant: {gradients: {method: balanced, bits: 2}}\n", "sweep.yaml:2:31", ["`balanced` cannot quantize gradients", "`uniform`"];

    // Types.
    base_is_a_list: "base: [1]\n", "sweep.yaml:1:7", ["`base` is a list", "expected a map"];
    train_is_a_number: "base: {train: 3}\n", "sweep.yaml:1:15", ["`train` is `3`", "expected a map"];
    method_is_a_word: "base: {quant: {weights: float}}\n", "sweep.yaml:1:25", ["`quant.weights` is the text `float`", "{method: float}"];
    method_is_a_number: "base: {quant: {weights: {method: 3}}}\n", "sweep.yaml:1:34", ["`quant.weights.method` is `3`", "name of a method"];
    epochs_is_text: "base:\n  train: {epochs: ten}\n", "sweep.yaml:2:19", ["`train.epochs` is the text `ten`", "a whole number of at least 0"];
    epochs_is_a_fraction: "base: {train: {epochs: 1.5}}\n", "sweep.yaml:1:24", ["`train.epochs` is `1.5`"];
    epochs_is_nothing: "base:\n  train:\n    epochs:\n    batch: 3\n", "sweep.yaml:3:11", ["`train.epochs` is nothing"];
    seed_is_a_list: "base:\n  train: {seed: [0, 1]}\n", "sweep.yaml:2:17", ["`train.seed` is a list", "`axes:`", "train.seed: [0, 1]"];
    yes_is_no_truth_value: "base: {train: {deterministic: yes}}\n", "sweep.yaml:1:31", ["the text `yes`", "true or false"];
    keep_float_is_text: "base: {quant: {keep_float: first}}\n", "sweep.yaml:1:28", ["`quant.keep_float` is the text `first`", "[first, last]"];
    keep_float_holds_numbers: "base: {quant: {keep_float: [1]}}\n", "sweep.yaml:1:29", ["`quant.keep_float` is `1`", "layer name"];
    root_is_a_number: "base: {dataset: {name: mnist, root: 3}}\n", "sweep.yaml:1:37", ["`dataset.root` is `3`", "a path"];
    root_is_empty: "base: {dataset: {name: mnist, root: ''}}\n", "sweep.yaml:1:37", ["`dataset.root` is empty"];
    extends_is_a_list: "extends: [a.yaml]\n", "sweep.yaml:1:10", ["`extends` is a list"];

    // Ranges.
    epochs_negative: "base: {train: {epochs: -1}}\n", "sweep.yaml:1:24", ["`train.epochs` is `-1`", "at least 0"];
    epochs_zero_of_nothing: "base: {train: {epochs: 0}}\n", "sweep.yaml:1:24", ["there is no `train.init` to evaluate", "init: {file: weights.safetensors}"];
    batch_zero: "base: {train: {batch: 0}}\n", "sweep.yaml:1:23", ["`train.batch` is `0`"];
    batch_negative: "base: {train: {batch: -8}}\n", "sweep.yaml:1:23", ["`train.batch` is `-8`"];
    batch_huge: "base: {train: {batch: 99999999999}}\n", "sweep.yaml:1:23", ["`train.batch` is `99999999999`"];
    seed_too_large: "base: {train: {seed: 18446744073709551616}}\n", "sweep.yaml:1:22", ["`train.seed` is"];
    threads_zero: "base: {train: {threads: 0}}\n", "sweep.yaml:1:25", ["from 1 to 1024"];
    lr_negative: "base: {train: {optimizer: {name: sgd, lr: -0.1}}}\n", "sweep.yaml:1:43", ["`train.optimizer.lr` is `-0.1`", "greater than 0"];
    lr_nan: "base: {train: {optimizer: {name: sgd, lr: .nan}}}\n", "sweep.yaml:1:43", ["`train.optimizer.lr` is NaN"];
    lr_infinite: "base: {train: {optimizer: {name: sgd, lr: .inf}}}\n", "sweep.yaml:1:43", ["infinity"];
    lr_overflow: "base: {train: {optimizer: {name: sgd, lr: 1e999}}}\n", "sweep.yaml:1:43", ["infinity"];
    momentum_one: "base: {train: {optimizer: {name: sgd, momentum: 1}}}\n", "sweep.yaml:1:49", ["`1`", "from 0 to below 1"];
    one_beta: "base: {train: {optimizer: {name: adam, betas: [0.9]}}}\n", "sweep.yaml:1:47", ["two numbers"];
    nesterov_alone: "base: {train: {optimizer: {name: sgd, momentum: 0, nesterov: true}}}\n", "sweep.yaml:1:62", ["needs a momentum"];
    momentum_of_adam: "base: {train: {optimizer: {name: adam, momentum: 0.9}}}\n", "sweep.yaml:1:40", ["`adam` has no such key", "`momentum` belongs to `sgd`"];
    step_without_every: "base: {train: {schedule: {name: step}}}\n", "sweep.yaml:1:33", ["`train.schedule.every` is missing"];
    milestones_descend: "base: {train: {schedule: {name: multi-step, milestones: [60, 30]}}}\n", "sweep.yaml:1:57", ["ascending list"];
    smoothing_one: "base: {train: {label_smoothing: 1.0}}\n", "sweep.yaml:1:33", ["`train.label_smoothing`"];
    clip_zero: "base: {train: {clip_norm: 0}}\n", "sweep.yaml:1:27", ["greater than 0 or null"];
    limit_zero: "base: {train: {limit: 0}}\n", "sweep.yaml:1:23", ["at least 1 or null"];

    // Bits and options.
    bits_zero: "base: {quant: {weights: {method: uniform, bits: 0}}}\n", "sweep.yaml:1:49", ["`quant.weights.bits` is `0`", "from 1 to 8", "`uniform`"];
    bits_nine: "axes:\n  quant.weights:\n    - {method: uniform, bits: 9}\n", "sweep.yaml:3:31", ["`quant.weights.bits` is `9`", "^"];
    bits_of_stochastic: "base: {quant: {weights: {method: stochastic, bits: 3}}}\n", "sweep.yaml:1:52", ["from 1 to 2"];
    bits_of_xnor: "base: {quant: {weights: {method: xnor, bits: 2}}}\n", "sweep.yaml:1:46", ["expected 1 for `xnor`"];
    bits_are_text: "base: {quant: {weights: {method: uniform, bits: two}}}\n", "sweep.yaml:1:49", ["the text `two`"];
    bits_are_a_fraction: "base: {quant: {weights: {method: uniform, bits: 2.5}}}\n", "sweep.yaml:1:49", ["`2.5`"];
    bits_missing: "base: {quant: {weights: {method: uniform}}}\n", "sweep.yaml:1:34", ["`quant.weights.bits` is missing", "{method: uniform, bits: 8}"];
    bits_of_float: "base: {quant: {weights: {method: float, bits: 2}}}\n", "sweep.yaml:1:41", ["`float` takes no bits", "remove `bits`"];
    unknown_option: "base: {quant: {weights: {method: uniform, bits: 2, rnage: affine}}}\n", "sweep.yaml:1:52", ["unknown key `quant.weights.rnage`", "did you mean `range`?"];
    option_of_another: "base: {quant: {weights: {method: uniform, bits: 2, threshold: mean}}}\n", "sweep.yaml:1:52", ["`uniform` has no such option", "`threshold` is an option of `balanced`"];
    option_word: "base: {quant: {weights: {method: uniform, bits: 2, range: afine}}}\n", "sweep.yaml:1:59", ["the text `afine`", "`symmetric` or `affine`", "did you mean `affine`?"];
    option_range: "base: {quant: {weights: {method: balanced, bits: 2, momentum: 1.5}}}\n", "sweep.yaml:1:63", ["`quant.weights.momentum` is `1.5`", "from 0 to 1"];
    option_nan: "base: {quant: {weights: {method: balanced, bits: 2, momentum: .nan}}}\n", "sweep.yaml:1:63", ["NaN"];
    option_type: "base: {quant: {weights: {method: stochastic, bits: 1, noise: 1}}}\n", "sweep.yaml:1:62", ["true or false"];
    model_option: "base: {model: {name: lenet, width: 0}}\n", "sweep.yaml:1:36", ["`model.width` is `0`", "from 1 to 512"];
    model_option_of_another: "base: {model: {name: lenet, hidden: 3}}\n", "sweep.yaml:1:29", ["`hidden` is an option of `mlp`"];
    dataset_option: "base: {dataset: {name: mnist, normalise: true}}\n", "sweep.yaml:1:31", ["did you mean `normalize`?"];

    // Axes, exclude, include.
    empty_axis: "axes:\n  train.seed: []\n", "sweep.yaml:2:15", ["the axis `train.seed` is empty"];
    axis_is_a_value: "axes:\n  train.seed: 3\n", "sweep.yaml:2:15", ["expected a list", "`[3]`"];
    axis_is_nothing: "axes:\n  train.seed:\n", "sweep.yaml:2:13", ["expected a list"];
    axes_are_a_list: "axes: [train.seed]\n", "sweep.yaml:1:7", ["`axes` is a list"];
    axis_value_twice: "axes:\n  train.seed: [0, 1, 0]\n", "sweep.yaml:2:22", ["this value twice", "first at", ":2:16"];
    axis_map_twice: "axes:\n  quant.weights:\n  - {method: uniform, bits: 2}\n  - {bits: 2, method: uniform}\n", "sweep.yaml:4:5", ["this value twice"];
    axis_number_twice: "axes:\n  train.optimizer.lr: [1, 1.0]\n", "sweep.yaml:2:27", ["this value twice"];
    axis_twice: "axes:\n  train.seed: [0]\n  train.seed: [1]\n", "sweep.yaml:3:3", ["`train.seed` is given twice"];
    varied_twice: "axes:\n  train.seed: [0, 1]\n  cell: [{train.seed: 2}, {train.seed: 3}]\n", "sweep.yaml:3:3", ["`train.seed` is varied by this axis and by `train.seed`"];
    too_many: "axes:\n  train.seed: [0,1,2,3,4,5,6,7,8,9]\n  train.epochs: [1,2,3,4,5,6,7,8,9,10]\n  train.batch: [1,2,3,4,5,6,7,8,9,10]\n  train.threads: [1,2,3,4,5,6,7,8,9,10]\n  train.limit: [1,2,3,4,5,6,7,8,9,10]\n  train.clip_norm: [1,2]\n", "sweep.yaml:2:3", ["10 x 10 x 10 x 10 x 10 x 2", "at most 100000"];
    nothing_left: "axes: {train.seed: [0, 1]}\nexclude:\n  - {train.epochs: 10}\n", "sweep.yaml:3:5", ["no trial is left"];
    exclude_is_a_map: "exclude: {train.seed: 1}\n", "sweep.yaml:1:10", ["`exclude` holds a map", "list of maps"];
    exclude_holds_words: "exclude: [float]\n", "sweep.yaml:1:11", ["`exclude` holds the text `float`"];
    exclude_empty_entry: "exclude: [{}]\n", "sweep.yaml:1:11", ["expected a map such as"];
    include_is_wrong: "include:\n  - {quant.weights: {method: uniform, bits: 12}}\n", "sweep.yaml:2:45", ["`quant.weights.bits` is `12`"];
    include_unknown_key: "include:\n  - {seed: 1}\n", "sweep.yaml:2:6", ["unknown key `seed`"];

    // Variables and files.
    unset_variable: "base:\n  dataset: {name: mnist, root: \"${NO_SUCH_DIR}/x\"}\n", "sweep.yaml:2:32", ["`NO_SUCH_DIR` is not set", "export NO_SUCH_DIR="];
    broken_variable: "base: {dataset: {name: mnist, root: '${A'}}\n", "sweep.yaml:1:37", ["`${` is not followed", "`$${`"];
    extends_missing: "name: a\nextends: none.yaml\n", "sweep.yaml:2:10", ["cannot read", "none.yaml", "relative to the file"];
    extends_itself: "extends: sweep.yaml\n", "sweep.yaml:1:10", ["circle"];
}

/// Ten levels of ten references each.
fn bomb() -> String {
    let mut text = "a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n".to_owned();
    for level in 1..10 {
        let below = vec![format!("*a{}", level - 1); 10].join(", ");
        text.push_str(&format!("a{level}: &a{level} [{below}]\n"));
    }
    text
}

#[test]
fn set_arguments_are_checked_like_the_file() {
    for (argument, place, parts) in [
        ("train.seed", "--set train.seed", &["there is no `=`"][..]),
        ("=3", "--set =3", &["is no key"]),
        ("train..seed=3", "--set train..seed=3", &["is no key"]),
        ("train.sed=3", "--set train.sed=3", &["unknown key `train.sed`", "did you mean `seed`?", "| train.sed=3"]),
        ("seed=3", "--set seed=3", &["unknown key `seed`"]),
        ("base.train.seed=3", "--set base.train.seed=3", &["leave out `base.`"]),
        ("train.epochs=-1", "--set train.epochs=-1", &["`train.epochs` is `-1`", "             ^"]),
        ("train.seed=[0, 1]", "--set train.seed=[0, 1]", &["`train.seed` is a list"]),
        (
            "quant.weights={method: uniform, bits: 99}",
            "--set quant.weights={method: uniform, bits: 99}",
            &["`quant.weights.bits` is `99`"],
        ),
        ("quant.weights={method: uniform", "--set quant.weights={method: uniform", &[]),
        ("dataset.name=mnits", "--set dataset.name=mnits", &["did you mean `mnist`?"]),
        ("axes.train.seed=[]", "--set axes.train.seed=[]", &["the axis `train.seed` is empty"]),
        ("name=a/b", "--set name=a/b", &["folder"]),
        ("report.tables=[nothing]", "--set report.tables=[nothing]", &["unknown table `nothing`"]),
        ("extends=x.yaml", "--set extends=x.yaml", &["unknown key `extends`"]),
    ] {
        check("axes: {train.batch: [1, 2]}\n", &[argument], place, parts);
    }
}

#[test]
fn an_error_in_a_file_below_names_that_file() {
    let folder =
        Folder::new().file("sweep.yaml", "extends: below.yaml\n").file("below.yaml", "base:\n  model: {name: lent}\n");
    let shown = folder.error("sweep.yaml", &[]);
    assert!(shown.starts_with("below.yaml:2:17: unknown model `lent`"), "{shown}");
}

#[test]
fn a_circle_of_files_is_refused_where_it_closes() {
    let folder = Folder::new().file("a.yaml", "extends: b.yaml\n").file("b.yaml", "name: b\nextends: ./a.yaml\n");
    let shown = folder.error("a.yaml", &[]);
    assert!(shown.starts_with("b.yaml:2:10: `./a.yaml` extends this file in turn"), "{shown}");
}

#[test]
fn a_file_that_is_not_there_is_named() {
    let shown = Folder::new().error("nothing.yaml", &[]);
    assert!(shown.starts_with("nothing.yaml: cannot read `nothing.yaml`: "), "{shown}");
}

#[test]
fn a_folder_is_no_sweep() {
    let folder = Folder::new();
    std::fs::create_dir(folder.path("sweep.yaml")).unwrap();
    assert!(folder.error("sweep.yaml", &[]).starts_with("sweep.yaml: cannot read"));
}

#[test]
fn a_huge_file_is_refused_unread() {
    let folder = Folder::new().file("sweep.yaml", "#".repeat(5 << 20));
    assert!(folder.error("sweep.yaml", &[]).starts_with("sweep.yaml: the file has more than 4 MiB"));
}

#[test]
fn several_mistakes_are_shown_at_once() {
    let yaml =
        "base:\n  model: {name: lent}\n  train: {epochs: -1, batch: many}\n  quant: {weights: {method: unifrom}}\n";
    let error = read(yaml, &[]).unwrap_err();
    let lines: Vec<usize> = error.problems.iter().map(|problem| problem.origin.line).collect();
    assert_eq!(lines, [2, 3, 3, 4]);
}

#[test]
fn a_mistake_in_base_is_shown_once_for_many_trials() {
    let error = read("base: {train: {epochs: 0}}\naxes: {train.seed: [1, 2, 3]}\n", &[]).unwrap_err();
    assert_eq!(error.problems.len(), 1);
}

#[test]
fn the_caret_stands_under_the_word() {
    let shown = Folder::new().file("sweep.yaml", "base:\n  model: {name: lent}\n").error("sweep.yaml", &[]);
    let want = "sweep.yaml:2:17: unknown model `lent`\n  2 |   model: {name: lent}\n    |                 ^^^^\n  hint: did you mean `lenet`?";
    assert_eq!(shown, want);
}

#[test]
fn the_caret_stands_under_the_word_in_a_long_line_with_wide_letters() {
    let yaml = format!("base: {{dataset: {{name: mnist, root: '{}é'}}, model: {{name: lent}}}}\n", "ü".repeat(500));
    let shown = Folder::new().file("sweep.yaml", yaml).error("sweep.yaml", &[]);
    let lines: Vec<&str> = shown.lines().collect();
    let place = lines[2].chars().position(|c| c == '^').unwrap();
    let word: String = lines[1].chars().skip(place).take(4).collect();
    assert_eq!(word, "lent", "{shown}");
    assert!(lines[1].chars().count() < 130, "{shown}");
}

#[test]
fn control_characters_do_not_reach_the_terminal() {
    let shown = Folder::new().file("sweep.yaml", "base: {model: {name: \"a\\e[31m\"}}\n").error("sweep.yaml", &[]);
    assert!(!shown.contains('\u{1b}'), "{shown:?}");
}
