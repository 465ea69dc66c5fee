//! The three ways to tell what was found. Written as it comes, so that millions of files take no memory.

use std::io::{self, Write};
use std::path::Path;

use pronom::{Basis, Engine, Warning};
use serde_json::{Value, json};

use crate::files::Answer;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Style {
    /// One line a file.
    People,
    /// A document as `sf -json` writes it.
    Siegfried,
    /// The columns of DROID's export.
    Droid,
}

pub(crate) struct Output<W> {
    to: W,
    style: Style,
    files: u64,
}

const DROID_COLUMNS: &str = "\"ID\",\"PARENT_ID\",\"URI\",\"FILE_PATH\",\"NAME\",\"METHOD\",\"STATUS\",\"SIZE\",\"TYPE\",\"EXT\",\
    \"LAST_MODIFIED\",\"EXTENSION_MISMATCH\",\"HASH\",\"FORMAT_COUNT\",\"PUID\",\"MIME_TYPE\",\"FORMAT_NAME\",\"FORMAT_VERSION\"";

impl<W: Write> Output<W> {
    pub(crate) fn new(to: W, style: Style) -> Self {
        Output { to, style, files: 0 }
    }

    pub(crate) fn begin(&mut self, engine: &Engine) -> io::Result<()> {
        match self.style {
            Style::People => Ok(()),
            Style::Droid => writeln!(self.to, "{DROID_COLUMNS}"),
            Style::Siegfried => {
                let about = engine.about();
                let details = format!(
                    "DROID_SignatureFile_V{}.xml; container-signature-{}.xml",
                    about.version, about.container_date
                );
                let identifiers = json!([{ "name": "pronom", "details": details }]);
                write!(self.to, "{{\"created\":{},\"identifiers\":{identifiers},\"files\":[", json!(about.date))
            }
        }
    }

    pub(crate) fn file(&mut self, path: &Path, answer: &io::Result<Answer<'_>>) -> io::Result<()> {
        self.files += 1;
        match self.style {
            Style::People => self.for_people(path, answer),
            Style::Siegfried => self.for_siegfried(path, answer),
            Style::Droid => self.for_droid(path, answer),
        }
    }

    pub(crate) fn end(&mut self) -> io::Result<()> {
        if self.style == Style::Siegfried {
            writeln!(self.to, "]}}")?;
        }
        self.to.flush()
    }

    fn for_people(&mut self, path: &Path, answer: &io::Result<Answer<'_>>) -> io::Result<()> {
        // What cannot be read was told already.
        let Ok(Answer { found, .. }) = answer else { return Ok(()) };
        let mut notes = vec![found.basis_text(), found.warning_text()];
        notes.extend(found.trouble.map(|trouble| trouble.to_string()));
        notes.retain(|note| !note.is_empty());
        let name = [found.name, found.version].join(" ");
        writeln!(
            self.to,
            "{}: {} {} {} [{}]",
            path.display(),
            found.puid,
            if found.mime.is_empty() { "-" } else { found.mime },
            if found.is_known() { name.trim() } else { "-" },
            notes.join("; ")
        )
    }

    fn for_siegfried(&mut self, path: &Path, answer: &io::Result<Answer<'_>>) -> io::Result<()> {
        let separator = if self.files > 1 { "," } else { "" };
        write!(self.to, "{separator}{}", siegfried(path, answer))
    }

    fn for_droid(&mut self, path: &Path, answer: &io::Result<Answer<'_>>) -> io::Result<()> {
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        let extension = path.extension().unwrap_or_default().to_string_lossy();
        let shown = path.to_string_lossy();
        let id = self.files.to_string();
        let uri = format!("file:{shown}");
        let row: [String; 18] = match answer {
            Err(_) => {
                let row = [id.as_str(), "", &uri, &shown, &name, "", "Access Denied", "", "File", &extension];
                let mut row = row.map(str::to_owned).to_vec();
                row.resize(18, String::new());
                row.try_into().unwrap_or_default()
            }
            Ok(Answer { size, modified, found }) => {
                let modified = humantime::format_rfc3339_seconds(*modified).to_string();
                let method = match found.basis.iter().rfind(|basis| !matches!(basis, Basis::Text(_))) {
                    Some(Basis::Container(..) | Basis::DefaultContainer) => "Container",
                    Some(Basis::Bytes(..)) => "Signature",
                    Some(_) => "Extension",
                    None => "",
                };
                let mismatch = found.warnings.contains(&Warning::ExtensionMismatch).to_string();
                let (count, puid) = if found.is_known() { ("1", found.puid) } else { ("0", "") };
                [
                    id.as_str(),
                    "",
                    &uri,
                    &shown,
                    &name,
                    method,
                    "Done",
                    &size.to_string(),
                    "File",
                    &extension,
                    modified.trim_end_matches('Z'),
                    &mismatch,
                    "",
                    count,
                    puid,
                    found.mime,
                    found.name,
                    found.version,
                ]
                .map(str::to_owned)
            }
        };
        let quoted = row.map(|field| format!("\"{}\"", field.replace('"', "\"\"")));
        writeln!(self.to, "{}", quoted.join(","))
    }
}

/// A file in siegfried's field names.
pub(crate) fn siegfried(path: &Path, answer: &io::Result<Answer<'_>>) -> Value {
    let name = path.to_string_lossy();
    match answer {
        Err(error) => {
            json!({ "filename": name, "filesize": 0, "modified": "", "errors": error.to_string(), "matches": [] })
        }
        Ok(Answer { size, modified, found }) => json!({
            "filename": name,
            "filesize": size,
            "modified": humantime::format_rfc3339_seconds(*modified).to_string(),
            "errors": found.trouble.map(|trouble| trouble.to_string()).unwrap_or_default(),
            "matches": [{
                "ns": "pronom",
                "id": found.puid,
                "format": found.name,
                "version": found.version,
                "mime": found.mime,
                "basis": found.basis_text(),
                "warning": found.warning_text(),
            }],
        }),
    }
}
