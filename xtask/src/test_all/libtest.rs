//! Reads what `cargo test` prints: cargo's headers and libtest's stable lines, or those of a harness that imitates it, in one stream,
//! in the order in which they came.
//!
//! It knows nothing of processes. Whatever cannot be explained is a failure: a suite that ends without its result line
//! has crashed, and a result line that disagrees with the tests before it is believed only as far as it makes things worse.

use std::fmt::Write as _;

/// How a test ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Outcome {
    Passed,
    Failed,
    /// The reason, where the attribute gives one.
    Ignored(Option<String>),
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Test {
    pub(crate) name: String,
    pub(crate) outcome: Outcome,
    /// What it printed, if it failed.
    pub(crate) output: String,
}

/// One test executable.
#[derive(Debug, Default)]
pub(crate) struct Suite {
    /// The crate, with the source file of its tests.
    pub(crate) name: String,
    pub(crate) tests: Vec<Test>,
    /// Why it ended without a result.
    pub(crate) broken: Option<String>,
    announced: usize,
    in_result: Counts,
    finished: bool,
    /// The last lines that are neither a test nor a result: what a crash leaves.
    tail: Vec<String>,
    /// Tests that libtest says take long, until they end.
    slow: Vec<String>,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Counts {
    passed: usize,
    failed: usize,
    ignored: usize,
}

/// What the reader may want to show at once.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Event {
    /// A suite begins.
    Suite(String),
    /// So many tests are about to run.
    Announced(usize),
    /// A test ended.
    Ended(String, Outcome),
}

#[derive(Debug)]
pub(crate) struct Parser {
    suites: Vec<Suite>,
    mode: Mode,
}

#[derive(Debug)]
enum Mode {
    Tests,
    /// libtest runs one test at a time and has printed its name only; other output may come before the outcome.
    Pending(String),
    /// The list of what the failed tests printed; the number of the one whose output this is.
    Failures(Option<usize>),
}

/// How many lines of a crash are kept.
const TAIL: usize = 40;

impl Parser {
    pub(crate) fn new() -> Self {
        Self { suites: Vec::new(), mode: Mode::Tests }
    }

    pub(crate) fn line(&mut self, line: &str) -> Option<Event> {
        if let Mode::Failures(shown) = self.mode {
            self.failures_line(shown, line);
            return None;
        }
        if let Some(name) = header(line) {
            self.mode = Mode::Tests;
            self.suites.push(Suite { name: name.clone(), ..Suite::default() });
            return Some(Event::Suite(name));
        }
        let suite = self.suites.last_mut()?;
        if let Some(count) = announcement(line) {
            suite.announced += count;
            suite.finished = false;
            return Some(Event::Announced(count));
        }
        if let Some(how) = crash(line) {
            suite.broken = Some(match &self.mode {
                Mode::Pending(name) => format!("{how}, while it ran {name}"),
                _ => how,
            });
            return None;
        }
        if let Some(counts) = result(line) {
            suite.finish(counts);
            return None;
        }
        if line == "failures:" && suite.tests.iter().any(|test| test.outcome == Outcome::Failed) {
            self.mode = Mode::Failures(None);
            return None;
        }
        if let Some(name) = line.strip_suffix(" has been running for over 60 seconds") {
            suite.slow.extend(name.strip_prefix("test ").map(str::to_owned));
            return None;
        }
        if let Mode::Pending(name) = &self.mode
            && let Some(outcome) = outcome(line.rsplit(' ').next().unwrap_or_default())
        {
            let name = name.clone();
            self.mode = Mode::Tests;
            return Some(self.suites.last_mut()?.test(name, outcome));
        }
        if let Some((name, rest)) = line.strip_prefix("test ").and_then(|rest| rest.split_once(" ... ")) {
            let name = without_mark(name.trim_end()).to_owned();
            match outcome(rest) {
                Some(outcome) => return Some(suite.test(name, outcome)),
                None => self.mode = Mode::Pending(name),
            }
            return None;
        }
        if !line.trim().is_empty() && !line.starts_with("error: test failed") && line != "Caused by:" {
            suite.tail.push(line.to_owned());
            let over = suite.tail.len().saturating_sub(TAIL);
            suite.tail.drain(..over);
        }
        None
    }

    /// A failed test may print anything, also the output of another test run: only the names of the tests that failed
    /// open a block, and only a result that fits ends the list.
    fn failures_line(&mut self, shown: Option<usize>, line: &str) {
        let Some(suite) = self.suites.last_mut() else { return };
        let block = line.strip_prefix("---- ").and_then(|rest| rest.strip_suffix(" ----"));
        let block = block.map(|name| name.strip_suffix(" stdout").unwrap_or(name));
        let failed =
            |name: &str| suite.tests.iter().position(|test| test.outcome == Outcome::Failed && test.name == name);
        if let Some(index) = block.and_then(|name| failed(without_mark(name))) {
            self.mode = Mode::Failures(Some(index));
        } else if let Some(counts) = result(line)
            && suite.counted().fits(counts.plus(suite.in_result))
        {
            suite.finish(counts);
            self.mode = Mode::Tests;
        } else if line == "failures:" && shown.is_some() {
            self.mode = Mode::Failures(None);
        } else if let Some(test) = shown.and_then(|index| suite.tests.get_mut(index)) {
            test.output.push_str(line);
            test.output.push('\n');
        }
    }

    /// The suites, once the stream has ended.
    pub(crate) fn finish(self) -> Vec<Suite> {
        let mut suites = self.suites;
        for suite in &mut suites {
            suite.settle();
        }
        suites
    }
}

impl Suite {
    fn test(&mut self, name: String, outcome: Outcome) -> Event {
        self.slow.retain(|slow| *slow != name);
        self.tests.push(Test { name: name.clone(), outcome: outcome.clone(), output: String::new() });
        Event::Ended(name, outcome)
    }

    fn counted(&self) -> Counts {
        let count = |is: fn(&Outcome) -> bool| self.tests.iter().filter(|test| is(&test.outcome)).count();
        Counts {
            passed: count(|outcome| matches!(outcome, Outcome::Passed)),
            failed: count(|outcome| matches!(outcome, Outcome::Failed)),
            ignored: count(|outcome| matches!(outcome, Outcome::Ignored(_))),
        }
    }

    /// Documentation tests come in several runs under one header, so results add up.
    fn finish(&mut self, counts: Counts) {
        self.in_result = self.in_result.plus(counts);
        self.finished = true;
    }

    /// Adds what the result line knows of and no line named, and says what is wrong with the suite.
    fn settle(&mut self) {
        for test in &mut self.tests {
            test.output = test.output.trim_matches('\n').to_owned();
        }
        if !self.finished && self.broken.is_none() {
            self.broken = Some("it ended without a result".to_owned());
        }
        if let Some(how) = &mut self.broken {
            let missing = self.announced.saturating_sub(self.tests.len());
            if missing > 0 {
                let _ = write!(how, "; {missing} of {} tests did not report", self.announced);
            }
            if !self.slow.is_empty() {
                let _ = write!(how, "; still running after a minute: {}", self.slow.join(", "));
            }
            for line in &self.tail {
                how.push('\n');
                how.push_str(line);
            }
            return;
        }
        let (seen, result) = (self.counted(), self.in_result);
        let lost = "(a test whose line was lost in other output)";
        let mut add = |count: usize, outcome: Outcome| {
            let test = Test { name: lost.to_owned(), outcome, output: String::new() };
            self.tests.extend(std::iter::repeat_n(test, count));
        };
        add(result.passed.saturating_sub(seen.passed), Outcome::Passed);
        add(result.failed.saturating_sub(seen.failed), Outcome::Failed);
        add(result.ignored.saturating_sub(seen.ignored), Outcome::Ignored(None));
        if !seen.fits(result) {
            self.broken = Some("its result line names fewer tests than ran".to_owned());
        }
    }
}

impl Counts {
    fn plus(self, other: Self) -> Self {
        Self {
            passed: self.passed + other.passed,
            failed: self.failed + other.failed,
            ignored: self.ignored + other.ignored,
        }
    }

    /// `whole` can be the result of a suite that has shown these so far: lines get lost, results do not shrink.
    fn fits(self, whole: Self) -> bool {
        self.passed <= whole.passed && self.failed <= whole.failed && self.ignored <= whole.ignored
    }
}

/// `     Running unittests src/main.rs (target/debug/deps/xtask-0123456789abcdef)`.
fn header(line: &str) -> Option<String> {
    let (source, path) = line.strip_prefix("     Running ")?.strip_suffix(')')?.split_once(" (")?;
    let file = path.rsplit(['/', '\\']).next()?;
    let name = file.rsplit_once('-').map_or(file, |(name, _)| name);
    Some(format!("{name} ({})", source.trim_start_matches("unittests ")))
}

/// `running 12 tests`.
fn announcement(line: &str) -> Option<usize> {
    let rest = line.strip_prefix("running ")?;
    rest.strip_suffix(" tests").or_else(|| rest.strip_suffix(" test"))?.parse().ok()
}

/// `test result: ok. 5 passed; 0 failed; 1 ignored; 0 measured; 0 filtered out; finished in 0.01s`. Output without a
/// newline may stand before it.
fn result(line: &str) -> Option<Counts> {
    let (_, rest) = line.split_once("test result: ")?;
    let (_, counts) = rest.split_once(". ")?;
    let mut found = Counts::default();
    let mut seen = 0;
    for part in counts.split("; ") {
        let Some((number, what)) = part.split_once(' ') else { continue };
        let field = match what {
            "passed" => &mut found.passed,
            "failed" => &mut found.failed,
            "ignored" => &mut found.ignored,
            _ => continue,
        };
        *field = number.parse().ok()?;
        seen += 1;
    }
    (seen == 3).then_some(found)
}

fn outcome(text: &str) -> Option<Outcome> {
    match text {
        "ok" => Some(Outcome::Passed),
        "FAILED" => Some(Outcome::Failed),
        "ignored" => Some(Outcome::Ignored(None)),
        _ if text.starts_with("bench:") => Some(Outcome::Passed),
        _ => text.strip_prefix("ignored, ").map(|reason| Outcome::Ignored(Some(reason.to_owned()))),
    }
}

/// Cargo's words on a harness that did not end by itself: `process didn't exit successfully: `…` (signal: 6, SIGABRT: …)`.
fn crash(line: &str) -> Option<String> {
    let (_, rest) = line.split_once("process didn't exit successfully: `")?;
    let (_, how) = rest.rsplit_once("` (")?;
    Some(how.strip_suffix(')').unwrap_or(how).to_owned())
}

/// A test's name as `--exact` takes it.
fn without_mark(name: &str) -> &str {
    [" - should panic", " - compile fail", " - compile"].iter().find_map(|mark| name.strip_suffix(mark)).unwrap_or(name)
}

#[cfg(test)]
mod tests;
