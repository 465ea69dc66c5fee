//! `up`: the whole system on this machine. Handed over to the program `preserv-stack` (tests/stack), which is compiled when it
//! is first needed and takes this process's place, so that terminal, signals and exit code are its own.

use std::ffi::OsString;

use anyhow::Result;

use crate::catalog::{APPS, Catalog};
use crate::cli::{Format, Global, Up};
use crate::exit::Exit;
use crate::process::Process;
use crate::programs::Programs;
use crate::ui::Ui;

const PACKAGE: &str = "stack";
const PROGRAM: &str = "preserv-stack";
/// The packages that the first compilation goes through, for the progress bar.
const PACKAGES: u64 = 230;
const NOTICE: &str = "Compiling the embedded servers. Once; it takes about two minutes on two cores, less on more.";

pub(crate) fn run(args: &Up, global: &Global, ui: &Ui) -> Result<Exit> {
    let catalog = Catalog::load()?;
    let folder = args.keep.clone().unwrap_or_else(|| catalog.target.join("xtask/up"));
    if global.dry_run {
        let services = if args.services { " and the services that are built" } else { "" };
        ui.answer(&format!(
            "would start NSQ, Redis, S3 and the Registry{services} on loopback, in {}",
            folder.display()
        ));
        return Ok(Exit::Done);
    }
    let packages: &[&str] = if args.services { &[PACKAGE, APPS] } else { &[PACKAGE] };
    let programs =
        Programs { packages, known_by: PROGRAM, expected: PACKAGES, notice: NOTICE }.compile(&catalog, ui)?;
    let mut arguments: Vec<OsString> = Vec::new();
    match &args.keep {
        Some(folder) => arguments.extend(["--keep".into(), folder.into()]),
        None => arguments.extend(["--below".into(), folder.into()]),
    }
    if args.fixed_ports {
        arguments.push("--fixed-ports".into());
    }
    if args.services {
        let found = catalog.services.iter().flat_map(|name| ["--service".into(), programs.join(name).into_os_string()]);
        arguments.extend(found);
    }
    if global.format == Format::Json {
        arguments.push("--json".into());
    }
    if global.quiet {
        arguments.push("--quiet".into());
    }
    if let Some(limit) = global.timeout {
        arguments.extend(["--timeout".into(), limit.as_secs().to_string().into()]);
    }
    Err(Process::new(programs.join(PROGRAM)).args(arguments).replace_this_process())
}
