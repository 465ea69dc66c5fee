//! `bench`: how fast ingest is. Handed over to the program `preserv-bench` (tests/bench), which is compiled with the services when it
//! is first needed, as they ship, and takes this process's place.

use std::ffi::OsString;

use anyhow::Result;

use crate::catalog::{APPS, Catalog};
use crate::cli::{Bench, Format, Global};
use crate::exit::Exit;
use crate::process::Process;
use crate::programs::Programs;
use crate::ui::Ui;

const PACKAGE: &str = "bench";
const PROGRAM: &str = "preserv-bench";
/// The packages that the first compilation goes through, for the progress bar.
const PACKAGES: u64 = 330;
const NOTICE: &str =
    "Compiling the services and the embedded servers as they ship. Once; it takes five minutes on two cores.";

pub(crate) fn run(args: &Bench, global: &Global, ui: &Ui) -> Result<Exit> {
    let catalog = Catalog::load()?;
    let folder = catalog.target.join("xtask/bench");
    if global.dry_run {
        let Bench { files, size, .. } = args;
        ui.answer(&format!(
            "would put a bag of {files} files of {size} bytes through the services of ingest, in {}",
            folder.display()
        ));
        return Ok(Exit::Done);
    }
    let programs = Programs { packages: &[PACKAGE, APPS], known_by: PROGRAM, expected: PACKAGES, notice: NOTICE }
        .compile_as_shipped(&catalog, ui)?;
    let latencies = args.latency.iter().map(ToString::to_string).collect::<Vec<_>>().join(",");
    let mut arguments: Vec<OsString> = vec![
        "--programs".into(),
        programs.clone().into(),
        "--below".into(),
        folder.into(),
        "--files".into(),
        args.files.to_string().into(),
        "--size".into(),
        args.size.to_string().into(),
        "--latency".into(),
        latencies.into(),
    ];
    if let Some(service) = &args.until {
        arguments.extend(["--until".into(), service.into()]);
    }
    if let Some(folder) = &args.beside {
        arguments.extend(["--beside".into(), folder.into()]);
    }
    if let Some(limit) = global.timeout {
        arguments.extend(["--timeout".into(), limit.as_secs().to_string().into()]);
    }
    if global.format == Format::Json {
        arguments.push("--json".into());
    }
    if global.quiet {
        arguments.push("--quiet".into());
    }
    Err(Process::new(programs.join(PROGRAM)).args(arguments).replace_this_process())
}
