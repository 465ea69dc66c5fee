//! The command line, in the syntax of Go's `flag` package, which existing task definitions and scripts use: `-name value`,
//! `-name=value`, and both with two dashes. Which flags there are is for the kind of program to say.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::time::Duration;

use crate::process::settings::parse_duration;

/// A flag that a program takes.
#[derive(Debug, Clone, Copy)]
pub struct Flag {
    pub name: &'static str,
    pub takes: Takes,
    /// For `--help`: a sentence without its point.
    pub help: &'static str,
}

/// What follows a flag.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Takes {
    /// Nothing, or `=true` or `=false`.
    Nothing,
    Number,
    /// In Go's notation.
    Duration,
}

/// The one argument that is not a flag.
#[derive(Debug, Clone, Copy)]
pub struct Operand {
    /// In capitals, for `--help`.
    pub name: &'static str,
    pub help: &'static str,
}

/// What was given on the command line.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Arguments {
    given: BTreeMap<&'static str, Given>,
    operand: Option<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Given {
    Switch(bool),
    Number(i64),
    Duration(Duration),
}

/// What the process is asked to do.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Request {
    Help,
    Version,
    Health,
    CheckSettings(Arguments),
    Work(Arguments),
}

const HELP: Flag = Flag { name: "help", takes: Takes::Nothing, help: "print this text" };
const VERSION: Flag =
    Flag { name: "version", takes: Takes::Nothing, help: "print version and SHA-256 of this executable" };
const CHECK_SETTINGS: Flag = Flag {
    name: "check-settings",
    takes: Takes::Nothing,
    help: "print every setting that would be read and what is wrong",
};
const HEALTH: Flag =
    Flag { name: "health", takes: Takes::Nothing, help: "tell whether the running process is healthy" };

/// The flags that every program takes.
pub(crate) const COMMON: [Flag; 4] = [HELP, VERSION, CHECK_SETTINGS, HEALTH];

impl Arguments {
    /// Whether the flag was given, other than as `=false`.
    pub fn has(&self, flag: Flag) -> bool {
        self.given.get(flag.name) == Some(&Given::Switch(true))
    }

    /// The flag's number, if it was given and is greater than zero; anything else means "not given", as in Go.
    pub fn number(&self, flag: Flag) -> Option<u32> {
        match self.given.get(flag.name) {
            Some(Given::Number(number @ 1..)) => u32::try_from(*number).ok(),
            _ => None,
        }
    }

    /// The flag's duration, if it was given and is longer than zero.
    pub fn duration(&self, flag: Flag) -> Option<Duration> {
        match self.given.get(flag.name) {
            Some(Given::Duration(duration)) if !duration.is_zero() => Some(*duration),
            _ => None,
        }
    }

    /// The argument that is not a flag.
    pub fn operand(&self) -> Option<&str> {
        self.operand.as_deref()
    }
}

/// Reads the arguments behind the program's name. The error is a sentence for the user.
pub(crate) fn parse(
    flags: &[Flag],
    operand: Option<Operand>,
    arguments: impl IntoIterator<Item = OsString>,
) -> Result<Request, String> {
    let mut arguments = arguments.into_iter().map(|argument| {
        argument.into_string().map_err(|argument| format!("the argument {} is not UTF-8", argument.display()))
    });
    let mut found = Arguments::default();
    let mut only_operands = false;
    while let Some(argument) = arguments.next().transpose()? {
        let dashed = argument.strip_prefix("--").or_else(|| argument.strip_prefix('-'));
        match dashed {
            Some("") if argument == "--" && !only_operands => only_operands = true,
            Some(text) if !only_operands && !text.is_empty() => {
                let (name, value) = match text.split_once('=') {
                    Some((name, value)) => (name, Some(value.to_owned())),
                    None => (text, None),
                };
                let flag = find(flags, name).ok_or_else(|| format!("there is no flag `{argument}`"))?;
                let value = match value {
                    Some(value) => Some(value),
                    None if flag.takes == Takes::Nothing => None,
                    None => arguments.next().transpose()?,
                };
                found.given.insert(flag.name, given(flag, value)?);
            }
            _ if operand.is_none() || argument.is_empty() => return Err(format!("`{argument}` is not expected here")),
            _ if found.operand.is_some() => return Err(format!("`{argument}` is one argument too many")),
            _ => found.operand = Some(argument),
        }
    }
    Ok(match found {
        found if found.has(HELP) => Request::Help,
        found if found.has(VERSION) => Request::Version,
        found if found.has(HEALTH) => Request::Health,
        found if found.has(CHECK_SETTINGS) => Request::CheckSettings(found),
        found => Request::Work(found),
    })
}

fn find(flags: &[Flag], name: &str) -> Option<Flag> {
    // Go's package answers to -h as well.
    let name = if name == "h" { HELP.name } else { name };
    flags.iter().chain(&COMMON).find(|flag| flag.name == name).copied()
}

fn given(flag: Flag, value: Option<String>) -> Result<Given, String> {
    let name = flag.name;
    match (flag.takes, value) {
        (Takes::Nothing, None) => Ok(Given::Switch(true)),
        (Takes::Nothing, Some(value)) => match value.as_str() {
            "1" | "t" | "T" | "true" | "TRUE" | "True" => Ok(Given::Switch(true)),
            "0" | "f" | "F" | "false" | "FALSE" | "False" => Ok(Given::Switch(false)),
            _ => Err(format!("--{name} takes true or false, not `{value}`")),
        },
        (_, None) => Err(format!("--{name} needs a value")),
        (Takes::Number, Some(value)) => match value.parse() {
            Ok(number) if number <= i64::from(u32::MAX) => Ok(Given::Number(number)),
            _ => Err(format!("--{name} takes a number, not `{value}`")),
        },
        (Takes::Duration, Some(value)) => match parse_duration(&value) {
            Ok(duration) => Ok(Given::Duration(duration)),
            Err(wrong) => Err(format!("--{name} takes a duration such as `90s` or `1h30m`: {wrong}")),
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const COUNT: Flag = Flag { name: "count", takes: Takes::Number, help: "" };
    const PAUSE: Flag = Flag { name: "pause", takes: Takes::Duration, help: "" };
    const ONCE: Flag = Flag { name: "once", takes: Takes::Nothing, help: "" };
    const FLAGS: &[Flag] = &[COUNT, PAUSE, ONCE];
    const THING: Option<Operand> = Some(Operand { name: "THING", help: "" });

    fn request(arguments: &str, operand: Option<Operand>) -> Result<Request, String> {
        parse(FLAGS, operand, arguments.split_whitespace().map(OsString::from))
    }

    fn work(arguments: &str) -> Arguments {
        match request(arguments, THING) {
            Ok(Request::Work(arguments)) => arguments,
            other => panic!("{arguments}: {other:?}"),
        }
    }

    #[test]
    fn flags_are_read_as_go_reads_them() {
        for arguments in ["-count 3", "--count 3", "-count=3", "--count=3", "-count 1 -count 3"] {
            assert_eq!(work(arguments).number(COUNT), Some(3), "{arguments}");
        }
        for arguments in ["", "-count 0", "-count -1", "-count=-1"] {
            assert_eq!(work(arguments).number(COUNT), None, "{arguments}");
        }
        for arguments in ["-once", "--once", "-once=true", "--once=1", "-once=T"] {
            assert!(work(arguments).has(ONCE), "{arguments}");
        }
        for arguments in ["", "-once=false", "--once=0", "-once -once=F"] {
            assert!(!work(arguments).has(ONCE), "{arguments}");
        }
        assert_eq!(work("-pause 1m30s").duration(PAUSE), Some(Duration::from_secs(90)));
        assert_eq!(work("--pause=0").duration(PAUSE), None);
    }

    #[test]
    fn the_operand_is_the_first_argument_that_is_no_flag() {
        // Upstream took `--run-once` for an identifier when it came first.
        for (arguments, operand) in [
            ("inst/bag/data/a", "inst/bag/data/a"),
            ("-once inst/bag", "inst/bag"),
            ("inst/bag --count 3", "inst/bag"),
            ("-- -once", "-once"),
            ("-", "-"),
        ] {
            assert_eq!(work(arguments).operand(), Some(operand), "{arguments}");
        }
    }

    #[test]
    fn questions_win_over_work() {
        let check = request("-count 3 -check-settings", None).unwrap();
        assert!(matches!(check, Request::CheckSettings(arguments) if arguments.number(COUNT) == Some(3)));
        for (arguments, expected) in [
            ("--health", Request::Health),
            ("--version --health", Request::Version),
            ("-h", Request::Help),
            ("--help --version --count 3", Request::Help),
        ] {
            assert_eq!(request(arguments, None), Ok(expected), "{arguments}");
        }
    }

    #[test]
    fn a_wrong_command_line_is_explained() {
        for (arguments, said) in [
            ("-cuont 3", "there is no flag `-cuont`"),
            ("---count 3", "there is no flag `---count`"),
            ("--=3", "there is no flag `--=3`"),
            ("-count", "--count needs a value"),
            ("-count three", "--count takes a number, not `three`"),
            ("-count 4294967296", "--count takes a number, not `4294967296`"),
            ("-once=maybe", "--once takes true or false, not `maybe`"),
            (
                "-pause 90",
                "--pause takes a duration such as `90s` or `1h30m`: `90` has no unit (did you mean `90s` or `90m`?)",
            ),
            ("stray", "`stray` is not expected here"),
        ] {
            assert_eq!(request(arguments, None), Err(said.to_owned()), "{arguments}");
        }
        assert_eq!(request("one two", THING), Err("`two` is one argument too many".to_owned()));
        assert_eq!(parse(FLAGS, THING, [OsString::new()]), Err("`` is not expected here".to_owned()));
    }
}
