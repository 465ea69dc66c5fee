//! Walks through the files of an item without stopping Redis.

use model::IngestFile;

use crate::documents::{FILE, parse};
use crate::{Error, Store};

/// The files of one item, batch by batch.
///
/// As HSCAN promises and no more: a file that is there from the beginning to the end comes at least once, and **may come
/// more than once**; one that is saved or deleted meanwhile may come or not. A batch may be larger or smaller than asked
/// for (small hashes come whole). Files may be saved while the walk goes on.
#[derive(Debug)]
pub struct FileScan {
    store: Store,
    item: i64,
    count: usize,
    cursor: Option<u64>,
}

/// The answer to HSCAN: the next cursor, and fields with their values.
type Entries = (u64, Vec<(Vec<u8>, Vec<u8>)>);

impl FileScan {
    pub(crate) fn new(store: Store, item: i64, count: usize) -> Self {
        Self { store, item, count: count.clamp(1, 10_000), cursor: Some(0) }
    }

    /// The next batch, never an empty one; `None` at the end. After an error of Redis the same batch can be asked for
    /// again; a corrupt document is named, and the rest of its batch is passed over.
    pub async fn next(&mut self) -> Result<Option<Vec<IngestFile>>, Error> {
        while let Some(cursor) = self.cursor {
            let mut commands = redis::pipe();
            commands.cmd("HSCAN").arg(self.item).arg(cursor).arg("MATCH").arg("file:*").arg("COUNT").arg(self.count);
            let item = self.item;
            let ((next, entries),): (Entries,) =
                self.store.read(&commands, || format!("walk through the files of `{item}`")).await?;
            self.cursor = if next == 0 { None } else { Some(next) };
            if !entries.is_empty() {
                let files: Result<Vec<IngestFile>, Error> =
                    entries.iter().map(|(field, json)| file(self.item, field, json)).collect();
                return files.map(Some);
            }
        }
        Ok(None)
    }
}

fn file(item: i64, field: &[u8], json: &[u8]) -> Result<IngestFile, Error> {
    let name = String::from_utf8_lossy(field);
    let file: IngestFile = parse(item, &name, json)?;
    // Saved, it would become a second record. Go makes this of names that are not UTF-8 (01 §5.2).
    if field.strip_prefix(FILE.as_bytes()) != Some(file.identifier().as_bytes()) {
        let reason = format!("it is of the file `{}`", file.identifier());
        return Err(Error::Corrupt { key: item.to_string(), field: name.into_owned(), reason });
    }
    Ok(file)
}
