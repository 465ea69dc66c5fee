//! What the stages of ingest stand on, together: a tar of many files is hashed, recorded and copied file by file, while its worker is
//! killed again and again. Every file arrives whole, once. `UNPACK_FILES` says how many there are: 1,500 by default.

mod stage;

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use digests::{Algorithm, Algorithms, Digests};
use futures_util::TryStreamExt as _;
use ingest::files::Limits;
use model::{Stage, Topic};
use storage::Depth;
use world::{RECORD, World, until};

use stage::{Place, Unpack};

const SIZE: usize = 100;
const KILLS: u32 = 5;

#[tokio::test(flavor = "multi_thread")]
async fn all_files_come_out_of_a_tar_whole_while_workers_are_killed() {
    let files = std::env::var("UNPACK_FILES").ok().and_then(|text| text.parse().ok()).unwrap_or(1500);
    let world = World::new().await;
    let item = world.ingest().await;
    let place = Place::with_tar(&item.name, files, SIZE).await;
    let limits = Limits { in_flight: 32, errors: 30, tries: 3, pause: Duration::from_millis(100) };
    world.publish(Topic::IngestRecord, item.id).await;
    let (_looking, Unpack { staging, .. }) = Unpack::new(&place, limits).await;
    let mut staged = 0;
    for round in 0..=KILLS {
        let (_storage, unpack) = Unpack::new(&place, limits).await;
        let script = unpack.script();
        let running = world.start(RECORD, &script);
        if round == KILLS {
            // Longer than any other wait: two requests for each file, from a client and at a server that are not optimised.
            let deadline = Instant::now() + Duration::from_mins(10);
            let mut last = world.look(item.id).await;
            while last.stage != Stage::Cleanup {
                assert!(Instant::now() < deadline, "the item stayed {last:?}");
                tokio::time::sleep(Duration::from_millis(100)).await;
                last = world.look(item.id).await;
            }
            running.stop().await;
        } else {
            until("it is taken up", || script.runs(item.id) == 1).await;
            // In the middle of reading, of recording, of copying.
            let begun = Instant::now();
            let span = Duration::from_millis(400) * (round + 1);
            until("it has worked for a while", || begun.elapsed() > span).await;
            running.kill();
        }
        let keys = staging.list("", Depth::All).into_entries();
        let count = keys.try_fold(0, async |count, _| Ok(count + 1)).await.unwrap();
        assert!(count >= staged, "nothing is taken back");
        staged = count;
    }
    let mut known = BTreeMap::new();
    let mut pages = world.store.files(item.id, 1000);
    while let Some(page) = pages.next().await.unwrap() {
        known.extend(page.files.into_iter().map(|file| (file.path_in_bag.clone(), file)));
    }
    assert_eq!((known.len(), staged), (files, files), "each once");
    for number in (0..files).step_by(97) {
        let file = &known[stage::path(number).split_once('/').unwrap().1];
        let expected = Digests::of(Algorithms::ALL, &stage::contents(number, SIZE));
        for sum in &file.checksums {
            let algorithm: Algorithm = sum.algorithm.as_str().parse().unwrap();
            assert_eq!(Some(sum.digest.as_str()), expected.get(algorithm), "{algorithm} of {}", file.path_in_bag);
        }
        assert_eq!(file.checksums.len(), 4);
        let stored = staging.stat(&format!("{}/{}", item.id, file.uuid)).await.unwrap();
        assert_eq!(stored.etag.md5(), expected.get(Algorithm::Md5), "{}", file.path_in_bag);
    }
}
