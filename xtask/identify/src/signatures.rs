//! `signatures`: which release of PRONOM is in use, and the way to another.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use pronom::{About, Engine, compile};
use xtask::cli::identify::SignaturesAction;
use xtask::exit::Exit;
use xtask::files::write_atomic;
use xtask::ui::Ui;

/// In the checkout.
const DATA: &str = "services/pronom/data/pronom.bin";
const DROID: (&str, &str) = ("DROID_SignatureFile_V", ".xml");
const CONTAINERS: (&str, &str) = ("container-signature-", ".xml");

pub(crate) fn run(action: &SignaturesAction, dry_run: bool, ui: &Ui) -> Result<Exit> {
    match action {
        SignaturesAction::Show => {
            ui.answer(&description(&Engine::builtin().about()));
            Ok(Exit::Done)
        }
        SignaturesAction::Update { files } => update(files, dry_run, ui),
    }
}

fn description(about: &About<'_>) -> String {
    let counts = about.counts;
    format!(
        "DROID signature file V{} of {}, container signatures {} of {}\n{} formats, {} byte signatures, {} container \
         signatures, {} extensions, {} priorities\n{}",
        about.version,
        about.date,
        about.container_version,
        about.container_date,
        counts.formats,
        counts.byte_signatures,
        counts.container_signatures,
        counts.extensions,
        counts.priorities,
        about.licence
    )
}

fn update(given: &[PathBuf], dry_run: bool, ui: &Ui) -> Result<Exit> {
    let (droid, _) = newest(given, DROID)?;
    let (containers, released) = newest(given, CONTAINERS)?;
    let read = |path: &Path| fs::read_to_string(path).with_context(|| format!("{} cannot be read", path.display()));
    ui.say(&format!("{} and {}", droid.display(), containers.display()));
    let data = compile(&read(&droid)?, &read(&containers)?, &released)?;
    let engine = Engine::from_bytes(&data).context("what was compiled cannot be read back")?;
    let target = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").join(DATA);
    ui.say(&format!("In use: {}", description(&Engine::builtin().about())));
    ui.say(&format!("New:    {}", description(&engine.about())));
    if fs::read(&target).is_ok_and(|present| present == data) {
        ui.answer(&format!("{DATA} is what these files give"));
    } else if dry_run {
        ui.answer(&format!("would write {DATA}, {} bytes", data.len()));
    } else {
        write_atomic(&target, &data)?;
        ui.answer(&format!("{DATA} is written, {} bytes; now run cargo test -p pronom", data.len()));
    }
    Ok(Exit::Done)
}

/// Of the files with such a name the one with the highest number, and this number as it is written.
fn newest(given: &[PathBuf], (before, after): (&str, &str)) -> Result<(PathBuf, String)> {
    let mut found: Vec<(u64, PathBuf, String)> = Vec::new();
    for path in given {
        let candidates = if path.is_dir() {
            let entries = fs::read_dir(path).with_context(|| format!("{} cannot be read", path.display()))?;
            entries.map(|entry| Ok(entry?.path())).collect::<Result<Vec<PathBuf>>>()?
        } else {
            vec![path.clone()]
        };
        for path in candidates {
            let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
            let number = name.strip_prefix(before).and_then(|rest| rest.strip_suffix(after)).map(str::to_owned);
            if let Some(text) = number
                && let Ok(number) = text.parse()
            {
                found.push((number, path, text));
            }
        }
    }
    found.sort();
    let newest = found.pop().map(|(_, path, text)| (path, text));
    newest.ok_or_else(|| {
        Exit::Refused
            .stop(format!("none of the files given is called {before}<number>{after}"), "give the file, or its folder")
    })
}
