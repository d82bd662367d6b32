//! Which configurations share a panel where each is a line: those of one setting of bit widths, so that methods are
//! compared, or those of one method where no setting has two.

use std::collections::{BTreeMap, BTreeSet};

use crate::encode::one_line;
use crate::figures::configs::{Config, by_place};
use crate::figures::looks::Looks;
use crate::figures::questions::{SettingOrder, setting_order, widths};
use crate::figures::titles::Titles;
use crate::plot::style::Look;

/// A line of a panel.
pub(crate) struct Member<'a> {
    pub(crate) config: &'a Config<'a>,
    /// What the panel's title does not say of it.
    pub(crate) label: String,
    pub(crate) look: Look,
}

/// Lines that share a panel.
pub(crate) struct PanelGroup<'a> {
    pub(crate) title: String,
    pub(crate) members: Vec<Member<'a>>,
}

/// So many lines fit into one panel, whatever they are.
const FEW: usize = 6;

/// Configurations in panels, place by place. Full precision stands in every panel of its place.
pub(crate) fn groups<'a>(configs: &'a [Config<'a>], looks: &Looks) -> Vec<PanelGroup<'a>> {
    let titles = Titles::of(configs.iter().map(Config::place));
    let mut groups = Vec::new();
    for (place, here) in by_place(configs) {
        let (title, head) = (titles.get(place), titles.head(place));
        let (float, quantized): (Vec<&Config<'_>>, Vec<&Config<'_>>) = here.iter().partition(|c| c.row.is_float);
        if here.len() <= FEW {
            groups.push(PanelGroup { title, members: members(&here, looks, true) });
            continue;
        }
        let mut by_widths: BTreeMap<SettingOrder, Vec<&Config<'_>>> = BTreeMap::new();
        let mut by_name: BTreeMap<&str, Vec<&Config<'_>>> = BTreeMap::new();
        for config in &quantized {
            by_widths.entry(setting_order(config.row)).or_default().push(config);
            by_name.entry(&config.row.method).or_default().push(config);
        }
        let head = if head.is_empty() { head } else { format!("{head}: ") };
        if by_widths.values().any(|configs| configs.len() > 1) {
            for configs in by_widths.values() {
                let title = format!("{head}W/A {}", widths(configs[0].row));
                let all: Vec<&Config<'_>> = float.iter().chain(configs).copied().collect();
                groups.push(PanelGroup { title, members: members(&all, looks, false) });
            }
        } else {
            for (name, configs) in by_name {
                let all: Vec<&Config<'_>> = float.iter().chain(&configs).copied().collect();
                groups.push(PanelGroup {
                    title: format!("{head}{}", one_line(name)),
                    members: members(&all, looks, true),
                });
            }
        }
    }
    groups
}

fn members<'a>(configs: &[&'a Config<'a>], looks: &Looks, with_widths: bool) -> Vec<Member<'a>> {
    let mut seen: BTreeMap<&str, usize> = BTreeMap::new();
    let mut members: Vec<Member<'a>> = Vec::new();
    for config in configs {
        let name = config.row.method.as_str();
        let number = seen.entry(name).or_default();
        let look = looks.get(name).variant(*number);
        *number += 1;
        let label = if with_widths { config.label.clone() } else { one_line(name) };
        members.push(Member { config, label, look });
    }
    members
}

/// Labels of all members, each once, with the look of its first.
pub(crate) fn labels(groups: &[PanelGroup<'_>]) -> Vec<(String, Look)> {
    let mut seen = BTreeSet::new();
    let members = groups.iter().flat_map(|group| &group.members);
    members.filter(|m| seen.insert(m.label.clone())).map(|m| (m.label.clone(), m.look)).collect()
}
