//! Which question a panel answers: what is quantized, which bit width runs along its axis, and which is held.

use std::collections::{BTreeMap, BTreeSet};

use crate::accuracy::Row;
use crate::bit_widths::{self, FLOAT_WIDTH};

/// A question about bit widths.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Question {
    /// Weights alone.
    Weights,
    /// Weights and activations, of the same width.
    Both,
    /// Activations alone.
    Activations,
    /// Weights of any width with activations of one.
    WeightsAt(u32),
    /// Activations of any width with weights of one.
    ActivationsAt(u32),
    /// Gradients of any width with weights and activations of one each.
    Gradients(u32, u32),
    /// Settings that no line goes through.
    Rest,
}

/// Bit widths of one line from which on a question of its own is worth a panel.
const LINE: usize = 3;

impl Question {
    /// Title of its panel.
    pub(crate) fn title(self) -> String {
        match self {
            Question::Weights => "Weights only".to_owned(),
            Question::Both => "Weights and activations".to_owned(),
            Question::Activations => "Activations only".to_owned(),
            Question::WeightsAt(bits) => format!("Weights, with activations of {}", in_bits(bits)),
            Question::ActivationsAt(bits) => format!("Activations, with weights of {}", in_bits(bits)),
            Question::Gradients(weights, activations) => {
                format!("Gradients, with weights of {} and activations of {}", in_bits(weights), in_bits(activations))
            }
            Question::Rest => "Other settings".to_owned(),
        }
    }

    /// Words for the horizontal axis.
    pub(crate) fn axis(self) -> &'static str {
        match self {
            Question::Weights | Question::WeightsAt(_) => "Bits of weights",
            Question::Both => "Bits of weights and of activations",
            Question::Activations | Question::ActivationsAt(_) => "Bits of activations",
            Question::Gradients(..) => "Bits of gradients",
            Question::Rest => "Bits of weights / activations (/ gradients)",
        }
    }

    /// Where a row stands on the axis: comparable with others of the same panel, and its name.
    pub(crate) fn place(self, row: &Row) -> ([u32; 3], String) {
        let [weights, activations, gradients] = row.widths;
        let one = |width: u32| ([width, 0, 0], width.to_string());
        match self {
            Question::Weights | Question::Both | Question::WeightsAt(_) => one(weights),
            Question::Activations | Question::ActivationsAt(_) => one(activations),
            Question::Gradients(..) => one(gradients),
            Question::Rest => (row.widths, widths(row)),
        }
    }

    /// True where lines go from width to width.
    pub(crate) fn has_lines(self) -> bool {
        self != Question::Rest
    }
}

fn in_bits(width: u32) -> String {
    match width {
        1 => "1 bit".to_owned(),
        FLOAT_WIDTH => "full precision".to_owned(),
        width => format!("{width} bits"),
    }
}

/// Bit widths of a row in a sentence: `weights of 2 bits`, `weights and activations of 1 bit`.
pub(crate) fn sentence(row: &Row) -> String {
    let [weights, activations, gradients] = row.widths;
    let forward = match (weights, activations) {
        (FLOAT_WIDTH, FLOAT_WIDTH) => String::new(),
        (weights, FLOAT_WIDTH) => format!("weights of {}", in_bits(weights)),
        (FLOAT_WIDTH, activations) => format!("activations of {}", in_bits(activations)),
        (weights, activations) if weights == activations => format!("weights and activations of {}", in_bits(weights)),
        (weights, activations) => format!("weights of {}, activations of {}", in_bits(weights), in_bits(activations)),
    };
    let backward = (gradients != FLOAT_WIDTH).then(|| format!("gradients of {}", in_bits(gradients)));
    [Some(forward).filter(|forward| !forward.is_empty()), backward].into_iter().flatten().collect::<Vec<_>>().join(", ")
}

/// Bit widths of a row, see [`bit_widths::in_words`].
pub(crate) fn widths(row: &Row) -> String {
    bit_widths::in_words(row.widths)
}

/// Where settings of bit widths stand in a list: weights alone first, then weights and activations, activations alone
/// and gradients, and fewer bits before more.
pub(crate) type SettingOrder = (u32, u32, u32, u32);

/// The place of a row in such a list.
pub(crate) fn setting_order(row: &Row) -> SettingOrder {
    let [weights, activations, gradients] = row.widths;
    let kind = match row.widths {
        [_, _, gradients] if gradients != FLOAT_WIDTH => 3,
        [_, FLOAT_WIDTH, _] => 0,
        [FLOAT_WIDTH, _, _] => 2,
        _ => 1,
    };
    (kind, activations, weights, gradients)
}

/// Rows of one place by the question that they answer, every quantized row at least once. A row whose weights and
/// activations have the same width may also stand on a line where one of the two is held.
pub(crate) fn questions<'a>(rows: &[&'a Row]) -> BTreeMap<Question, Vec<&'a Row>> {
    let mut found: BTreeMap<Question, Vec<&Row>> = BTreeMap::new();
    let quantized: Vec<&Row> = rows.iter().copied().filter(|row| !row.is_float).collect();
    let mut mixed: Vec<&Row> = Vec::new();
    let mut with_gradients: Vec<&Row> = Vec::new();
    for row in &quantized {
        match row.widths {
            [_, _, gradients] if gradients != FLOAT_WIDTH => with_gradients.push(row),
            [_, FLOAT_WIDTH, _] => found.entry(Question::Weights).or_default().push(row),
            [FLOAT_WIDTH, _, _] => found.entry(Question::Activations).or_default().push(row),
            [weights, activations, _] if weights == activations => {
                found.entry(Question::Both).or_default().push(row);
            }
            _ => mixed.push(row),
        }
    }
    let held = |role: usize, width: u32| {
        let both = |row: &&Row| row.widths[2] == FLOAT_WIDTH && row.widths[..2].iter().all(|w| *w != FLOAT_WIDTH);
        quantized.iter().copied().filter(both).filter(|row| row.widths[role] == width).collect::<Vec<&Row>>()
    };
    for (role, question) in [(1, Question::WeightsAt as fn(u32) -> Question), (0, Question::ActivationsAt)] {
        let widths: BTreeSet<u32> = mixed.iter().map(|row| row.widths[role]).collect();
        for width in widths {
            let line = held(role, width);
            if has_line(&line, 1 - role) {
                mixed.retain(|row| row.widths[role] != width);
                found.insert(question(width), line);
            }
        }
    }
    let combinations: BTreeSet<[u32; 2]> = with_gradients.iter().map(|row| [row.widths[0], row.widths[1]]).collect();
    for [weights, activations] in combinations {
        let here: Vec<&Row> =
            with_gradients.iter().copied().filter(|row| row.widths[..2] == [weights, activations]).collect();
        // Two widths of gradients are a question already: there is seldom more.
        let several = here.iter().map(|row| row.widths[2]).collect::<BTreeSet<_>>().len() > 1;
        if several {
            found.insert(Question::Gradients(weights, activations), here);
        } else {
            mixed.extend(here);
        }
    }
    if !mixed.is_empty() {
        found.insert(Question::Rest, mixed);
    }
    found
}

/// True where the rows of some name have enough different widths of a role.
fn has_line(rows: &[&Row], role: usize) -> bool {
    let mut widths: BTreeMap<&str, BTreeSet<u32>> = BTreeMap::new();
    for row in rows {
        widths.entry(&row.method).or_default().insert(row.widths[role]);
    }
    widths.values().any(|widths| widths.len() >= LINE)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::samples::{method, record};
    use crate::trials::Trials;
    use harness_records::config::MethodChoice;
    use harness_records::record::RunRecord;

    /// Places on the axes of all panels.
    fn sorted(settings: &[(u8, u8, u8)]) -> Vec<(Question, Vec<String>)> {
        let choice = |bits: u8| if bits == 32 { MethodChoice::float() } else { method("dorefa", bits, &[]) };
        let records: Vec<RunRecord> =
            settings.iter().map(|&(w, a, g)| record().quant(choice(w), choice(a), choice(g)).build()).collect();
        let trials = Trials::new(&records, &[]).unwrap();
        let rows: Vec<&Row> = trials.rows().unwrap().iter().collect();
        let named = |(question, rows): (Question, Vec<&Row>)| {
            let mut places: Vec<_> = rows.iter().map(|row| question.place(row)).collect();
            places.sort();
            (question, places.into_iter().map(|(_, name)| name).collect::<Vec<_>>())
        };
        questions(&rows).into_iter().map(named).collect()
    }

    fn expect(settings: &[(u8, u8, u8)], expected: &[(Question, &[&str])]) {
        let expected: Vec<(Question, Vec<String>)> = expected
            .iter()
            .map(|(question, places)| (*question, places.iter().map(|place| (*place).to_owned()).collect()))
            .collect();
        assert_eq!(sorted(settings), expected);
    }

    #[test]
    fn what_is_quantized_decides() {
        expect(&[(32, 32, 32)], &[]);
        expect(&[(1, 32, 32), (2, 32, 32)], &[(Question::Weights, &["1", "2"])]);
        expect(&[(2, 2, 32), (10, 10, 32)], &[(Question::Both, &["2", "10"])]);
        expect(&[(32, 2, 32)], &[(Question::Activations, &["2"])]);
        expect(&[(1, 2, 32), (1, 4, 32)], &[(Question::Rest, &["1/2", "1/4"])]);
        expect(&[(1, 2, 6)], &[(Question::Rest, &["1/2/6"])]);
        expect(&[(1, 2, 6), (1, 2, 8)], &[(Question::Gradients(1, 2), &["6", "8"])]);
    }

    #[test]
    fn settings_are_told_in_words() {
        let check = |widths: (u8, u8, u8), expected: &str| {
            let choice = |bits: u8| if bits == 32 { MethodChoice::float() } else { method("dorefa", bits, &[]) };
            let record = record().quant(choice(widths.0), choice(widths.1), choice(widths.2)).build();
            let trials = Trials::new(&[record], &[]).unwrap();
            assert_eq!(sentence(&trials.rows().unwrap()[0]), expected);
        };
        check((1, 32, 32), "weights of 1 bit");
        check((32, 2, 32), "activations of 2 bits");
        check((3, 3, 32), "weights and activations of 3 bits");
        check((1, 2, 32), "weights of 1 bit, activations of 2 bits");
        check((1, 2, 6), "weights of 1 bit, activations of 2 bits, gradients of 6 bits");
        check((32, 32, 8), "gradients of 8 bits");
    }

    #[test]
    fn three_points_of_a_line_are_a_question() {
        expect(
            &[(1, 1, 32), (1, 2, 32), (1, 4, 32)],
            &[(Question::Both, &["1"]), (Question::ActivationsAt(1), &["1", "2", "4"])],
        );
        expect(
            &[(1, 2, 32), (2, 2, 32), (4, 2, 32)],
            &[(Question::Both, &["2"]), (Question::WeightsAt(2), &["1", "2", "4"])],
        );
        // A full square is told by one panel for each width of the activations.
        let square: Vec<(u8, u8, u8)> = [1, 2, 4].iter().flat_map(|&w| [1, 2, 4].map(|a| (w, a, 32))).collect();
        let questions: Vec<Question> = sorted(&square).into_iter().map(|(question, _)| question).collect();
        assert_eq!(questions, [Question::Both, Question::WeightsAt(1), Question::WeightsAt(2), Question::WeightsAt(4)]);
    }
}
