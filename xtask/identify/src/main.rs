//! Names the formats of files, and takes in PRONOM's releases. Reached as `cargo xtask identify` and `cargo xtask signatures`.
//!
//! `walk` finds the files, `files` reads as much of them as the engine asks for, `output` writes in the words of siegfried,
//! of DROID, or for people.

mod files;
mod identify;
mod output;
mod signatures;
mod walk;

use std::process::ExitCode;

use clap::Parser;
use xtask::cli::{Cli, Command};
use xtask::exit::Exit;
use xtask::help;
use xtask::process;
use xtask::ui::Ui;

fn main() -> ExitCode {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => return help::usage(&error).into(),
    };
    let Some(command) = &cli.command else {
        return help::overview(&cli.global).into();
    };
    process::watch_signals(cli.global.timeout);
    let ui = Ui::new(command.name(), &cli.global);
    let outcome = match command {
        Command::Identify(args) => identify::run(args, cli.global.format, &ui),
        Command::Signatures(args) => signatures::run(&args.action, cli.global.dry_run, &ui),
        other => Err(Exit::Usage.stop(
            format!("xtask-identify does not do `{}`", other.name()),
            format!("run cargo xtask {}", other.name()),
        )),
    };
    ui.finish(&outcome).into()
}
