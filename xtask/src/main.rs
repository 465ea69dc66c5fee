//! `cargo xtask`: everything that one does with this repository beyond `cargo build`.
//!
//! This file is the table of contents: it reads the command line, hands over to the module of the command, and turns
//! the outcome into an exit code. Commands live in one module each; every external program is called from exactly one.

mod cargo;
mod catalog;
mod cli;
mod completions;
mod docker;
mod doctor;
mod elf;
mod exit;
mod files;
mod git;
mod image;
mod process;
mod release;
mod test_all;
mod ui;

use std::process::ExitCode;

use clap::Parser;

use cli::{Cli, Command};
use exit::Exit;
use ui::Ui;

fn main() -> ExitCode {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => return cli::usage(&error).into(),
    };
    process::watch_signals(cli.global.timeout);
    let Some(command) = cli.command else {
        return cli::overview(&cli.global).into();
    };
    if let Command::Completions { shell } = command {
        return completions::print(shell).into();
    }
    let ui = Ui::new(command.name(), &cli.global);
    let outcome = match command {
        Command::Release(args) => release::run(&args, cli.global.dry_run, &ui),
        Command::TestAll(args) => test_all::run(&args, cli.global.dry_run, &ui),
        Command::Doctor => doctor::run(&ui),
        Command::Completions { .. } => Ok(Exit::Done),
    };
    ui.finish(outcome).into()
}
