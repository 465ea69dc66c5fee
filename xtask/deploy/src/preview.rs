//! The change set for people: which services only change their image, what else changes, and in red what needs an approval.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::json;
use xtask::cli::deploy::Checks;
use xtask::git;
use xtask::ui::{Paint, table};

use crate::change_set::ChangeSet;
use crate::changes::{Change, Class, Danger, Roll, Side, classify, rolls};
use crate::release::Origin;
use crate::session::Session;
use crate::template::facts::Image;

/// Most lines of `git log` that are shown.
const MOST_COMMITS: usize = 20;

/// What a change set does, sorted.
#[derive(Debug)]
pub(crate) struct Preview {
    pub(crate) rolls: Vec<Roll>,
    pub(crate) classes: Vec<(Change, Class)>,
}

impl Preview {
    pub(crate) fn of(set: &ChangeSet, old: Option<&Side<'_>>, new: &Side<'_>) -> Self {
        let old_template = old.map(|side| side.scope.template);
        let classes = set
            .changes
            .iter()
            .map(|change| (change.clone(), classify(change, old_template, new.scope.template)))
            .collect();
        let none = crate::template::facts::Facts::default();
        let nothing = Side { scope: new.scope, facts: &none };
        Self { rolls: rolls(&set.changes, old.unwrap_or(&nothing), new), classes }
    }

    fn of_class(&self, wanted: fn(&Class) -> bool) -> impl Iterator<Item = &Change> {
        self.classes.iter().filter(move |(_, class)| wanted(class)).map(|(change, _)| change)
    }

    fn dangers(&self) -> impl Iterator<Item = (&Change, &Danger)> {
        self.classes.iter().filter_map(|(change, class)| match class {
            Class::Dangerous(danger) => Some((change, danger)),
            _ => None,
        })
    }

    pub(crate) fn removed(&self) -> impl Iterator<Item = &Change> {
        self.dangers().filter(|(_, danger)| **danger == Danger::Removed).map(|(change, _)| change)
    }

    /// What is dangerous and not approved, with the flag that would. `listed` are the removals of a list that was read.
    pub(crate) fn unapproved(&self, checks: &Checks, listed: &BTreeSet<String>) -> Vec<String> {
        let open = self.dangers().filter_map(|(change, danger)| {
            let id = &change.logical_id;
            let (flag, approved) = match danger {
                Danger::Removed => ("--allow-removal", checks.allow_removal.contains(id) || listed.contains(id)),
                _ => ("--allow-replacement", checks.allow_replacement.contains(id)),
            };
            (!approved).then(|| format!("{id} ({}) {}: {flag} {id}", change.kind, danger.text()))
        });
        open.collect()
    }

    /// One line for the confirmation.
    pub(crate) fn counts(&self) -> String {
        let image_only = self.rolls.iter().filter(|roll| roll.others.is_empty()).count();
        let parts = [
            (image_only, "change only their image"),
            (self.rolls.len() - image_only, "change otherwise"),
            (self.of_class(|class| *class == Class::Notable).count(), "other changes"),
            (self.dangers().count(), "replaced or removed"),
        ];
        let parts = parts.iter().filter(|(count, _)| *count > 0).map(|(count, what)| format!("{count} {what}"));
        parts.collect::<Vec<_>>().join(", ")
    }

    pub(crate) fn show(&self, session: &Session<'_>) {
        let ui = session.ui;
        let image = |reference: &str| Image::parse(reference).short();
        let row = |roll: &Roll| {
            let old = roll.old_image.as_deref().map_or_else(|| "new".to_owned(), image);
            vec![
                format!("  {}", roll.executable),
                format!("{old} → {}", image(&roll.new_image)),
                roll.others.join(", "),
            ]
        };
        let group = |title: &str, rows: Vec<Vec<String>>| {
            if !rows.is_empty() {
                ui.answer(&format!("{} ({})", ui.paint(Paint::Bold, title), rows.len()));
                ui.answer(&table(&rows));
            }
        };
        group("Only their image changes", self.rolls.iter().filter(|roll| roll.others.is_empty()).map(row).collect());
        group(
            "Services that change otherwise",
            self.rolls.iter().filter(|roll| !roll.others.is_empty()).map(row).collect(),
        );
        group("Settings that a service gets no longer", self.removed_settings());
        group("Other changes", by_kind(self.of_class(|class| *class == Class::Notable)));
        let red = |text: String| ui.paint(Paint::Red, &text);
        let dangers: Vec<Vec<String>> = self
            .dangers()
            .map(|(change, danger)| {
                let why: Vec<String> = change.properties().into_iter().map(str::to_owned).collect();
                let why = if why.is_empty() { String::new() } else { format!("because of {}", why.join(", ")) };
                vec![red(format!("  {} {}", change.logical_id, danger.text())), change.kind.clone(), why]
            })
            .collect();
        group(&red("Replaced or removed".to_owned()), dangers);
    }

    /// Each setting with the services that lose it.
    fn removed_settings(&self) -> Vec<Vec<String>> {
        let mut losers: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
        for roll in &self.rolls {
            for name in &roll.removed_settings {
                losers.entry(name).or_default().push(&roll.executable);
            }
        }
        let from = |names: Vec<&str>| match names.len() {
            0..=4 => names.join(", "),
            count => format!("{count} services"),
        };
        losers.into_iter().map(|(name, names)| vec![format!("  {name}"), from(names)]).collect()
    }

    /// The commits between what each changed image was and what it becomes, where git knows both.
    pub(crate) fn show_commits(&self, session: &Session<'_>, old: &Origin, new: &Origin) {
        let mut shown = BTreeSet::new();
        for roll in &self.rolls {
            let (Some(old), Some(new)) = (old.release(&roll.executable), new.release(&roll.executable)) else {
                continue;
            };
            if old.commit == new.commit || !shown.insert((&old.commit, &new.commit)) {
                continue;
            }
            let lines = git::one_liners(&session.catalog.root, &old.commit, &new.commit, MOST_COMMITS);
            if lines.is_empty() {
                continue;
            }
            session.ui.answer(&format!("Commits from {} to {}", old.tag, new.tag));
            session.ui.answer(&lines.iter().map(|line| format!("  {line}")).collect::<Vec<_>>().join("\n"));
        }
    }

    /// The whole list, for machines.
    pub(crate) fn record(&self, session: &Session<'_>, set: &ChangeSet) {
        let changes: Vec<_> = self
            .classes
            .iter()
            .map(|(change, class)| {
                let mut json = serde_json::to_value(change).unwrap_or_default();
                json["class"] = serde_json::to_value(class).unwrap_or_default();
                json
            })
            .collect();
        session.ui.record(
            "preview",
            &json!({ "change_set": set.id, "name": set.name, "services": self.rolls, "changes": changes }),
        );
    }
}

/// Additions and modifications, those of one kind in one row.
fn by_kind<'a>(changes: impl Iterator<Item = &'a Change>) -> Vec<Vec<String>> {
    let mut groups: BTreeMap<(&str, &str), Vec<String>> = BTreeMap::new();
    for change in changes {
        let properties: Vec<&str> = change.properties().into_iter().collect();
        let what = match (change.replacement.as_str(), properties.is_empty()) {
            ("True", _) => format!("{} (replaced)", change.logical_id),
            ("Conditional", _) => format!("{} (perhaps replaced)", change.logical_id),
            (_, false) if change.action == "Modify" => format!("{} ({})", change.logical_id, properties.join(", ")),
            _ => change.logical_id.clone(),
        };
        groups.entry((&change.action, &change.kind)).or_default().push(what);
    }
    let shown = |names: Vec<String>| match names.len() {
        0..=4 => names.join(", "),
        count => format!("{}, … ({count})", names[..3].join(", ")),
    };
    groups
        .into_iter()
        .map(|((action, kind), names)| vec![format!("  {action}"), kind.to_owned(), shown(names)])
        .collect()
}
