//! Bags preserved before one's eyes: the embedded servers and the services as processes, bags put where depositors put them, and a
//! report of what became of them. Reached as `cargo xtask demo`.
//!
//! `deposits` makes and takes bags, `progress` follows them, `outcome` finds out from Registry and S3 what was stored, `report` says it.

mod deposits;
mod outcome;
mod progress;
mod report;
mod system;
mod words;

use std::convert::Infallible;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context as _, Error, Result};
use clap::Parser;
use serde_json::json;
use xtask::cli::demo::Demo;
use xtask::cli::{Cli, Command};
use xtask::exit::Exit;
use xtask::help;
use xtask::process;
use xtask::ui::Ui;

use crate::deposits::Deposit;
use crate::outcome::Outcome;
use crate::system::System;

/// How often the time limit and signals are looked at.
const LOOK: Duration = Duration::from_millis(100);

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
        Command::Demo(args) => run(args, &ui),
        other => Err(Exit::Usage
            .stop(format!("preserv-demo does not do `{}`", other.name()), format!("run cargo xtask {}", other.name()))),
    };
    ui.finish(&outcome).into()
}

#[tokio::main]
async fn run(args: &Demo, ui: &Ui) -> Result<Exit> {
    let system = tokio::select! {
        system = System::start(ui) => system?,
        error = interrupted() => return Err(error),
    };
    let outcome = tokio::select! {
        outcome = demonstrate(args, &system, ui) => outcome,
        error = interrupted() => Err(error),
    };
    if outcome.is_ok() && !args.once {
        ui.say("all of it stays up: look around; Ctrl-C ends it");
        interrupted().await;
    }
    system.stop().await;
    verdict(&outcome?)
}

/// Whether all came out as expected.
fn verdict(outcomes: &[Outcome]) -> Result<Exit> {
    let Some(wrong) = outcomes.iter().find(|outcome| !outcome.is_as_expected()) else { return Ok(Exit::Done) };
    let Outcome { name, item, stored, .. } = wrong;
    Err(match stored {
        Some(stored) if !stored.wrong.is_empty() => Exit::Failed.stop(stored.wrong.join(" | "), ""),
        Some(_) => Exit::Failed.stop(format!("{name} was preserved, and should have been refused"), ""),
        None => {
            Exit::Failed.stop(format!("{name} was not preserved: {}", item.note), "correct the bag, and run it again")
        }
    })
}

/// Deposits the bags, follows them, and reports.
async fn demonstrate(args: &Demo, system: &System, ui: &Ui) -> Result<Vec<Outcome>> {
    let rounds: [Vec<Deposit>; 2] = if args.bags.is_empty() {
        deposits::made(system.folder())?
    } else {
        [deposits::taken(args, system.folder(), ui).await?, Vec::new()]
    };
    let (mut outcomes, mut last) = (Vec::new(), 0);
    for round in rounds.into_iter().filter(|round| !round.is_empty()) {
        let ended = progress::follow(system, &round, last, ui).await?;
        last = ended.iter().map(|ended| ended.item.id).max().unwrap_or(last);
        for (deposit, ended) in round.into_iter().zip(ended) {
            let name = &deposit.name;
            let outcome = outcome::of(system, &deposit, ended, ui).await;
            outcomes.push(outcome.with_context(|| format!("finding out what became of {name}"))?);
        }
    }
    let as_expected = outcomes.iter().filter(|outcome| outcome.is_as_expected()).count();
    ui.answer(&report::text(&outcomes, system, ui));
    for outcome in &outcomes {
        ui.record("bag", &report::record(outcome));
    }
    ui.result("bags", json!(outcomes.len()));
    ui.result("as_expected", json!(as_expected));
    ui.result("registry", json!(system.registry_url()));
    Ok(outcomes)
}

/// Ends when the run has to, with the reason.
async fn interrupted() -> Error {
    let ended: Result<Infallible> = async {
        loop {
            process::check_interrupt()?;
            tokio::time::sleep(LOOK).await;
        }
    }
    .await;
    match ended {
        Err(error) => error,
    }
}
