//! Tars that can be no bags: each thing that rulings C.21 and J.69 to 71 name, one at a time.

use model::{Algorithm, ChecksumSource, Stage, Status};

use crate::receiving::{Place, entry, tar};

const NO_HEADER: &str = "Error parsing bag. Tar file in receiving bucket contains an invalid header.";
const CUT: &str =
    "Got unexpected EOF while trying to parse bag. Tar file in receiving bucket is corrupt or format is invalid.";

fn around(odd: &[u8]) -> Vec<u8> {
    let good = entry(b'0', b"bag/data/a", b"a");
    [&good[..], odd, &entry(b'0', b"bag/data/z", b"z"), &[0; 1024]].concat()
}

fn extended(records: &str) -> Vec<u8> {
    [entry(b'x', b"bag/PaxHeaders/x", records.as_bytes()), entry(b'0', b"bag/data/x", b"x")].concat()
}

#[tokio::test(flavor = "multi_thread")]
async fn what_no_bag_may_hold_is_refused_and_the_tar_stays() {
    let place = Place::new().await;
    let mut cases: Vec<(Vec<u8>, String)> = Vec::new();
    for (kind, words) in [
        (b'1', "hard link"),
        (b'2', "symbolic link"),
        (b'3', "character device"),
        (b'4', "block device"),
        (b'6', "FIFO"),
        (b'7', "contiguous file"),
        (b'S', "sparse file"),
        (b'Z', "entry of unknown type 'Z'"),
    ] {
        let text = format!("Tar contains {words} 'bag/data/odd', which cannot be preserved");
        cases.push((around(&entry(kind, b"bag/data/odd", b"")), text));
    }
    for name in ["bag/../x", "/bag/data/x", "bag//data/x", "bag/data/./x", "../x", "bag/data/x/"] {
        cases.push((around(&entry(b'0', name.as_bytes(), b"x")), format!("Illegal path '{name}'")));
    }
    // Defect 3: upstream writes to where that leads.
    let traversal = "bag/manifest-x/../../../escaped.txt";
    cases.push((around(&entry(b'0', traversal.as_bytes(), b"x")), format!("Illegal path '{traversal}'")));
    // Defect 10.
    cases.push((around(&entry(b'0', b"bag/data/caf\xe9", b"x")), r"Illegal path 'bag/data/caf\xe9'".to_owned()));
    // Defect 8.
    for twice in ["bag/data/a", "other/data/a"] {
        let text = "File 'data/a' occurs twice in the tar".to_owned();
        cases.push((around(&entry(b'0', twice.as_bytes(), b"other")), text));
    }
    let top = "Illegal path, '._bag'. Should start with '._bag/'. - Bag may be missing top-level directory. \
               See https://aptrust.github.io/userguide/bagging/#aptrust-bagit-specification.";
    cases.push((around(&entry(b'0', b"._bag", b"")), top.to_owned()));
    let mut bad_sum = entry(b'0', b"bag/data/x", b"");
    bad_sum[0] = b'B';
    let mut negative = entry(b'0', b"bag/data/x", b"");
    negative[124..136].fill(0xff);
    for odd in [
        bad_sum,
        negative,
        vec![0; 512],
        extended("99 path=bag/data/y\n"),
        extended("19 path=bag/dat\0/y\n"),
        extended("14 size=-0001\n"),
        entry(b'x', b"bag/PaxHeaders/x", &vec![b'x'; (1 << 20) + 1]),
    ] {
        cases.push((around(&odd), NO_HEADER.to_owned()));
    }
    cases.push((b"PK\x03\x04".repeat(1000), NO_HEADER.to_owned()));
    cases.push((b"no tar".to_vec(), CUT.to_owned()));

    let mut items = Vec::new();
    for (tar, _) in &cases {
        items.push(place.item(tar.clone()).await);
    }
    let ended = place.fetched(&items).await;
    for (item, (_, text)) in ended.iter().zip(&cases) {
        assert_eq!(item.note, *text);
        assert_eq!((&item.stage, &item.status, item.retry), (&Stage::Receive, &Status::Failed, false), "{text}");
        assert_eq!(item.outcome, "Ingest failed due to fatal error.");
        assert!(place.object_of(item).await.is_none(), "{text}");
        place.storage.bucket(&model::Provider::Aws, &item.bucket).unwrap().stat(&item.name).await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_odd_and_does_no_harm_is_read() {
    let place = Place::new().await;
    let mut old = entry(b'0', b"bag/data/old", b"");
    // Times are no reason to refuse a bag.
    old[136..148].copy_from_slice(b"zzzzzzzzzzz\0");
    old[148..156].fill(b' ');
    let sum: u32 = old.iter().map(|byte| u32::from(*byte)).sum();
    old[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
    let folder = entry(b'5', b"bag/../odd/", b"");
    let global = entry(b'g', b"pax_global_header", b"20 comment=whatever\n");
    for (tar, count) in [
        (around(&old), 3),
        (around(&folder), 2),
        (around(&global), 2),
        (around(&extended("20 path=bag/data/yy\n")), 3),
        ([around(&[]), b"rubbish".to_vec()].concat(), 2),
        (entry(b'0', b"bag/data/a", b"no end"), 1),
        (Vec::new(), 0),
    ] {
        let (_, object, files) = place.good(tar).await;
        assert_eq!((object.file_count, files.len()), (count, usize::try_from(count).unwrap()));
    }
}

/// At the end of an entry it is as good as whole; anywhere else it is refused, with one text.
#[tokio::test(flavor = "multi_thread")]
async fn a_tar_that_is_cut_is_refused_wherever_that_is() {
    let place = Place::new().await;
    let whole = tar(&[
        ("bag/manifest-md5.txt", b"01 data/a\n"),
        ("bag/aptrust-info.txt", b"Title: x\n"),
        ("bag/data/a", &[7; 1200]),
    ]);
    let cuts: Vec<usize> =
        (0..whole.len()).step_by(211).chain([511, 512, 513, 522, 1024, 1536, 3784, 4608, 5119]).collect();
    let mut items = Vec::new();
    for cut in &cuts {
        items.push(place.item(whole[..*cut].to_vec()).await);
    }
    let mut refused = 0;
    for (item, cut) in place.fetched(&items).await.iter().zip(cuts) {
        if item.status == Status::Failed {
            refused += 1;
            assert_eq!(item.note, CUT, "cut at {cut}");
            continue;
        }
        // Contents are whole, up to what fills up the last block.
        let mut files = place.files(item).await;
        files.retain(|_, file| file.checksum(&ChecksumSource::Ingest, &Algorithm::Sha512).is_some());
        let ends: [usize; 4] = [0, 512 + 10, 1024 + 512 + 9, 2048 + 512 + 1200];
        let count = ends.iter().rposition(|end| cut >= *end).unwrap();
        assert_eq!(files.len(), count, "cut at {cut}");
    }
    assert!(refused > 10, "{refused}");
}
