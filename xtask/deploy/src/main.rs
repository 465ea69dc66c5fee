//! Deploys, watches and rolls back the stack. Reached as `cargo xtask deploy`, `status`, `rollback` and `logs`.
//!
//! This file is the table of contents. `deploy` reads as the list of steps; what is decided is decided in modules that know
//! nothing of AWS (`state`, `changes`, `parameters`, `events`, `verdict`, `gate`, `release`, `template`), and everything that
//! is asked of AWS goes through the one gate in `aws`.

mod archive;
mod aws;
mod change_set;
mod changes;
mod checks;
mod confirm;
mod deploy;
mod events;
mod finish;
mod gate;
mod images;
mod interrupt;
mod job;
mod leftovers;
mod live;
mod logs;
mod observe;
mod pace;
mod parameters;
mod preview;
mod record;
mod recover;
mod release;
mod removals;
mod rollback;
mod session;
mod stack;
mod state;
mod status;
mod steps;
mod template;
mod verdict;
mod verify;
mod watch;

use std::process::ExitCode;

use anyhow::Result;
use clap::Parser;
use xtask::cli::{Cli, Command, Global};
use xtask::exit::Exit;
use xtask::help;
use xtask::ui::Ui;

use interrupt::Interrupts;
use session::Session;

fn main() -> ExitCode {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => return help::usage(&error).into(),
    };
    let Some(command) = &cli.command else {
        return help::overview(&cli.global).into();
    };
    let ui = Ui::new(command.name(), &cli.global);
    let outcome = run(command, &cli.global, &ui);
    ui.finish(&outcome).into()
}

fn run(command: &Command, global: &Global, ui: &Ui) -> Result<Exit> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        let mut interrupts = Interrupts::take()?;
        let (environment, access) = match command {
            Command::Deploy(args) => (args.environment, &args.access),
            Command::Rollback(args) => (args.environment, &args.access),
            Command::Status(args) => (args.environment, &args.access),
            Command::Logs(args) => (args.environment, &args.access),
            other => {
                return Err(Exit::Usage.stop(
                    format!("xtask-deploy does not do `{}`", other.name()),
                    format!("run cargo xtask {}", other.name()),
                ));
            }
        };
        let session = Box::pin(interrupts.guard(Session::open(environment, access, global, ui))).await?;
        if !global.dry_run {
            ui.keep_below(&session.catalog.target)?;
        }
        match command {
            Command::Deploy(args) => deploy::run(args, &session, &mut interrupts).await,
            Command::Rollback(args) => rollback::run(args, &session, &mut interrupts).await,
            Command::Status(args) => status::run(args, &session, &mut interrupts).await,
            Command::Logs(args) => logs::run(args, &session, &mut interrupts).await,
            _ => Ok(Exit::Usage),
        }
    })
}
