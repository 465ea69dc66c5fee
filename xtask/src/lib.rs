//! `cargo xtask`: everything that one does with this repository beyond `cargo build`.
//!
//! This file is the table of contents: it reads the command line, hands over to the module of the command, and turns
//! the outcome into an exit code. Commands live in one module each; every external program is called from exactly one.
//! What is public serves the programs beside it: `xtask-deploy`, because the AWS SDK takes minutes to compile,
//! `xtask-identify`, because of the signatures, and `preserv-demo`, because of both and the embedded servers.

mod bench;
mod cargo;
pub mod catalog;
pub mod cli;
mod completions;
pub mod demo;
mod deploy;
mod docker;
mod doctor;
mod elf;
pub mod environments;
pub mod exit;
pub mod files;
pub mod git;
pub mod help;
mod identify;
mod image;
mod markup;
pub mod page;
pub mod process;
mod programs;
mod rehearse;
mod release;
mod test_all;
pub mod ui;
mod up;
mod update_template;

use std::process::ExitCode;

use clap::Parser;

use cli::{Cli, Command};
use ui::Ui;

/// Runs the command that the command line names.
pub fn main() -> ExitCode {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => return help::usage(&error).into(),
    };
    process::watch_signals(cli.global.timeout);
    let Some(command) = cli.command else {
        return help::overview(&cli.global).into();
    };
    let ui = Ui::new(command.name(), &cli.global);
    let outcome = match command {
        Command::Release(args) => release::run(&args, cli.global.dry_run, &ui),
        Command::UpdateTemplate(args) => update_template::run(&args, cli.global.dry_run, &ui),
        Command::TestAll(args) => test_all::run(&args, cli.global.dry_run, &ui),
        Command::Up(args) => up::run(&args, &cli.global, &ui),
        Command::Demo(args) => demo::hand_over(&args, cli.global.dry_run, &ui),
        Command::Bench(args) => bench::run(&args, &cli.global, &ui),
        Command::Rehearse => rehearse::run(cli.global.dry_run, &ui),
        Command::Doctor => doctor::run(&ui),
        Command::Deploy(_) | Command::Status(_) | Command::Rollback(_) | Command::Logs(_) => {
            deploy::hand_over(&command, &ui)
        }
        Command::Identify(_) | Command::Signatures(_) => identify::hand_over(&ui),
        Command::Completions { shell } => Ok(completions::print(shell, &ui)),
    };
    ui.finish(&outcome).into()
}
