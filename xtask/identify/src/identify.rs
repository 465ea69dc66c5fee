//! `identify`: many files at a time, told in the order in which they were found.

use std::io::{self, BufWriter};
use std::path::PathBuf;
use std::sync::Mutex;
use std::thread;

use anyhow::{Context, Result};
use pronom::{Engine, Windows};
use xtask::cli::Format;
use xtask::cli::identify::Identify;
use xtask::exit::Exit;
use xtask::process;
use xtask::ui::Ui;

use crate::files::{self, Answer, Extent};
use crate::output::{Output, Style, siegfried};
use crate::walk::{Step, Walk};

/// Files in hand between two writes.
const BATCH: usize = 512;

type Told<'e> = (PathBuf, io::Result<Answer<'e>>);

pub(crate) fn run(args: &Identify, format: Format, ui: &Ui) -> Result<Exit> {
    let whole;
    let (engine, extent) = if args.whole {
        whole = Engine::with_builtin_data(Windows::WHOLE);
        (&whole, Extent::Whole)
    } else {
        (Engine::builtin(), Extent::Ends)
    };
    let style = match (args.json, args.csv) {
        (true, _) => Style::Siegfried,
        (_, true) => Style::Droid,
        _ => Style::People,
    };
    let mut output = Output::new(BufWriter::new(io::stdout().lock()), style);
    let cannot_write = "the answer cannot be written";
    // Then stdout carries records only.
    let for_machines = format == Format::Json;
    if !for_machines {
        output.begin(engine).context(cannot_write)?;
    }
    let mut walk = Walk::new(&args.paths);
    let mut unread = 0_u64;
    loop {
        process::check_interrupt()?;
        let batch: Vec<Step> = walk.by_ref().take(BATCH).collect();
        if batch.is_empty() {
            break;
        }
        for (path, answer) in all(engine, batch, extent) {
            if let Err(error) = &answer {
                ui.warn(&format!("{} cannot be read: {error}", path.display()));
                unread += 1;
            }
            if for_machines {
                ui.record("file", &siegfried(&path, &answer));
            } else {
                output.file(&path, &answer).context(cannot_write)?;
            }
        }
    }
    if !for_machines {
        output.end().context(cannot_write)?;
    }
    if unread > 0 {
        return Err(Exit::Failed.stop(format!("{unread} files or folders cannot be read"), "look at the warnings"));
    }
    Ok(Exit::Done)
}

/// The answers in the order of the batch.
fn all(engine: &Engine, batch: Vec<Step>, extent: Extent) -> Vec<Told<'_>> {
    let workers = thread::available_parallelism().map_or(1, usize::from).min(batch.len());
    let todo = Mutex::new(batch.into_iter().enumerate());
    let next = || todo.lock().unwrap_or_else(std::sync::PoisonError::into_inner).next();
    let work = || {
        let mut told = Vec::new();
        while let Some((index, (path, step))) = next() {
            let answer = step.and_then(|()| files::identify(engine, &path, extent));
            told.push((index, (path, answer)));
        }
        told
    };
    let mut told: Vec<(usize, Told<'_>)> = thread::scope(|scope| {
        let workers: Vec<_> = (0..workers).map(|_| scope.spawn(work)).collect();
        workers
            .into_iter()
            .flat_map(|worker| worker.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)))
            .collect()
    });
    told.sort_by_key(|(index, _)| *index);
    told.into_iter().map(|(_, told)| told).collect()
}
