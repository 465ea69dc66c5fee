//! The report as text, 80 columns wide.

use std::fmt::Write as _;

use xtask::ui::{Paint, Ui};

use super::{Fared, LineKind, Report, became, lines};
use crate::outcome::Outcome;
use crate::words::plain;

/// The width of a terminal, and of the labels before what they name.
const WIDTH: usize = 80;
const LABEL: usize = 12;

impl Report<'_> {
    /// What is printed at the end.
    pub(crate) fn text(&self, ui: &Ui) -> String {
        let mut text = String::new();
        for outcome in self.outcomes {
            bag(&mut text, outcome, ui);
        }
        let (user, password) = self.system.registry_user();
        let _ = writeln!(text, "{:<LABEL$}{}   ({user}, {password})", "Registry", self.system.registry_url());
        text + &self.verdict()
    }
}

fn bag(text: &mut String, outcome: &Outcome, ui: &Ui) {
    let (fared, words) = became(outcome);
    let paint = match fared {
        Fared::Well => Paint::Green,
        Fared::Refused => Paint::Yellow,
        Fared::Badly => Paint::Red,
    };
    let _ = writeln!(text, "{}: {}", ui.paint(Paint::Bold, &plain(&outcome.name)), ui.paint(paint, &words));
    for line in lines(outcome) {
        let time = line.seconds.map(|seconds| format!(" ({seconds:.1} s)")).unwrap_or_default();
        let before = text.len();
        labelled(text, line.label, &(line.says + &time));
        if line.kind == LineKind::Wrong {
            let said = text.split_off(before);
            text.push_str(&ui.paint(Paint::Red, said.trim_end()));
            text.push('\n');
        }
    }
    text.push('\n');
}

/// A label and what it names, broken between words where a line would be longer than a terminal.
fn labelled(text: &mut String, label: &str, what: &str) {
    let mut line = format!("  {label:<0$}", LABEL - 2);
    let mut used = LABEL;
    for (number, word) in what.split(' ').enumerate() {
        let length = word.chars().count();
        if number > 0 && used + 1 + length > WIDTH {
            let _ = writeln!(text, "{line}");
            line = " ".repeat(LABEL);
            used = LABEL;
        } else if number > 0 {
            line.push(' ');
            used += 1;
        }
        line.push_str(word);
        used += length;
    }
    let _ = writeln!(text, "{line}");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_lines_are_broken_between_words() {
        let mut text = String::new();
        labelled(&mut text, "reason", &["word"; 20].join(" "));
        labelled(&mut text, "", &"x".repeat(90));
        let lines: Vec<&str> = text.lines().collect();
        assert_eq!(lines.len(), 3);
        assert!(lines[0].starts_with("  reason    word word") && lines[0].len() <= WIDTH, "{text}");
        assert_eq!(lines[1].trim_start().split(' ').count() + lines[0].matches("word").count(), 20);
        assert_eq!(lines[2].len(), LABEL + 90);
    }
}
