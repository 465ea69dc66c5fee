//! The whole life of bags before one's eyes: the embedded servers and the services as processes, bags put where depositors put them,
//! and a report of what became of them. Reached as `cargo xtask demo`.
//!
//! `deposits` makes and takes bags, `progress` follows them in, `stored` finds out what was stored, `life` does the rest with it (`tars`
//! compares what comes back), and `report` says it all.

mod deposits;
mod life;
mod outcome;
mod phase;
mod progress;
mod report;
mod stored;
mod system;
mod tars;
mod words;

use std::convert::Infallible;
use std::path::Path;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context as _, Error, Result};
use clap::Parser;
use futures_util::{StreamExt as _, TryStreamExt as _, stream};
use model::Status;
use serde_json::json;
use xtask::catalog::Catalog;
use xtask::cli::demo::Demo;
use xtask::cli::{Cli, Command};
use xtask::exit::Exit;
use xtask::files::write_atomic;
use xtask::help;
use xtask::process;
use xtask::ui::Ui;

use crate::deposits::Bag;
use crate::outcome::{Outcome, Version};
use crate::report::Report;
use crate::system::System;
use crate::words::plain;

/// How often the time limit and signals are looked at.
const LOOK: Duration = Duration::from_millis(100);
/// Preserved bags with which something is done at a time, and requests about the files of each.
const AT_ONCE: usize = 8;

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
    let catalog = Catalog::load()?;
    let kept = ui.keep_below(&catalog.target)?.join("services");
    let system = tokio::select! {
        system = System::start(&catalog, ui) => system?,
        error = interrupted() => return Err(error),
    };
    let outcome = tokio::select! {
        outcome = demonstrate(args, &system, ui) => outcome,
        error = interrupted() => Err(error),
    };
    let outcome = outcome.and_then(|outcomes| verdict(&outcomes, &kept));
    if outcome.is_err()
        && let Err(error) = system.keep_logs(&kept)
    {
        ui.warn(&format!("{error:#}"));
    }
    if outcome.is_ok() && !args.once {
        ui.say("all of it stays up: look around; Ctrl-C ends it");
        interrupted().await;
    }
    system.stop().await;
    outcome
}

/// Whether all came out as expected. `logs` is where the services' are going to be.
fn verdict(outcomes: &[Outcome], logs: &Path) -> Result<Exit> {
    let first = |outcome: &Outcome| Some((outcome.name.clone(), outcome.wrong().into_iter().next()?));
    let Some((name, wrong)) = outcomes.iter().find_map(first) else { return Ok(Exit::Done) };
    let is_refused = outcomes.iter().any(|outcome| {
        outcome.name == name && outcome.versions.iter().any(|version| version.item.status == Status::Failed)
    });
    let next = if is_refused {
        "correct the bag, and run it again".to_owned()
    } else {
        format!("read what the services said, in {}", logs.display())
    };
    Err(Exit::Failed.stop(plain(&format!("{name} did not come out as expected: {wrong}")), next))
}

/// Lives the bags' lives, and reports.
async fn demonstrate(args: &Demo, system: &System, ui: &Ui) -> Result<Vec<Outcome>> {
    let bags = if args.bags.is_empty() {
        deposits::made(system.folder())?
    } else {
        deposits::taken(args, system.folder(), ui).await?
    };
    let mut outcomes = ingest(system, &bags, ui).await?;
    let lives = bags.iter().zip(&outcomes).filter_map(|(bag, outcome)| Some((bag, outcome.stored()?)));
    // Collected: a closure that borrows would keep the stream from being what `buffered` takes.
    let lives: Vec<_> = lives.map(|(bag, stored)| life::live(system, bag, stored, ui)).collect();
    let mut steps = stream::iter(lives).buffered(AT_ONCE).try_collect::<Vec<_>>().await?.into_iter();
    for outcome in outcomes.iter_mut().filter(|outcome| outcome.stored().is_some()) {
        outcome.steps = steps.next().unwrap_or_default();
    }
    let report = Report { outcomes: &outcomes, system, took: ui.elapsed() };
    ui.answer(&report.text(ui));
    for record in report.records() {
        ui.record("bag", &record);
    }
    let as_expected = outcomes.iter().filter(|outcome| outcome.wrong().is_empty()).count();
    ui.result("bags", json!(outcomes.len()));
    ui.result("as_expected", json!(as_expected));
    ui.result("registry", json!(system.registry_url()));
    if let Some(file) = &args.html {
        write_atomic(file, report.html()?.as_bytes())?;
        ui.say(&format!("the report as a page: {}", file.display()));
        ui.result("html", json!(file));
    }
    Ok(outcomes)
}

/// Deposits the first version of each bag, then the second of those that have one, and so on.
async fn ingest(system: &System, bags: &[Bag], ui: &Ui) -> Result<Vec<Outcome>> {
    let outcome =
        |bag: &Bag| Outcome { name: bag.name.clone(), expected: bag.expected, versions: Vec::new(), steps: Vec::new() };
    let (mut outcomes, mut last): (Vec<Outcome>, i64) = (bags.iter().map(outcome).collect(), 0);
    for number in 0.. {
        let coming = bags.iter().zip(&mut outcomes);
        let coming = coming.filter(|(_, outcome)| number == 0 || outcome.stored().is_some());
        let coming = coming.filter_map(|(bag, outcome)| Some((bag, bag.versions.get(number)?, outcome)));
        let coming: Vec<_> = coming.collect();
        if coming.is_empty() {
            break;
        }
        let deposits: Vec<_> = coming.iter().map(|(bag, version, _)| (*bag, *version)).collect();
        let ended = progress::follow(system, &deposits, last, ui).await?;
        last = ended.iter().map(|ended| ended.item.id).max().unwrap_or(last);
        for ((bag, version, outcome), ended) in coming.into_iter().zip(ended) {
            let progress::Ended { item, after, spans } = ended;
            let stored = match item.status {
                Status::Success => {
                    let stored = stored::ask(system, &item, &bag.name, ui).await;
                    Some(stored.with_context(|| format!("finding out what is stored of {}", bag.name))?)
                }
                _ => None,
            };
            outcome.versions.push(Version { about: version.about, item, after, spans, stored });
        }
    }
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
