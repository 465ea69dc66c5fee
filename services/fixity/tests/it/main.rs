//! Which files are queued for a fixity check, against embedded servers.
#![expect(clippy::unwrap_used, reason = "a helper of a test may fail as a test does")]

mod checker;
mod copies;
mod place;

use std::time::Duration;

use fixity::Queue;
use model::{GenericFile, State, StorageOption, Time};
use nsq::{Consumer, Options, Publisher, Source};
use stack::nsq::Nsqd;
use stack::registry::{Fixtures, Registry};
use worker::{CancellationToken, Part, Pass, Scan as _};

struct World {
    _registry: Registry,
    nsqd: Nsqd,
    client: registry::Client,
}

impl World {
    async fn new() -> Self {
        let nsqd = Nsqd::start(stack::nsq::Options::default()).await.unwrap();
        nsqd.create("fixity_check", Some("fixity_check_worker_chan")).await.unwrap();
        let options = stack::registry::Options { fixtures: Fixtures::People, ..Default::default() };
        let registry = Registry::start(options).unwrap();
        let url = registry.url();
        let settings = registry::Settings { url: &url, version: "v3", user: "system@aptrust.org", key: "password" };
        let client = registry::Client::new(settings, registry::Limits::default()).unwrap();
        Self { _registry: registry, nsqd, client }
    }

    /// A file that was last checked so many days ago.
    async fn file(&self, name: &str, days: i64, change: impl FnOnce(&mut GenericFile)) -> GenericFile {
        let mut file = GenericFile {
            identifier: format!("test.edu/bag/data/{name}"),
            institution_id: 4,
            intellectual_object_id: 1,
            file_format: "text/plain".to_owned(),
            size: 7,
            state: State::Active,
            storage_option: StorageOption::Standard,
            uuid: uuid::Uuid::new_v4().to_string(),
            last_fixity_check: (Time::now().inner() - time::Duration::days(days)).into(),
            ..GenericFile::default()
        };
        change(&mut file);
        self.client.save_file(&file).await.unwrap()
    }

    fn queue(&self, files: u32) -> Queue {
        let publisher = Publisher::new(&self.nsqd.http().to_string()).unwrap();
        Queue::new(self.client.clone(), publisher, 90, files).unwrap()
    }

    /// The ids that a pass publishes, in their order.
    async fn queued(&self, queue: Queue) -> Vec<i64> {
        queue.pass(&Part::Whole, &Pass::new(CancellationToken::new())).await.unwrap();
        let source = Source::Nsqd(vec![self.nsqd.tcp().to_string()]);
        let (topic, channel) = ("fixity_check".parse().unwrap(), "fixity_check_worker_chan".parse().unwrap());
        let waiting = self.nsqd.waiting().first().map_or(0, |(_, messages)| *messages);
        let mut consumer = Consumer::start(Options::new(topic, channel, source));
        let mut ids = Vec::new();
        for _ in 0..waiting {
            let next = tokio::time::timeout(Duration::from_mins(1), consumer.next()).await;
            let message = next.expect("a message is missing").unwrap();
            ids.push(str::from_utf8(&message.body).unwrap().parse().unwrap());
            message.finish().unwrap();
        }
        let _ = consumer.close(Duration::from_secs(10)).await;
        ids
    }
}

/// Upstream forgets a file that is overdue by more than thirty days.
#[tokio::test(flavor = "multi_thread")]
async fn defect_03_d3_every_file_that_is_due_is_queued_however_long_it_has_been_due() {
    let world = World::new().await;
    let mut due = Vec::new();
    for days in [9000, 700, 125, 119, 91] {
        due.push(world.file(&format!("due-{days}"), days, |_| {}).await.id);
    }
    world.file("checked", 89, |_| {}).await;
    world.file("deleted", 100, |file| file.state = State::Deleted).await;
    world.file("frozen", 100, |file| file.storage_option = StorageOption::GlacierVa).await;
    let texas = world.file("texas", 91, |file| file.storage_option = StorageOption::WasabiTx).await.id;
    due.push(texas);
    assert_eq!(world.queued(world.queue(100)).await, due, "those first that have waited longest");
}

/// Upstream publishes up to a page more.
#[tokio::test(flavor = "multi_thread")]
async fn no_more_files_are_queued_than_one_run_may() {
    let world = World::new().await;
    for number in 0..7 {
        world.file(&number.to_string(), 100 + number, |_| {}).await;
    }
    assert_eq!(world.queued(world.queue(5)).await.len(), 5);
}

#[tokio::test(flavor = "multi_thread")]
async fn one_file_is_queued_by_its_identifier_due_or_not() {
    let world = World::new().await;
    world.file("due", 100, |_| {}).await;
    let file = world.file("a b?.txt", 1, |_| {}).await;
    assert_eq!(world.queued(world.queue(100).only(Some(file.identifier))).await, [file.id]);
    let error = world
        .queue(100)
        .only(Some("test.edu/none".to_owned()))
        .pass(&Part::Whole, &Pass::new(CancellationToken::new()))
        .await
        .unwrap_err();
    assert!(format!("{error:#}").contains("looking for the file test.edu/none"), "{error:#}");
}

/// Upstream counts nothing then, and walks through every file there is.
#[tokio::test(flavor = "multi_thread")]
async fn a_run_ends_with_an_error_when_nsqd_is_away() {
    let mut world = World::new().await;
    world.file("due", 100, |_| {}).await;
    let queue = world.queue(100);
    let away = Nsqd::start(stack::nsq::Options::default()).await.unwrap();
    std::mem::replace(&mut world.nsqd, away).stop().await;
    let error = queue.pass(&Part::Whole, &Pass::new(CancellationToken::new())).await.unwrap_err();
    assert!(format!("{error:#}").contains("queueing file"), "{error:#}");
}
