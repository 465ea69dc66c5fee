//! What manifests say of files: a digest for each line, added to the record of the file that it means (02 §3.1, step 7; rulings J.67
//! and 68). A manifest is read from staging, when the records of all files are there: so it may stand anywhere in the tar, and its
//! lines are never kept.

use std::collections::HashMap;

use bagit::path::readings;
use bagit::{First, ManifestParser, Syntax, TooLong};
use model::{Algorithm, ChecksumSource, IngestChecksum, IngestFile, Time};
use storage::Bucket;
use worker::{Stop, Task};

use super::{PAGE, PreFetch};
use crate::ground::failed;

/// A manifest at the root of the bag.
#[derive(Debug)]
pub(super) struct Manifest {
    pub(super) name: String,
    pub(super) algorithm: Algorithm,
    pub(super) source: ChecksumSource,
}

struct Line {
    digest: String,
    path: String,
}

/// Lines of one manifest, on their way to the records.
struct Declaring<'a> {
    task: &'a Task,
    /// The object's identifier.
    object: &'a str,
    manifest: &'a Manifest,
}

/// Adds what a manifest says to the records of the files.
pub(super) async fn declare(staging: &Bucket, task: &Task, object: &str, manifest: &Manifest) -> Result<(), Stop> {
    let declaring = Declaring { task, object, manifest };
    let unreadable = |error: storage::Error| failed(object, &error);
    let too_long = |error: TooLong| Stop::fatal(object, error.to_string());
    let mut staged = staging.get(&PreFetch::key(task, &manifest.name)).await.map_err(unreadable)?;
    let mut parser = ManifestParser::new(&*manifest.name, &Syntax::APTRUST);
    let mut lines = Vec::new();
    let keep = |lines: &mut Vec<Line>, entry: bagit::Entry<'_>| {
        lines.push(Line { digest: entry.digest_text(), path: entry.path_text() });
    };
    while let Some(chunk) = staged.chunk().await.map_err(unreadable)? {
        parser.push(&chunk, |entry| keep(&mut lines, entry)).map_err(too_long)?;
        while lines.len() >= PAGE {
            let rest = lines.split_off(PAGE);
            declaring.save(&lines).await?;
            lines = rest;
        }
    }
    parser.finish(|entry| keep(&mut lines, entry)).map_err(too_long)?;
    declaring.save(&lines).await
}

impl Declaring<'_> {
    async fn save(&self, lines: &[Line]) -> Result<(), Stop> {
        let (mut paths, mut places) = (Vec::new(), HashMap::new());
        let mut meant = Vec::with_capacity(lines.len());
        for line in lines {
            let ways = readings(line.path.as_bytes(), First::Literal).map(|(_, path)| {
                let path = String::from_utf8_lossy(&path).into_owned();
                *places.entry(path).or_insert_with_key(|path| {
                    paths.push(path.clone());
                    paths.len() - 1
                })
            });
            meant.push(ways.collect::<Vec<usize>>());
        }
        let identifiers: Vec<String> = paths.iter().map(|path| format!("{}/{path}", self.object)).collect();
        let mut files = self.task.store.files_by_identifier(self.task.item.id, &identifiers).await?;
        let now = Time::now();
        let mut changed = vec![false; files.len()];
        for (line, ways) in lines.iter().zip(meant) {
            let in_bag = ways.iter().find(|way| files[**way].as_ref().is_some_and(is_in_bag));
            let Some(&way) = in_bag.or(ways.first()) else { continue };
            // Listed, and not in the bag: a record with no digest of ours says so (02 §3.1).
            let file = files[way].get_or_insert_with(|| self.absent(&paths[way]));
            changed[way] |= self.add(file, &line.digest, now);
        }
        let changed: Vec<IngestFile> =
            files.into_iter().zip(changed).filter_map(|(file, changed)| file.filter(|_| changed)).collect();
        Ok(self.task.store.save_files(self.task.item.id, &changed).await?)
    }

    /// A second digest for the file is kept where it differs, so that the contradiction shows; a third would show nothing more.
    fn add(&self, file: &mut IngestFile, digest: &str, now: Time) -> bool {
        let Manifest { algorithm, source, .. } = self.manifest;
        let same = |sum: &&IngestChecksum| sum.source == *source && sum.algorithm == *algorithm;
        let known = file.checksums.iter().filter(same);
        if known.clone().any(|sum| sum.digest == digest) || known.count() > 1 {
            return false;
        }
        file.checksums.push(IngestChecksum::new(source.clone(), algorithm.clone(), digest, now));
        true
    }

    fn absent(&self, path: &str) -> IngestFile {
        IngestFile { institution_id: self.task.item.institution_id, ..IngestFile::new(self.object, path) }
    }
}

fn is_in_bag(file: &IngestFile) -> bool {
    file.checksums.iter().any(|sum| sum.source == ChecksumSource::Ingest)
}
