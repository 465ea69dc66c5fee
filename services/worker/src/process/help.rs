//! The text of `--help`, put together from a program's declaration.

use crate::process::command_line::{COMMON, Flag, Takes};
use crate::process::identity::VERSION;
use crate::process::program::{Kind, Program, Stage};
use crate::process::settings::Section;

pub(crate) fn text<K: Kind, S: Section>(program: &Program<K, S>) -> String {
    let Program { name, about, kind, .. } = program;
    let operand = kind.operand();
    let usage = operand.map(|operand| format!(" [{}]", operand.name)).unwrap_or_default();
    let mut lines = vec![format!("{name} {VERSION}"), (*about).to_owned(), kind.describe(), String::new()];
    if matches!(program.stage, Stage::Unfinished) {
        lines.push(
            "UNFINISHED: the stage is not built yet. Started, this program checks its settings and exits with 69.\n"
                .to_owned(),
        );
    }
    lines.push(format!("Usage: {name} [flags]{usage}\n"));
    if let Some(operand) = operand {
        lines.push(format!("  {:WIDTH$}{}\n", operand.name, operand.help));
    }
    lines.push("Flags (one dash will do; a value may follow after `=`):".to_owned());
    let row =
        |flag: &Flag| format!("  {:WIDTH$}{}", form(*flag), flag.help.replace("<NAME>", &name.to_ascii_uppercase()));
    lines.extend(K::FLAGS.iter().chain(&COMMON).map(row));
    lines.push(END.to_owned());
    lines.join("\n")
}

const END: &str = "
Settings come from the environment and, behind it, from the file `.env` (`.env.<APT_ENV>` if APT_ENV is set) in the
working directory. --check-settings lists those that this program reads.

Exit codes: 0 done; 1 failed, or --health: unhealthy; 64 wrong command line or settings; 69 not built yet;
75 stopped before all work was put away.";

const WIDTH: usize = 28;

fn form(flag: Flag) -> String {
    let value = match flag.takes {
        Takes::Nothing => "",
        Takes::Number => " NUMBER",
        Takes::Duration => " DURATION",
    };
    format!("--{}{value}", flag.name)
}
