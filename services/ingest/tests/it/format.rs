//! The format identifier, on files in staging.

use std::time::Duration;

use buckets::Staging;
use bytes::Bytes;
use ingest::{FormatIdentifier, Ground, Institutions, Versions};
use model::{Action, FormatSource, IngestFile, IngestObject, Provider, Stage, Time, Topic, WorkItem};
use stack::s3::{Fault, FaultKind, Operation, S3};
use storage::{Attributes, Bucket, Budget, Config, Scheme, Storage};
use worker::{ItemWorker, Program, Rules};
use world::{Running, World};

const STAGING: &str = "staging";
const TOPIC: Topic = Topic::IngestFormatIdentification;

/// The servers, with an item at this stage.
struct Place {
    world: World,
    s3: S3,
    staging: Bucket,
    item: WorkItem,
    object: IngestObject,
}

async fn storage(host: String, budget: &Budget) -> Storage {
    let provider = storage::Provider {
        name: Provider::Aws,
        host,
        scheme: Scheme::Http,
        key: Some("minioadmin".to_owned()),
        secret: Some("minioadmin".to_owned()),
    };
    let config = Config { providers: vec![provider], regions: vec![], limits: storage::Limits::default() };
    Storage::new(&config, budget).await.unwrap()
}

impl Place {
    async fn new() -> Self {
        let world = World::new().await;
        let buckets = vec![STAGING.to_owned()];
        let s3 = S3::start(stack::s3::Options { buckets, ..Default::default() }).await.unwrap();
        let storage = storage(s3.address().to_string(), &Budget::new(64 << 20)).await;
        let staging = storage.bucket(&Provider::Aws, STAGING).unwrap();
        let item = world.item(Action::Ingest, Stage::FormatIdentification, |_| {}).await;
        let object = IngestObject::new(&item.bucket, &item.name, &item.etag, "test.edu", item.institution_id, 4096);
        world.store.save_object(item.id, &object).await.unwrap();
        Self { world, s3, staging, item, object }
    }

    /// A file as the staging uploader leaves it, whose format is known by its name only.
    async fn stage(&self, path: &str, contents: &[u8]) {
        let file = self.known(path, contents.len());
        let key = format!("{}/{}", self.item.id, file.uuid);
        self.staging.put_bytes(&key, Bytes::copy_from_slice(contents), Attributes::default()).await.unwrap();
        self.world.store.save_file(self.item.id, &file).await.unwrap();
    }

    fn known(&self, path: &str, size: usize) -> IngestFile {
        let mut file = IngestFile::new(&self.object.identifier(), path);
        file.size = i64::try_from(size).unwrap();
        file.copied_to_staging_at = Time::now();
        file.file_format = "application/binary".into();
        file.format_match_type = "extension".into();
        file.format_identified_by = FormatSource::ExtensionMap;
        file.format_identified_at = Time::now();
        file
    }

    fn start(&self) -> Running {
        let program: Program<ItemWorker, ()> = Program {
            name: "w",
            about: "",
            kind: ItemWorker::new(Rules::ingest(TOPIC, "Finished file format identification"))
                .requeue_delay(Duration::from_millis(50)),
            stage: worker::Stage::Unfinished,
        };
        let host = self.s3.address().to_string();
        self.world.run(&program, &[], async move |context| {
            let clients = context.plan.clients()?;
            let budget = Budget::new(64 << 20);
            let storage = storage(host, &budget).await;
            let institutions = Institutions::new(clients.registry.clone());
            let ground = Ground { clients: clients.clone(), institutions: institutions.clone(), storage, budget };
            let stage = FormatIdentifier::new(&ground, &Staging { bucket: STAGING.to_owned() })?;
            let versions = Versions::new(TOPIC, &clients, institutions, None);
            context.run_admitting(clients, versions, stage).await
        })
    }

    /// Runs the service until the item is at this stage.
    async fn run(&self, stage: Stage) -> WorkItem {
        let running = self.start();
        self.world.publish(TOPIC, self.item.id).await;
        let item = self.world.until(self.item.id, |item| item.stage == stage).await;
        running.stop().await;
        item
    }

    async fn file(&self, path: &str) -> IngestFile {
        let identifier = self.object.file_identifier(path);
        self.world.store.file(self.item.id, &identifier).await.unwrap().unwrap()
    }

    async fn format(&self, path: &str) -> (String, FormatSource, String) {
        let file = self.file(path).await;
        (file.file_format, file.format_identified_by, file.format_match_type)
    }

    /// Lets so many reads pass and refuses the next.
    fn at_most(&self, reads: u64) {
        let refused = FaultKind::Status { status: 403, code: "AccessDenied".to_owned() };
        self.s3.faults().add(Fault::new(refused).operation(Operation::GetObject).after(reads)).unwrap();
    }
}

fn by_signature(mime: &str, basis: &str) -> (String, FormatSource, String) {
    (mime.to_owned(), FormatSource::Siegfried, basis.to_owned())
}

fn by_name() -> (String, FormatSource, String) {
    ("application/binary".to_owned(), FormatSource::ExtensionMap, "extension".to_owned())
}

/// A document whose parts are neither in its beginning nor in its end, with so many bytes before and after them.
pub(crate) fn spread_docx(padding: usize) -> Vec<u8> {
    let specimen = pronom::Engine::builtin().specimens().find(|specimen| specimen.puid == "fmt/412").unwrap();
    let zip = specimen.content;
    let u32_at = |at: usize| u32::from_le_bytes(zip[at..at + 4].try_into().unwrap());
    let end = zip.windows(4).rposition(|bytes| bytes == b"PK\x05\x06").unwrap();
    let directory = u32_at(end + 16) as usize;
    let padding = vec![b'.'; padding];
    let moved = u32::try_from(4 + padding.len()).unwrap();
    let mut spread = [&zip[..4], &padding, &zip[..directory], &padding].concat();
    let begins = u32::try_from(spread.len()).unwrap();
    let at = |entry: usize, field: usize| usize::from(u16::from_le_bytes([zip[entry + field], zip[entry + field + 1]]));
    let mut entry = directory;
    while entry < end {
        let next = entry + 46 + at(entry, 28) + at(entry, 30) + at(entry, 32);
        spread.extend_from_slice(&zip[entry..entry + 42]);
        spread.extend_from_slice(&(u32_at(entry + 42) + moved).to_le_bytes());
        spread.extend_from_slice(&zip[entry + 46..next]);
        entry = next;
    }
    spread.extend_from_slice(&zip[end..end + 16]);
    spread.extend_from_slice(&begins.to_le_bytes());
    spread.extend_from_slice(&zip[end + 20..]);
    spread
}

#[tokio::test(flavor = "multi_thread")]
async fn formats_are_named_by_bytes_and_otherwise_by_name() {
    let place = Place::new().await;
    place.stage("data/Report.DOC", b"%PDF-1.4\n1 0 obj\n%%EOF").await;
    place.stage("data/unknown.bin", &[1, 2, 3, 0, 255]).await;
    place.stage("data/notes.txt", b"plain words\n").await;
    let long = [&b"%PDF-1.4\n"[..], &vec![b' '; 200_000], b"%%EOF"].concat();
    place.stage("data/long", &long).await;
    // Upstream leaves this extension, in lower case, alone.
    place.stage("data/picture.tif", b"II*\0\x08\0\0\0\0\0").await;
    place.stage("data/book.docx", &spread_docx(100_000)).await;
    let mut done = place.known("data/done.pdf", 9);
    (done.format_identified_by, done.file_format) = (FormatSource::Siegfried, "application/x-done".into());
    let mut unstaged = place.known("data/unchanged.pdf", 9);
    unstaged.copied_to_staging_at = Time::UNSET;
    let empty = place.known("data/empty.pdf", 0);
    place.world.store.save_files(place.item.id, [&done, &unstaged, &empty]).await.unwrap();
    let item = place.run(Stage::Store).await;
    assert_eq!(item.note, "Finished file format identification");
    let pdf = "byte match at [[0 8] [17 5]]";
    assert_eq!(place.format("data/Report.DOC").await, by_signature("application/pdf", pdf));
    assert_eq!(place.format("data/long").await, by_signature("application/pdf", "byte match at [[0 8] [200009 5]]"));
    assert_eq!(
        place.format("data/notes.txt").await,
        by_signature("text/plain", "extension match txt; text match ASCII")
    );
    let (mime, by, basis) = place.format("data/picture.tif").await;
    assert_eq!((mime.as_str(), by), ("image/tiff", FormatSource::Siegfried));
    assert!(basis.starts_with("extension match tif; byte match"), "{basis}");
    let (mime, by, basis) = place.format("data/book.docx").await;
    let docx = "application/vnd.openxmlformats-officedocument.wordprocessingml.document";
    assert_eq!((mime.as_str(), by), (docx, FormatSource::Siegfried));
    assert!(basis.contains("container name"), "{basis}");
    for path in ["data/unknown.bin", "data/unchanged.pdf", "data/empty.pdf"] {
        assert_eq!(place.format(path).await, by_name(), "{path}");
    }
    assert_eq!(place.file("data/done.pdf").await.file_format, "application/x-done");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_takes_one_request_or_two_and_a_spread_container_few() {
    let place = Place::new().await;
    for number in 0..20 {
        place.stage(&format!("data/{number}"), b"%PDF-1.4\n%%EOF").await;
    }
    place.stage("data/long", &[&b"%PDF-1.4\n"[..], &vec![b' '; 200_000], b"%%EOF"].concat()).await;
    place.stage("data/book.docx", &spread_docx(100_000)).await;
    place.at_most(20 + 2 + 4);
    place.run(Stage::Store).await;
    assert_eq!(place.file("data/19").await.format_identified_by, FormatSource::Siegfried);
    assert_eq!(place.file("data/book.docx").await.format_identified_by, FormatSource::Siegfried);
}

#[tokio::test(flavor = "multi_thread")]
async fn defect_02_21_an_s3_that_is_away_leaves_no_format_unnamed() {
    let place = Place::new().await;
    place.stage("data/a", b"%PDF-1.4\n%%EOF").await;
    let away = FaultKind::Status { status: 503, code: "SlowDown".to_owned() };
    place.s3.faults().add(Fault::new(away).operation(Operation::GetObject).times(8)).unwrap();
    place.run(Stage::Store).await;
    assert_eq!(place.file("data/a").await.file_format, "application/pdf");
    assert_eq!(place.world.record(place.item.id, TOPIC).await.attempt, 1, "none counts");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_staging_lost_is_staged_again_twice_and_then_fails() {
    let place = Place::new().await;
    place.stage("data/here", b"%PDF-1.4\n%%EOF").await;
    let mut lost = place.known("data/lost", 10);
    for round in 1..=2 {
        lost.copied_to_staging_at = Time::now();
        place.world.store.save_file(place.item.id, &lost).await.unwrap();
        let item = place.run(Stage::CopyToStaging).await;
        let identifier = place.object.file_identifier("data/lost");
        let note = format!("1 file is no longer in the staging area and must be copied there again: {identifier}");
        assert_eq!(item.note, note, "round {round}");
        assert!(!place.file("data/lost").await.copied_to_staging_at.is_set());
        assert_eq!(place.file("data/here").await.file_format, "application/pdf");
        let mut item = place.world.look(place.item.id).await;
        item.stage = Stage::FormatIdentification;
        place.world.client.save_work_item(&item).await.unwrap();
    }
    lost.copied_to_staging_at = Time::now();
    place.world.store.save_file(place.item.id, &lost).await.unwrap();
    let running = place.start();
    place.world.publish(TOPIC, place.item.id).await;
    let item = place.world.until(place.item.id, |item| !item.retry).await;
    running.stop().await;
    assert!(item.stage == Stage::FormatIdentification && item.needs_admin_review, "{item:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_killed_identifier_goes_on_where_it_was() {
    const FILES: usize = 1_500;
    let place = Place::new().await;
    for number in 0..FILES {
        place.stage(&format!("data/{number}"), b"%PDF-1.4\n%%EOF").await;
    }
    let slow = FaultKind::Latency { milliseconds: 20 };
    place.s3.faults().add(Fault::new(slow).operation(Operation::GetObject)).unwrap();
    let running = place.start();
    place.world.publish(TOPIC, place.item.id).await;
    let store = place.world.store.clone();
    let named = async || {
        let (mut pages, mut count) = (store.files(place.item.id, 1000), 0);
        while let Some(page) = pages.next().await.unwrap() {
            count += page.files.iter().filter(|file| file.format_identified_by == FormatSource::Siegfried).count();
        }
        count
    };
    let in_time = tokio::time::timeout(Duration::from_mins(1), async {
        while named().await == 0 {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    });
    assert!(in_time.await.is_ok(), "no file is named");
    running.kill();
    let before = named().await as u64;
    place.at_most(FILES as u64 - before);
    place.run(Stage::Store).await;
    assert_eq!(named().await, FILES);
}
