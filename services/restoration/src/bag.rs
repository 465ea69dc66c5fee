//! `bag_restorer`: the bag of an object goes as a tar into its depositor's restoration bucket (03 §2). It streams: files are fetched ahead
//! (`ahead.rs`), compared with the Registry and written while parts of the tar are on their way; only the lines of manifests wait on
//! disk (`manifests.rs`). Nothing stands under the key before the last byte is right.

mod ahead;
mod manifests;
mod rewrite;

use std::collections::{HashMap, HashSet};
use std::hash::{BuildHasher as _, RandomState};
use std::path::PathBuf;

use bytes::Bytes;
use digests::{Algorithm, Algorithms, Digests};
use model::{GenericFile, IntellectualObject, Manifest, RestorationObject, Time, identifier, note, topic::e2e};
use storage::{Length, Put};
use tarball::{Header, Writer};
use worker::settings::{EndToEnd, RestoreDir};
use worker::{Done, ItemStage, Stop, Task};

use self::ahead::{Ahead, Next};
use self::manifests::Manifests;
use crate::contents::{Contents, Failure, Notices};
use crate::ground::{Ground, active_files, asked, attributes};
use crate::pour::{Outlet, pour};

/// The stage.
#[derive(Debug, Clone)]
pub struct BagRestorer {
    ground: Ground,
    folder: PathBuf,
    end_to_end: EndToEnd,
}

/// Copies of large files that proved to be wrong while a bag was written, by file: their buckets, and what was wrong.
type WrongCopies = HashMap<i64, Vec<(String, String)>>;

/// One writing of the bag.
struct Writing<'t> {
    stage: &'t BagRestorer,
    task: &'t Task,
    object: &'t IntellectualObject,
    /// The folder at the root of the tar.
    name: String,
    algorithms: Algorithms,
    tar: Writer,
    /// Hashes of the folders that have their entry: a bag may have as many as files.
    folders: HashSet<u64>,
    hasher: RandomState,
    /// Ids of the files that were written.
    written: HashSet<i64>,
    manifests: Manifests,
    now: Time,
}

const BAGIT: &str = "bagit.txt";
const DECLARATION: &[u8] = b"BagIt-Version: 1.0\nTag-File-Character-Encoding: UTF-8\n";
const BAG_INFO: &str = "bag-info.txt";
/// What a file takes in the tar beside its contents, and its lines in manifests, about.
const OVERHEAD: u64 = 2048;

impl BagRestorer {
    pub fn new(ground: Ground, folder: &RestoreDir, end_to_end: EndToEnd) -> Self {
        Self { ground, folder: folder.0.clone(), end_to_end }
    }
}

impl ItemStage for BagRestorer {
    /// Beside buffers, which have a budget of their own: ids of files, hashes of folders, a page of the Registry's list.
    const MEMORY: u64 = 64 << 20;

    async fn run(&self, task: &Task) -> Result<Done, Stop> {
        if self.end_to_end == EndToEnd::On {
            task.announce_end(e2e::RESTORATION, task.item.id.to_string());
        }
        Box::pin(task.until_cancelled(self.restore(task))).await?
    }
}

impl BagRestorer {
    async fn restore(&self, task: &Task) -> Result<Done, Stop> {
        let (restoration, object) = asked(task).await?;
        let mut wrong = WrongCopies::new();
        let notices = loop {
            let notices = Notices::default();
            match self.write(task, &restoration, &object, &wrong, &notices).await {
                Ok(count) => {
                    tracing::info!(work_item_id = task.item.id, "WorkItem {}: count {count}", task.item.id);
                    break notices;
                }
                // Its beginning is in the tar already: another one is begun, with another copy.
                Err(Failure::Wrong { file, bucket, text }) => wrong.entry(file).or_default().push((bucket, text)),
                Err(Failure::Stop(stop)) => return Err(stop),
                Err(Failure::Unwanted) => {
                    return Err(Stop::failed(&restoration.identifier, "The upload ended before its bytes did"));
                }
            }
        };
        let said = note::object_restored(&restoration.identifier, &restoration.public_url());
        Ok(Done { note: Some(notices.before(&said)), outcome: Some(note::BAG_RESTORED.to_owned()), ..Done::default() })
    }

    /// Writes the bag, and says of how many files it is.
    async fn write(
        &self,
        task: &Task,
        restoration: &RestorationObject,
        object: &IntellectualObject,
        wrong: &WrongCopies,
        notices: &Notices,
    ) -> Result<u64, Failure> {
        let Some(name) = restoration.object_name() else {
            let identifier = &restoration.identifier;
            let text = format!("Invalid object identifier '{identifier}': missing institution prefix");
            return Err(Stop::fatal(identifier, text).into());
        };
        let algorithms: Vec<Algorithm> =
            restoration.profile().restored_manifests().iter().filter_map(|known| known.as_str().parse().ok()).collect();
        let mut writing = Writing {
            stage: self,
            task,
            object,
            name: name.to_owned(),
            algorithms: algorithms.iter().copied().collect(),
            tar: Writer::default(),
            folders: HashSet::new(),
            hasher: RandomState::new(),
            written: HashSet::new(),
            manifests: Manifests::create(self.folder.join(task.item.id.to_string()), &algorithms).await?,
            now: Time::now(),
        };
        // Taken before the upload begins: it never waits for memory that another bag's files have.
        let ahead = Ahead::new(&self.ground, task, object, writing.algorithms, (wrong, notices)).await;
        let number = |number: i64| u64::try_from(number).unwrap_or_default();
        let estimate = number(object.size).saturating_add(OVERHEAD.saturating_mul(number(object.file_count)));
        let put = Put { attributes: attributes(), length: Length::Estimated(estimate), digest: None };
        let target = self.ground.target(restoration)?;
        pour(&target, &restoration.key(), &put, async |outlet| writing.bag(ahead, outlet).await).await
    }
}

impl Writing<'_> {
    /// The order of 03 §2.4.
    async fn bag(&mut self, mut ahead: Ahead, outlet: &mut Outlet) -> Result<u64, Failure> {
        let declaration = Bytes::from_static(DECLARATION);
        self.whole(BAGIT, declaration, self.now, outlet).await?;
        while let Some(next) = ahead.next().await? {
            match next {
                Next::Held { file, bytes, digests, room } => {
                    let path = self.begins(&file)?.to_owned();
                    if path == BAG_INFO {
                        let object = self.object;
                        let rewritten =
                            rewrite::bag_info(&bytes, object.payload_size, object.payload_file_count, self.now);
                        self.whole(&path, rewritten.into(), mtime(&file, self.now), outlet).await?;
                    } else {
                        self.header(&path, bytes.len() as u64, mtime(&file, self.now), outlet).await?;
                        self.data(bytes, outlet).await?;
                        self.manifests.add(&path, &digests).await?;
                    }
                    drop(room);
                }
                Next::Large(copies) => {
                    let file = copies.file.clone();
                    let path = self.begins(&file)?.to_owned();
                    self.header(&path, copies.size()?, mtime(&file, self.now), outlet).await?;
                    let mut contents = Contents::new(&self.stage.ground.lanes, copies, self.algorithms)?;
                    while let Some(bytes) = contents.chunk().await? {
                        self.data(bytes, outlet).await?;
                    }
                    self.manifests.add(&path, contents.digests()).await?;
                }
            }
        }
        self.complete().await?;
        let manifests = self.write_manifests(outlet).await?;
        let end = std::mem::take(&mut self.tar).finish().map_err(|error| self.unwritable(&error))?;
        outlet.send(end).await?;
        Ok(self.written.len() as u64 + manifests + 1)
    }

    /// Whether every file of the Registry is in the bag.
    async fn complete(&self) -> Result<(), Stop> {
        let page = self.task.registry.list::<GenericFile>(&active_files(self.object).per_page(1)).await?;
        let (written, identifier) = (self.written.len(), &self.object.identifier);
        match usize::try_from(page.count) {
            Ok(0) => Err(Stop::fatal(identifier, format!("{identifier} has no files that could be restored"))),
            Ok(count) if count == written => Ok(()),
            _ => {
                let count = page.count;
                let text = format!("Registry has {count} files of {identifier}, and {written} were written");
                Err(Stop::failed(identifier, text))
            }
        }
    }

    /// Payload manifests, then those of the tags, which list them.
    async fn write_manifests(&mut self, outlet: &mut Outlet) -> Result<u64, Failure> {
        let mut count = 0;
        for is_payload in [true, false] {
            let kind: fn(model::Algorithm) -> Manifest = if is_payload { Manifest::Payload } else { Manifest::Tag };
            for algorithm in self.algorithms.iter() {
                let name = kind(algorithm.as_str().into()).to_string();
                let mut spool = self.manifests.read(&name).await?;
                self.header(&name, spool.size, self.now, outlet).await?;
                let mut hashing = self.stage.ground.lanes.start(self.algorithms);
                while let Some(bytes) = spool.chunk().await? {
                    hashing.update(bytes.clone()).await;
                    self.data(bytes, outlet).await?;
                }
                if is_payload {
                    self.manifests.add(&name, &hashing.finish().await).await?;
                }
                count += 1;
            }
        }
        Ok(count)
    }

    /// The path in the bag of a file whose turn it is.
    fn begins<'f>(&mut self, file: &'f GenericFile) -> Result<&'f str, Stop> {
        let identifier = &file.identifier;
        let path = file.path_in_bag().filter(|path| !path.is_empty());
        let path = path.filter(|_| identifier::object(identifier) == Some(&self.object.identifier));
        let Some(path) = path else { return Err(Stop::fatal(identifier, format!("invalid identifier: {identifier}"))) };
        if path == BAGIT || Manifest::named(path).is_some() {
            let text = format!("{identifier} has the name of a file that every restored bag gets anew");
            return Err(Stop::fatal(identifier, text));
        }
        if !self.written.insert(file.id) {
            let text = format!("Registry lists {identifier} twice, so that its files have changed meanwhile");
            return Err(Stop::failed(identifier, text));
        }
        Ok(path)
    }

    /// What is made here, and listed in manifests.
    async fn whole(&mut self, path: &str, bytes: Bytes, mtime: Time, outlet: &mut Outlet) -> Result<(), Failure> {
        let digests = Digests::of(self.algorithms, &bytes);
        self.header(path, bytes.len() as u64, mtime, outlet).await?;
        self.data(bytes, outlet).await?;
        Ok(self.manifests.add(path, &digests).await?)
    }

    /// The header of a file, after that of its folder if it is the first there.
    async fn header(&mut self, path: &str, size: u64, mtime: Time, outlet: &mut Outlet) -> Result<(), Failure> {
        let path = format!("{}/{path}", self.name);
        let folder = &path[..=path.rfind('/').unwrap_or_default()];
        if self.folders.insert(self.hasher.hash_one(folder)) {
            let header = Header::folder(folder, self.now.inner());
            self.entry(header, outlet).await?;
        }
        self.entry(Header::file(&path, size, mtime.inner()), outlet).await
    }

    async fn entry(&mut self, header: Result<Header, tarball::Unwritable>, outlet: &mut Outlet) -> Result<(), Failure> {
        let header = header.map_err(|error| self.unwritable(&error))?;
        let bytes = self.tar.entry(&header).map_err(|error| self.unwritable(&error))?;
        outlet.send(bytes).await
    }

    async fn data(&mut self, bytes: Bytes, outlet: &mut Outlet) -> Result<(), Failure> {
        self.tar.data(&bytes).map_err(|error| self.unwritable(&error))?;
        if bytes.is_empty() { Ok(()) } else { outlet.send(bytes).await }
    }

    fn unwritable(&self, error: &dyn std::error::Error) -> Stop {
        Stop::fatal(&self.object.identifier, error.to_string())
    }
}

fn mtime(file: &GenericFile, now: Time) -> Time {
    if file.mtime.is_set() { file.mtime } else { now }
}
