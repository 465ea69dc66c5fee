//! `preserv-bench`: how fast ingest is. A bag that is made by code goes through the ten services, one process at a time, on embedded
//! servers whose S3 takes as long as one likes; beside it, in the same run, the requests of upstream one file after the other, and
//! the executables of another system. `cargo xtask bench` runs it. Machines differ: what counts are the ratios.

mod bag;
mod file_by_file;
mod report;
mod stages;
mod worker;

use std::collections::BTreeMap;
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context as _, Result};
use clap::Parser;
use tokio::signal::unix::{SignalKind, signal};
use tokio::task::spawn_blocking;
use tokio::time::sleep;

use bag::Bag;
use report::{Format, Round};
use stages::{Figures, SERVICES};

/// Measures the stages of ingest.
#[derive(Debug, Parser)]
#[command(name = "preserv-bench", version)]
struct Arguments {
    /// Where our executables are.
    #[arg(long, value_name = "FOLDER")]
    programs: PathBuf,
    /// Executables of the same names, measured beside ours.
    #[arg(long, value_name = "FOLDER")]
    beside: Option<PathBuf>,
    #[arg(long, value_name = "N")]
    files: u64,
    /// Bytes of each file.
    #[arg(long, value_name = "BYTES")]
    size: u64,
    /// Milliseconds that S3 takes more for each request.
    #[arg(long, value_name = "LIST", value_delimiter = ',', required = true)]
    latency: Vec<u64>,
    /// The last service to measure, or a part of its name.
    #[arg(long, value_name = "SERVICE", default_value = "cleanup", value_parser = service)]
    until: &'static str,
    /// Where the bag and the servers' data go; all of it is gone at the end.
    #[arg(long, value_name = "FOLDER")]
    below: PathBuf,
    /// Give up after so many seconds.
    #[arg(long, value_name = "SECONDS")]
    timeout: Option<u64>,
    /// Records, a line each on stdout.
    #[arg(long)]
    json: bool,
    /// Nothing but the result.
    #[arg(long)]
    quiet: bool,
}

fn service(part: &str) -> Result<&'static str, String> {
    match SERVICES.iter().filter(|name| name.contains(part)).collect::<Vec<_>>()[..] {
        [name] => Ok(name),
        _ => Err(format!("it is part of one of these: {}", SERVICES.join(", "))),
    }
}

/// Exit codes of xtask.
const TIMED_OUT: u8 = 7;
const INTERRUPTED: u8 = 130;
const TERMINATED: u8 = 143;

#[tokio::main]
async fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let log =
        tracing_subscriber::fmt().with_writer(io::stderr).with_max_level(tracing_subscriber::filter::LevelFilter::WARN);
    log.with_target(false).init();
    // For the client of S3. It fails only if there is one already.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let (mut interrupt, mut terminate) = match (signal(SignalKind::interrupt()), signal(SignalKind::terminate())) {
        (Ok(interrupt), Ok(terminate)) => (interrupt, terminate),
        (Err(error), _) | (_, Err(error)) => return failed(&error.into()),
    };
    let limit = async {
        match arguments.timeout {
            Some(seconds) => sleep(Duration::from_secs(seconds)).await,
            None => std::future::pending().await,
        }
    };
    tokio::select! {
        ended = run(&arguments) => match ended {
            Ok(()) => ExitCode::SUCCESS,
            Err(error) => failed(&error),
        },
        () = limit => {
            tell("preserv-bench: the time limit ran out");
            TIMED_OUT.into()
        }
        _ = interrupt.recv() => INTERRUPTED.into(),
        _ = terminate.recv() => TERMINATED.into(),
    }
}

fn failed(error: &anyhow::Error) -> ExitCode {
    tell(&format!("preserv-bench: {error:#}"));
    ExitCode::FAILURE
}

async fn run(arguments: &Arguments) -> Result<()> {
    let Arguments { files, size, .. } = *arguments;
    std::fs::create_dir_all(&arguments.below)
        .with_context(|| format!("making the folder {}", arguments.below.display()))?;
    let folder = tempfile::Builder::new().prefix("bench-").tempdir_in(&arguments.below)?;
    let narrate = |text: &str| {
        if !arguments.quiet {
            tell(text);
        }
    };
    narrate(&format!("making a bag of {files} files of {size} bytes"));
    let path = folder.path().to_owned();
    let bag = spawn_blocking(move || Bag::write(&path, files, size)).await??;
    let format = if arguments.json { Format::Json } else { Format::Text };
    for &milliseconds in &arguments.latency {
        let latency = Duration::from_millis(milliseconds);
        let system = async |name: &str, programs: &Path| {
            // Gone with the measurement: three systems at three latencies would fill the disk.
            let folder = tempfile::tempdir_in(folder.path())?;
            let each = |one: &Figures| {
                narrate(&format!("{milliseconds} ms, {name}: {} {:.2} s", one.service, one.seconds));
            };
            stages::measure(programs, folder.path(), &bag, latency, arguments.until, each).await
        };
        let ours = system("ours", &arguments.programs).await?;
        let file_by_file = if size <= file_by_file::LARGEST {
            narrate(&format!("{milliseconds} ms, file by file"));
            let folder = tempfile::tempdir_in(folder.path())?;
            let mut all = file_by_file::measure(folder.path(), &bag, latency).await?;
            all.retain(|service, _| ours.iter().any(|one| one.service == *service));
            all
        } else {
            BTreeMap::new()
        };
        let beside = match &arguments.beside {
            Some(programs) => system("beside", programs).await?,
            None => Vec::new(),
        };
        format.print(&Round { milliseconds, ours, file_by_file, beside }, &bag);
    }
    format.finish();
    Ok(())
}

fn tell(text: &str) {
    // Nobody may be reading.
    let _ = writeln!(io::stderr(), "{text}");
}
