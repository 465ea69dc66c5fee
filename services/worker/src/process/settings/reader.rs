//! Reads settings and keeps the record of it: which were asked for, where each was found, what is wrong. Which settings
//! there are is for the sections to say.

use std::ffi::OsStr;
use std::marker::PhantomData;
use std::path::{Path, PathBuf};

use super::sources::{Origin, Sources};
use super::values::Value;

/// Looks settings up and records it.
#[derive(Debug)]
pub struct Reader<'s> {
    sources: &'s Sources,
    report: Report,
}

/// What became of the settings that a program asked for.
#[derive(Debug, Default)]
pub(crate) struct Report {
    pub(crate) entries: Vec<Entry>,
    /// One line each: the setting, what is wrong, what to do.
    pub(crate) problems: Vec<String>,
    /// Folders that the program needs.
    pub(crate) directories: Vec<PathBuf>,
}

/// One row of the table of `--check-settings`.
#[derive(Debug)]
pub(crate) struct Entry {
    pub(crate) name: String,
    pub(crate) need: &'static str,
    pub(crate) kind: &'static str,
    pub(crate) source: String,
    pub(crate) value: String,
}

/// A setting is missing or wrong. Only [`Reader::refuse`] makes one, so that nothing is refused without a word.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a setting is missing or wrong")]
pub struct Reported(());

/// One setting that is being asked for; ends with `required`, `optional` or `or`.
#[derive(Debug)]
#[must_use]
pub struct Setting<'r, 's, T> {
    reader: &'r mut Reader<'s>,
    name: String,
    other: Option<&'static str>,
    scope: Scope,
    check: Check<T>,
    value: PhantomData<T>,
}

/// Passes the value on, or says what is wrong with it and what to do.
type Check<T> = fn(T) -> Result<T, String>;

#[derive(Debug, Clone, Copy)]
enum Scope {
    Everywhere,
    EnvironmentOnly,
}

impl<'s> Reader<'s> {
    pub fn new(sources: &'s Sources) -> Self {
        let problem = sources.problem.as_ref().map(|problem| format!("{}: {problem}", sources.file_name()));
        Self { sources, report: Report { problems: problem.into_iter().collect(), ..Report::default() } }
    }

    /// Asks for a setting of the kind `T`.
    pub fn setting<T: Value>(&mut self, name: impl Into<String>) -> Setting<'_, 's, T> {
        let (name, other, scope, check, value) = (name.into(), None, Scope::Everywhere, Ok as Check<T>, PhantomData);
        Setting { reader: self, name, other, scope, check, value }
    }

    /// Asks for a setting that may be spelled in two ways; if both are set, they must agree.
    pub fn spelled<T: Value>(&mut self, name: &str, other: Option<&'static str>) -> Setting<'_, 's, T> {
        Setting { other, ..self.setting(name) }
    }

    /// Records a problem that more than one setting is part of.
    pub fn refuse(&mut self, problem: String) -> Reported {
        self.report.problems.push(problem);
        Reported(())
    }

    /// Has the folder made when the program starts.
    pub fn create_at_start(&mut self, directory: &Path) {
        self.report.directories.push(directory.to_owned());
    }

    /// The value of `APT_ENV`, if it is set.
    pub fn environment_name(&self) -> Option<&'s str> {
        self.sources.environment_name()
    }

    pub(crate) fn finish(self) -> Report {
        self.report
    }
}

impl<'s, T: Value> Setting<'_, 's, T> {
    /// The settings file does not count.
    pub fn in_environment_only(self) -> Self {
        Self { scope: Scope::EnvironmentOnly, ..self }
    }

    /// A condition beyond the kind; its error says what is wrong and what to do.
    pub fn check(self, check: fn(T) -> Result<T, String>) -> Self {
        Self { check, ..self }
    }

    pub fn required(mut self) -> Result<T, Reported> {
        if let Some(value) = self.look_up("required", "missing", None)? {
            return Ok(value);
        }
        let or = self.other.map(|other| format!(", nor is {other}")).unwrap_or_default();
        let problem = format!("{} is not set{or}; {}", self.name, T::ADVICE);
        Err(self.reader.refuse(problem))
    }

    pub fn optional(mut self) -> Result<Option<T>, Reported> {
        self.look_up("optional", "unset", None)
    }

    pub fn or(mut self, default: T) -> Result<T, Reported> {
        Ok(self.look_up("optional", "default", Some(default.show()))?.unwrap_or(default))
    }

    /// Finds, parses and records; `absent` and `default` are what the table shows when the setting is not set.
    fn look_up(&mut self, need: &'static str, absent: &str, default: Option<String>) -> Result<Option<T>, Reported> {
        let (name, source, value, result) = match self.find() {
            Ok(None) => {
                let spelling = self.other.map_or("-".to_owned(), |other| format!("- (or {other})"));
                (self.name.clone(), absent.to_owned(), default.unwrap_or(spelling), Ok(None))
            }
            Ok(Some((name, origin, text))) => {
                let parsed = self.parse(text);
                let value = parsed.as_ref().map_or(REFUSED.to_owned(), T::show);
                let result = parsed.map(Some).map_err(|problem| format!("{name} {problem}"));
                (name, self.reader.sources.describe(origin), value, result)
            }
            Err(conflict) => (self.name.clone(), "twice".to_owned(), REFUSED.to_owned(), Err(conflict)),
        };
        self.reader.report.entries.push(Entry { name, need, kind: T::KIND, source, value });
        result.map_err(|problem| self.reader.refuse(problem))
    }

    /// The spelling that is set, with its value; an error if both are and differ.
    fn find(&self) -> Result<Option<(String, Origin, &'s OsStr)>, String> {
        let sources = self.reader.sources;
        let get = |name: &str| match self.scope {
            Scope::Everywhere => sources.get(name),
            Scope::EnvironmentOnly => sources.get_in_environment(name),
        };
        let name = &self.name;
        let first = get(name).map(|(origin, text)| (name.clone(), origin, text));
        let second = self.other.and_then(|other| get(other).map(|(origin, text)| (other.to_owned(), origin, text)));
        match (first, second) {
            (Some((.., text)), Some((other, _, other_text))) if text != other_text => {
                Err(format!("{name} and {other} are two names of one setting and differ; unset one of them"))
            }
            (first, second) => Ok(first.or(second)),
        }
    }

    fn parse(&self, text: &OsStr) -> Result<T, String> {
        let text = text.to_str().ok_or_else(|| "is not UTF-8".to_owned());
        let value = text.and_then(|text| T::parse(text, self.reader.sources));
        value.map_err(|wrong| format!("{wrong}; {}", T::ADVICE)).and_then(self.check)
    }
}

/// What the table shows instead of a value that was found but cannot be used.
const REFUSED: &str = "<refused>";
