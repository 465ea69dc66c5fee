//! Walks through the files of an item without stopping Redis. What is done with them, how many at a time and what becomes
//! of failures is the caller's business.

use model::IngestFile;

use crate::documents::parse_file;
use crate::error::Error;
use crate::store::Store;

/// The files of one item, page by page.
///
/// As HSCAN promises and no more: a file that is there from the beginning to the end comes at least once, and **may come
/// more than once**; one that is saved or deleted meanwhile may come or not. A page may be larger or smaller than asked
/// for. Files may be saved while the walk goes on. It cannot be taken up again after the process ended: what is done, each
/// document says for itself.
#[derive(Debug)]
pub struct FileScan {
    store: Store,
    item: i64,
    count: usize,
    cursor: Option<u64>,
}

/// One step of a walk, never empty.
#[derive(Debug, Default)]
pub struct FilePage {
    pub files: Vec<IngestFile>,
    /// What is no document of ours, each an [`Error::Corrupt`] that names its field. The walk goes on behind it.
    pub corrupt: Vec<Error>,
}

/// The largest page that can be asked for: a document with its events is some 10 KiB.
const MOST: usize = 1_000;

/// The answer to HSCAN: the next cursor, and fields with their values.
type Entries = (u64, Vec<(Vec<u8>, Vec<u8>)>);

impl Store {
    /// All files of this item, in pages of about `count`, 1,000 at most.
    pub fn files(&self, item: i64, count: usize) -> FileScan {
        FileScan { store: self.clone(), item, count: count.clamp(1, MOST), cursor: Some(0) }
    }

    /// Deletes all files of this item, and nothing else of it. One that is saved meanwhile may stay.
    pub async fn delete_files(&self, item: i64) -> Result<(), Error> {
        let mut cursor = 0;
        loop {
            let mut commands = redis::pipe();
            commands.cmd("HSCAN").arg(item).arg(cursor).arg("MATCH").arg("file:*").arg("COUNT").arg(MOST);
            let ((next, entries),): (Entries,) =
                self.read(&commands, || format!("walk through the files of `{item}`")).await?;
            if !entries.is_empty() {
                let fields: Vec<Vec<u8>> = entries.into_iter().map(|(field, _)| field).collect();
                let mut commands = redis::pipe();
                commands.hdel(item, &fields).ignore();
                let (): () = self.write(&commands, || format!("delete {} files of `{item}`", fields.len())).await?;
            }
            if next == 0 {
                return Ok(());
            }
            cursor = next;
        }
    }
}

impl FileScan {
    /// The next page; `None` at the end. After an error the same page can be asked for again.
    pub async fn next(&mut self) -> Result<Option<FilePage>, Error> {
        while let Some(cursor) = self.cursor {
            let mut commands = redis::pipe();
            commands.cmd("HSCAN").arg(self.item).arg(cursor).arg("MATCH").arg("file:*").arg("COUNT").arg(self.count);
            let item = self.item;
            let ((next, entries),): (Entries,) =
                self.store.read(&commands, || format!("walk through the files of `{item}`")).await?;
            self.cursor = if next == 0 { None } else { Some(next) };
            if !entries.is_empty() {
                let mut page = FilePage::default();
                for (field, json) in entries {
                    match parse_file(item, &field, &json) {
                        Ok(file) => page.files.push(file),
                        Err(error) => page.corrupt.push(error),
                    }
                }
                return Ok(Some(page));
            }
        }
        Ok(None)
    }
}
