//! The help that one sees first, and what is said of a command line that cannot be read.

use std::fmt::Write as _;
use std::io::{self, Write as _};

use clap::CommandFactory as _;
use serde_json::json;

use crate::cli::{Cli, Global};
use crate::exit::Exit;
use crate::ui::{Ui, columns, emit, fold};

/// The help of `cargo xtask` without arguments.
pub fn overview(global: &Global) -> Exit {
    let command = Cli::command();
    let about = |name: &str| command.find_subcommand(name).and_then(|found| found.get_about()).map(ToString::to_string);
    let mut text =
        "Release, test and look after the preservation services.\n\nUsage: cargo xtask <COMMAND>\n".to_owned();
    for (heading, names) in GROUPS {
        let _ = writeln!(text, "\n{heading}");
        for name in names {
            let _ = writeln!(text, "  {name:<16} {}", about(name).unwrap_or_default());
        }
    }
    text.push_str("\nExamples\n");
    for (line, what) in EXAMPLES {
        let _ = writeln!(text, "  {line:<31} {what}");
    }
    text.push_str("\n`cargo xtask <COMMAND> --help` explains a command and its exit codes.");
    let ui = Ui::new("help", global);
    ui.answer(&fold(&text, columns(io::stdout())));
    ui.finish(&Ok(Exit::Done))
}

/// Prints clap's message (help, or what is wrong) and gives the exit code.
pub fn usage(error: &clap::Error) -> Exit {
    let exit = if error.use_stderr() { Exit::Usage } else { Exit::Done };
    let args: Vec<String> = std::env::args().collect();
    if args.iter().any(|arg| arg == "--format=json") || args.windows(2).any(|pair| pair == ["--format", "json"]) {
        let global = Global::for_records();
        let named = args.iter().find_map(|arg| GROUPS.iter().flat_map(|(_, names)| *names).find(|name| *name == arg));
        let ui = Ui::new(named.copied().unwrap_or("help"), &global);
        // To stderr, also the help: stdout carries records.
        ui.answer(&error.render().to_string());
        ui.record(
            "result",
            &json!({ "status": exit.status(), "exit_code": exit as u8, "reason": error.kind().as_str() }),
        );
        return ui.told(exit);
    }
    let text = error.render().to_string();
    let room = if error.use_stderr() { columns(io::stderr()) } else { columns(io::stdout()) };
    let is_too_wide = room.is_some_and(|room| text.lines().any(|line| line.chars().count() > room));
    let printed = match (is_too_wide, error.use_stderr()) {
        (false, _) => error.print().and_then(|()| io::stdout().flush()),
        (true, false) => emit(&mut io::stdout(), &fold(&text, room)),
        (true, true) => emit(&mut io::stderr(), &fold(&text, room)),
    };
    match printed {
        // The reader is gone, and knows.
        Err(gone) if gone.kind() == io::ErrorKind::BrokenPipe => {}
        Err(lost) if exit == Exit::Done => {
            // Nobody can be told that this fails too.
            let _ = emit(&mut io::stderr(), &format!("error: writing to stdout: {lost}"));
            return Exit::Failed;
        }
        _ => {}
    }
    exit
}

/// What one wants to do, and the commands that do it. A test sees that each command stands here once.
const GROUPS: [(&str, &[&str]); 4] = [
    ("Try it", &["demo", "up", "rehearse"]),
    ("Test it", &["test-all", "bench"]),
    ("Ship it", &["release", "update-template", "deploy", "rollback"]),
    ("Look after it", &["status", "logs", "identify", "signatures", "doctor", "completions"]),
];

const EXAMPLES: [(&str, &str); 4] = [
    ("cargo xtask demo", "see bags preserved, on this machine"),
    ("cargo xtask test-all", "run all tests"),
    ("cargo xtask release --no-push", "build the 17 images, with cargo and git alone"),
    ("cargo xtask rehearse", "see a deployment, with no account"),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_command_stands_in_the_overview_once() {
        let mut grouped: Vec<&str> = GROUPS.iter().flat_map(|(_, names)| names.iter().copied()).collect();
        let command = Cli::command();
        let mut all: Vec<&str> = command.get_subcommands().map(clap::Command::get_name).collect();
        grouped.sort_unstable();
        all.sort_unstable();
        assert_eq!(grouped, all);
    }
}
