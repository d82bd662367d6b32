//! The claims, fixed before any trial. Rules with a number are the papers' or, where a paper gives none, were set in
//! advance.

use crate::claims::arm::{ABSENT, Given, Pick};
use crate::claims::rule::Rule::{Above, Below, Within, WithinSpread, Zero};
use crate::claims::statistic::Statistic::{self, ActivationError, BitOps, Top1, WeightError};
use crate::claims::{Arm, Claim, Comparison, Proof};

/// The sign before an arm.
macro_rules! sign {
    (+) => {
        1.0
    };
    (-) => {
        -1.0
    };
}

/// `compare!(Top1: [A - B], Above(0.0))`: arms with their signs, summed seed by seed.
macro_rules! compare {
    ($statistic:ident: [$first:ident $($sign:tt $arm:ident)*], $rule:expr) => {
        Comparison { terms: &[(1.0, $first) $(, (sign!($sign), $arm))*], statistic: $statistic, rule: $rule }
    };
}

/// All claims, by paper.
pub(crate) static CLAIMS: &[Claim] = &[
    Claim {
        id: "B1",
        sentence: "balanced weights use every code about equally often; a uniform grid over the whole range does not",
        source: BALANCED,
        proof: Proof::Trials(&[
            compare!(CODES: [MEDIAN_W2], Above(-0.01)),
            compare!(CODES: [MEDIAN_W3], Above(-0.01)),
            compare!(CODES: [MEDIAN_W4], Above(-0.01)),
            compare!(CODES: [MEAN_W2], Above(-0.1)),
            compare!(CODES: [MEAN_W3], Above(-0.1)),
            compare!(CODES: [MEAN_W4], Above(-0.1)),
            compare!(CODES_OF_MANY: [UNIFORM_W2], Below(-0.3)),
            compare!(CODES_OF_MANY: [UNIFORM_W3], Below(-0.3)),
            compare!(CODES_OF_MANY: [UNIFORM_W4], Below(-0.3)),
        ]),
    },
    Claim {
        id: "B2",
        sentence: "balanced weights beat a uniform grid over the whole range at 2 bits, and by less at 4",
        source: BALANCED,
        proof: Proof::Trials(&[
            compare!(Top1: [MEDIAN_W2 - UNIFORM_W2], Above(0.0)),
            compare!(Top1: [MEDIAN_W2A2 - UNIFORM_W2A2], Above(0.0)),
            compare!(Top1: [MEDIAN_W2 - UNIFORM_W2 - MEDIAN_W4 + UNIFORM_W4], Above(0.0)),
        ]),
    },
    Claim {
        id: "B2-mean",
        sentence: "the same as B2 with thresholds and scale by means, the form of the authors' code",
        source: BALANCED,
        proof: Proof::Trials(&[
            compare!(Top1: [MEANS_W2 - UNIFORM_W2], Above(0.0)),
            compare!(Top1: [MEANS_W2A2 - UNIFORM_W2A2], Above(0.0)),
            compare!(Top1: [MEANS_W2 - UNIFORM_W2 - MEANS_W4 + UNIFORM_W4], Above(0.0)),
        ]),
    },
    Claim {
        id: "B3",
        sentence: "thresholds by means are as accurate as by medians",
        source: BALANCED,
        proof: Proof::Trials(&[compare!(Top1: [MEAN_W2 - MEDIAN_W2], WithinSpread)]),
    },
    Claim {
        id: "B3-time",
        sentence: "thresholds by means are faster in layers of 100000 weights",
        source: BALANCED,
        proof: Proof::Trials(&[compare!(SECONDS_OF_MANY: [MEAN_W2 - MEDIAN_W2], Below(0.0))]),
    },
    Claim {
        id: "B4",
        sentence: "balancing costs nothing at inference",
        source: BALANCED,
        proof: Proof::Trials(&[compare!(BitOps: [MEDIAN_W2A2 - UNIFORM_W2A2], Zero)]),
    },
    Claim {
        id: "B5",
        sentence: "at 2 bits a scale by the mean magnitude is better than by the largest",
        source: "later reports, not the paper",
        proof: Proof::Trials(&[
            compare!(Top1: [MEAN_SCALE_W2 - MEDIAN_W2], Above(0.0)),
            compare!(Top1: [MEAN_SCALE_W2A2 - MEDIAN_W2A2], Above(0.0)),
        ]),
    },
    Claim {
        id: "B6",
        sentence: "balanced recurrent networks have a lower perplexity than uniform ones",
        source: BALANCED,
        proof: Proof::Open("sweeps/ptb_bits.yaml trains both, and no rule judges them yet"),
    },
    Claim {
        id: "B7",
        sentence: "balancing is no method of low squared error: least squares is closer to the weights in every layer \
                   (each on the weights that were trained with it)",
        source: BALANCED,
        proof: Proof::Trials(&[compare!(WeightError: [MEDIAN_W2 - LS2_W2], Above(0.0))]),
    },
    Claim {
        id: "S1",
        sentence: "with the same number of steps, stochastic quantization beats its base, also when the base's \
                   learning rate starts over as often",
        source: STOCHASTIC,
        proof: Proof::Trials(&[
            compare!(Top1: [SQ_BWN - BWN], Above(0.0)),
            compare!(Top1: [SQ_BWN - BWN_IN_PARTS], Above(0.0)),
            compare!(Top1: [SQ_TWN - TWN], Above(0.0)),
            compare!(Top1: [SQ_TWN - TWN_IN_PARTS], Above(0.0)),
        ]),
    },
    Claim {
        id: "S2",
        sentence: "drawing filters in every step beats taking those of least error, which beats drawing once a stage",
        source: STOCHASTIC,
        proof: Proof::Trials(&[
            compare!(Top1: [SQ_BWN - SQ_SORTED], Above(0.0)),
            compare!(Top1: [SQ_SORTED - SQ_FIXED], Above(0.0)),
        ]),
    },
    Claim {
        id: "S3",
        sentence: "all probability functions are within half a point of each other",
        source: STOCHASTIC,
        proof: Proof::Trials(&[
            compare!(Top1: [SQ_CONSTANT - SQ_BWN], Within(0.5)),
            compare!(Top1: [SQ_SOFTMAX - SQ_BWN], Within(0.5)),
            compare!(Top1: [SQ_SIGMOID - SQ_BWN], Within(0.5)),
            compare!(Top1: [SQ_SOFTMAX - SQ_CONSTANT], Within(0.5)),
            compare!(Top1: [SQ_SIGMOID - SQ_CONSTANT], Within(0.5)),
            compare!(Top1: [SQ_SIGMOID - SQ_SOFTMAX], Within(0.5)),
        ]),
    },
    Claim {
        id: "S4",
        sentence: "the exponential schedule beats equal steps and fine-tuning from full precision",
        source: STOCHASTIC,
        proof: Proof::Trials(&[
            compare!(Top1: [SQ_BWN - SQ_AVERAGE], Above(0.0)),
            compare!(Top1: [SQ_BWN - SQ_FINETUNE], Above(0.0)),
        ]),
    },
    Claim {
        id: "S5",
        sentence: "the first draw has the probabilities asked for",
        source: STOCHASTIC,
        proof: Proof::Test {
            file: "methods/stochastic/src/tests.rs",
            function: "the_first_draw_follows_the_probabilities",
        },
    },
    Claim {
        id: "O1",
        sentence: "batch normalization in integers gives the codes of the float form at every input",
        source: BN_OPTIMAL,
        proof: Proof::Test {
            file: "methods/bn-optimal/tests/integers/every_value.rs",
            function: "no_mismatch_anywhere",
        },
    },
    Claim {
        id: "O2",
        sentence: "a shift of twice the accumulator's bits always suffices",
        source: BN_OPTIMAL,
        proof: Proof::Test {
            file: "methods/bn-optimal/tests/integers/smallest.rs",
            function: "twice_the_width_always_suffices",
        },
    },
    Claim {
        id: "O3",
        sentence: "rounding the constants instead fails at small shifts",
        source: BN_OPTIMAL,
        proof: Proof::Test {
            file: "methods/bn-optimal/tests/integers/alternatives.rs",
            function: "naive_rounding_fails_at_small_shifts",
        },
    },
    Claim {
        id: "O4",
        sentence: "a network with integer batch normalization predicts what the float network predicts",
        source: BN_OPTIMAL,
        proof: Proof::Test {
            file: "harness/cli/tests/cli/eval.rs",
            function: "integer_batch_normalization_changes_no_code",
        },
    },
    Claim {
        id: "L1",
        sentence: "squared errors are ordered: LS-2, GF-2, LS-1, and LS-2, LS-T, LS-1",
        source: LEAST_SQUARES,
        proof: Proof::Test {
            file: "methods/least-squares/src/tests.rs",
            function: "the_order_of_errors_holds_on_ten_thousand_rows",
        },
    },
    Claim {
        id: "L2",
        sentence: "the scales and errors of normal values are those of the equations",
        source: LEAST_SQUARES,
        proof: Proof::Test {
            file: "methods/least-squares/src/tests.rs",
            function: "the_constants_of_the_normal_distribution",
        },
    },
    Claim {
        id: "L3",
        sentence: "with binary weights, activations by LS-2 are at least as good as by GF-2, which beat LS-T, which \
                   beat LS-1",
        source: LEAST_SQUARES,
        proof: Proof::Trials(&[
            compare!(Top1: [LS2 - GF2], Above(0.0)),
            compare!(Top1: [GF2 - LS_T], Above(0.0)),
            compare!(Top1: [LS_T - LS1], Above(0.0)),
        ]),
    },
    Claim {
        id: "L4",
        sentence: "without training, LS-2 weights are far better than GF-2 and about as good as GF-4",
        source: LEAST_SQUARES,
        proof: Proof::Open("no trial quantizes a finished float network"),
    },
    Claim {
        id: "L5",
        sentence: "in every layer LS-2 is closer to the activations than GF-2 (squared error in the place of the \
                   paper's angle; each on the activations of its own network)",
        source: LEAST_SQUARES,
        proof: Proof::Trials(&[compare!(ActivationError: [LS2 - GF2], Below(0.0))]),
    },
    Claim {
        id: "L6",
        sentence: "distillation from a float network helps",
        source: LEAST_SQUARES,
        proof: Proof::Open(
            "sweeps/least_squares/cifar100.yaml trains with and without it, and no rule judges them yet",
        ),
    },
    Claim {
        id: "D1",
        sentence: "with binary weights, 2 activation bits beat 1, and 4 beat 2",
        source: DOREFA,
        proof: Proof::Trials(&[
            compare!(Top1: [DOREFA_W1A2 - DOREFA_W1A1], Above(0.0)),
            compare!(Top1: [DOREFA_W1A4 - DOREFA_W1A2], Above(0.0)),
        ]),
    },
    Claim {
        id: "P1",
        sentence: "activations clipped at a learned level beat DoReFa's at 2 bits",
        source: "Choi et al. 2018",
        proof: Proof::Trials(&[compare!(Top1: [PACT_A2 - DOREFA_A2], Above(0.0))]),
    },
];

const BALANCED: &str = "Zhou et al. 2017";
const STOCHASTIC: &str = "Dong et al. 2017";
const BN_OPTIMAL: &str = "Lin et al. 2020";
const LEAST_SQUARES: &str = "Pouransari et al. 2020";
const DOREFA: &str = "Zhou et al. 2016";

const CODES: Statistic = Statistic::EffectiveBits { weights: 1 };
const CODES_OF_MANY: Statistic = Statistic::EffectiveBits { weights: 500 };

const SECONDS_OF_MANY: Statistic = Statistic::EpochSeconds { weights: 100_000 };

// Weights of the arms. Options of a method are named wherever they decide what is measured.

const MEDIAN: &[Given] = &[("threshold", "median")];
const MEAN: &[Given] = &[("threshold", "mean")];
const MAX_SCALE: &[Given] = &[("scale", "max"), ("rounding", "leaf")];
const MEAN_SCALE: &[Given] = &[("scale", "mean"), ("rounding", "leaf"), ("mean_form", "clip")];
const WHOLE_RANGE: &[Given] = &[("range", "symmetric"), ("per", "tensor")];

const fn median(bits: u8) -> Pick {
    Pick::new("balanced", bits, &[MEDIAN, MAX_SCALE])
}

const fn mean(bits: u8) -> Pick {
    Pick::new("balanced", bits, &[MEAN, MAX_SCALE])
}

const fn means(bits: u8) -> Pick {
    Pick::new("balanced", bits, &[MEAN, MEAN_SCALE])
}

const fn uniform(bits: u8) -> Pick {
    Pick::new("uniform", bits, &[WHOLE_RANGE])
}

/// The base k-bit grid of the balanced paper, also below its uniform arm: only the weights' quantizer differs.
const BALANCED_A2: Pick = Pick::new("balanced", 2, &[]);

const MEDIAN_W2: Arm = Arm::weights("balanced (median) w2", median(2));
const MEDIAN_W3: Arm = Arm::weights("balanced (median) w3", median(3));
const MEDIAN_W4: Arm = Arm::weights("balanced (median) w4", median(4));
const MEDIAN_W2A2: Arm = Arm::both("balanced (median) w2 a2", median(2), BALANCED_A2);
const MEAN_W2: Arm = Arm::weights("balanced (mean) w2", mean(2));
const MEAN_W3: Arm = Arm::weights("balanced (mean) w3", mean(3));
const MEAN_W4: Arm = Arm::weights("balanced (mean) w4", mean(4));
const MEANS_W2: Arm = Arm::weights("balanced (mean, mean scale) w2", means(2));
const MEANS_W4: Arm = Arm::weights("balanced (mean, mean scale) w4", means(4));
const MEANS_W2A2: Arm = Arm::both("balanced (mean, mean scale) w2 a2", means(2), BALANCED_A2);
const MEAN_SCALE_W2: Arm =
    Arm::weights("balanced (median, mean scale) w2", Pick::new("balanced", 2, &[MEDIAN, MEAN_SCALE]));
const MEAN_SCALE_W2A2: Arm =
    Arm::both("balanced (median, mean scale) w2 a2", Pick::new("balanced", 2, &[MEDIAN, MEAN_SCALE]), BALANCED_A2);
const UNIFORM_W2: Arm = Arm::weights("uniform w2", uniform(2));
const UNIFORM_W3: Arm = Arm::weights("uniform w3", uniform(3));
const UNIFORM_W4: Arm = Arm::weights("uniform w4", uniform(4));
const UNIFORM_W2A2: Arm = Arm::both("uniform w2 a2", uniform(2), BALANCED_A2);

const BINARY: &[Given] = &[("base", "bwn")];
const TERNARY: &[Given] = &[("base", "twn")];
/// The base alone: everything quantized from the first step.
const ALL: &[Given] = &[("portion", "1"), ("portions", ABSENT)];
const STAGES: &[Given] = &[("portion", ABSENT), ("portions", ABSENT), ("lengths", ABSENT), ("draw", "quantized")];
const FILTERS: &[Given] = &[("granularity", "filter")];
const ROULETTE: &[Given] = &[("selection", "roulette")];
const LINEAR: &[Given] = &[("probability", "linear")];
const EXPONENTIAL: &[Given] = &[("schedule", "exponential")];

const fn stochastic(name: &'static str, bits: u8, options: &'static [&'static [Given]]) -> Arm {
    Arm::weights(name, Pick::new("stochastic", bits, options))
}

/// Stages of the exponential schedule, and parts of the training that go with them.
const FOUR: u32 = 4;
/// The same of the other two schedules.
const FIVE: u32 = 5;

const BWN: Arm = stochastic("bwn", 1, &[BINARY, ALL]).in_parts(1);
const BWN_IN_PARTS: Arm = stochastic("bwn in 4 parts", 1, &[BINARY, ALL]).in_parts(FOUR);
const TWN: Arm = stochastic("twn", 2, &[TERNARY, ALL]).in_parts(1);
const TWN_IN_PARTS: Arm = stochastic("twn in 4 parts", 2, &[TERNARY, ALL]).in_parts(FOUR);
const SQ_BWN: Arm = stochastic("sq-bwn", 1, &[BINARY, STAGES, FILTERS, ROULETTE, LINEAR, EXPONENTIAL]).in_parts(FOUR);
const SQ_TWN: Arm = stochastic("sq-twn", 2, &[TERNARY, STAGES, FILTERS, ROULETTE, LINEAR, EXPONENTIAL]).in_parts(FOUR);
const SQ_SORTED: Arm =
    stochastic("sq-bwn (sorted)", 1, &[BINARY, STAGES, FILTERS, &[("selection", "sorted")], LINEAR, EXPONENTIAL])
        .in_parts(FOUR);
const SQ_FIXED: Arm =
    stochastic("sq-bwn (fixed)", 1, &[BINARY, STAGES, FILTERS, &[("selection", "fixed")], LINEAR, EXPONENTIAL])
        .in_parts(FOUR);
const SQ_CONSTANT: Arm = stochastic(
    "sq-bwn (constant)",
    1,
    &[BINARY, STAGES, FILTERS, ROULETTE, &[("probability", "constant")], EXPONENTIAL],
)
.in_parts(FOUR);
const SQ_SOFTMAX: Arm =
    stochastic("sq-bwn (softmax)", 1, &[BINARY, STAGES, FILTERS, ROULETTE, &[("probability", "softmax")], EXPONENTIAL])
        .in_parts(FOUR);
const SQ_SIGMOID: Arm =
    stochastic("sq-bwn (sigmoid)", 1, &[BINARY, STAGES, FILTERS, ROULETTE, &[("probability", "sigmoid")], EXPONENTIAL])
        .in_parts(FOUR);
const SQ_AVERAGE: Arm =
    stochastic("sq-bwn (average)", 1, &[BINARY, STAGES, FILTERS, ROULETTE, LINEAR, &[("schedule", "average")]])
        .in_parts(FIVE);
const SQ_FINETUNE: Arm =
    stochastic("sq-bwn (finetune)", 1, &[BINARY, STAGES, FILTERS, ROULETTE, LINEAR, &[("schedule", "finetune")]])
        .in_parts(FIVE);

const OPTIMAL: &[Given] = &[("variant", "optimal"), ("solver", "exact")];
const TERNARY_FIT: &[Given] = &[("variant", "ternary"), ("solver", "exact")];
const GREEDY: &[Given] = &[("variant", "greedy")];
const PER_SAMPLE: &[Given] = &[("average", "off")];

const fn least_squares(name: &'static str, bits: u8, variant: &'static [&'static [Given]]) -> Arm {
    Arm::both(name, Pick::new("least-squares", 1, &[OPTIMAL]), Pick::new("least-squares", bits, variant))
}

const LS1: Arm = least_squares("LS-1 a1", 1, &[OPTIMAL, PER_SAMPLE]);
const LS_T: Arm = least_squares("LS-T a2", 2, &[TERNARY_FIT, PER_SAMPLE]);
const LS2: Arm = least_squares("LS-2 a2", 2, &[OPTIMAL, PER_SAMPLE]);
const GF2: Arm = least_squares("GF-2 a2", 2, &[GREEDY, PER_SAMPLE]);
const LS2_W2: Arm = Arm::weights("LS-2 w2", Pick::new("least-squares", 2, &[OPTIMAL]));

const fn dorefa(bits: u8) -> Pick {
    Pick::new("dorefa", bits, &[])
}

const DOREFA_W1A1: Arm = Arm::both("dorefa w1 a1", dorefa(1), dorefa(1));
const DOREFA_W1A2: Arm = Arm::both("dorefa w1 a2", dorefa(1), dorefa(2));
const DOREFA_W1A4: Arm = Arm::both("dorefa w1 a4", dorefa(1), dorefa(4));
const DOREFA_A2: Arm = Arm::both("dorefa w2 a2", dorefa(2), dorefa(2));
const PACT_A2: Arm = Arm::both("dorefa w2, pact a2", dorefa(2), Pick::new("pact", 2, &[]));
