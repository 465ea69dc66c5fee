//! Upstream's own bags, where they are at hand: the verdicts and messages that its tests expect (02 §17). One
//! of the 32 is left out: it is no bag, and who reads tars refuses it.

use std::fs::File;
use std::io::Read as _;
use std::path::Path;

use bagit::TooLong;

use crate::support::service::{Outcome, ingest};
use crate::support::shared;

/// The bag, how many messages, and texts that occur in them. Where upstream's tests do not say, the rules do.
const BAGS: [(&str, usize, &[&str]); 31] = [
    ("example.edu.sample_good", 0, &[]),
    ("example.edu.tagsample_good", 0, &[]),
    ("example.edu.sample_glacier_oh", 0, &[]),
    ("example.edu.sample_glacier_or", 0, &[]),
    ("example.edu.sample_glacier_va", 0, &[]),
    ("Wasabi-TX-Test", 0, &[]),
    ("example.edu.multipart.b01.of02", 0, &[]),
    ("example.edu.multipart.b02.of02", 0, &[]),
    ("test.edu.btr_good_sha256", 0, &[]),
    ("test.edu.btr_good_sha512", 0, &[]),
    ("test.edu.btr-glacier-deep-oh", 0, &[]),
    ("test.edu.btr-wasabi-or", 0, &[]),
    ("btr-bad-profile-identifier", 0, &[]),
    ("virginia.edu.uva-lib_2278801", 1, &["Required tag Access in file aptrust-info.txt is missing"]),
    ("example.edu.fetchtxt", 1, &["Bag has fetch.txt file which profile does not allow"]),
    ("example.edu.sample_bad_access", 1, &["In file aptrust-info.txt, tag Access has illegal value 'Hands Off!'"]),
    ("example.edu.sample_bad_checksums", 1, &["Required tag Access in file aptrust-info.txt is missing"]),
    (
        "example.edu.sample_missing_data_file",
        1,
        &[
            "File example.edu/example.edu.sample_missing_data_file/data/datastream-DC in manifest-md5.txt is missing from bag",
        ],
    ),
    (
        "example.edu.sample_no_aptrust_info",
        2,
        &[
            "Required tag Title in file aptrust-info.txt is missing",
            "Required tag Access in file aptrust-info.txt is missing",
        ],
    ),
    ("example.edu.sample_no_bag_info", 1, &["Required tag Access in file aptrust-info.txt is missing"]),
    ("example.edu.sample_no_bagit", 1, &["Missing required tag bagit.txt/BagIt-Version."]),
    ("example.edu.sample_no_data_dir", 4, &["is missing from bag"]),
    ("example.edu.sample_no_md5_manifest", 1, &["Bag is missing required manifest 'md5'"]),
    ("example.edu.sample_no_title", 1, &["In file aptrust-info.txt, required tag Title has no value"]),
    (
        "example.edu.tagsample_bad",
        3,
        &[
            "In file aptrust-info.txt, required tag Title has no value",
            "In file aptrust-info.txt, tag Access has illegal value 'acksess'",
            "In file aptrust-info.txt, tag Storage-Option has illegal value 'Cardboard-Box'",
        ],
    ),
    ("example.edu.sample_illegal_control", 1, &[r"File name 'data/datastream\u007f.txt' contains one or more illegal"]),
    ("test.edu.sample_illegal_control", 1, &[r"File name 'data/datastream\u007f.txt' contains one or more illegal"]),
    ("test.edu.btr_bad_checksums", 2, &["manifest-sha512.txt: ingest sha512", "data/netutil/listen.go: ingest sha512"]),
    ("test.edu.btr_bad_extraneous_file", 1, &["data/nsqd.dat is not in manifest manifest-sha512.txt"]),
    (
        "test.edu.btr_bad_missing_payload_file",
        1,
        &["data/netutil/listen.go in manifest-sha512.txt is missing from bag"],
    ),
    (
        "test.edu.btr_bad_missing_required_tags",
        3,
        &[
            "Required tag Bagging-Date in file bag-info.txt is missing",
            "Required tag Payload-Oxum in file bag-info.txt is missing",
            "Required tag Source-Organization in file bag-info.txt is missing",
        ],
    ),
];

#[test]
fn upstreams_bags_are_judged_as_its_tests_say() {
    let Some(folder) = shared("bags") else { return };
    for (name, count, texts) in BAGS {
        let institution = name.splitn(3, '.').take(2).collect::<Vec<_>>().join(".");
        let outcome = read(&folder.join(format!("{name}.tar")), &format!("{institution}/{name}")).unwrap();
        let messages = &outcome.messages;
        assert_eq!(messages.len(), count, "{name}: {messages:#?}");
        for text in texts {
            assert!(messages.iter().any(|message| message.contains(text)), "{name}: `{text}` is not in {messages:#?}");
        }
    }
}

/// Reads a tar without oddities, and ingests it.
pub(crate) fn read(tar: &Path, identifier: &str) -> Result<Outcome, TooLong> {
    let mut archive = tar::Archive::new(File::open(tar).unwrap());
    let mut files = Vec::new();
    for entry in archive.entries().unwrap() {
        let mut entry = entry.unwrap();
        if !entry.header().entry_type().is_file() {
            continue;
        }
        let path = entry.path_bytes().into_owned();
        let slash = path.iter().position(|byte| *byte == b'/').expect("a top folder");
        let mut content = Vec::new();
        entry.read_to_end(&mut content).unwrap();
        files.push((path[slash + 1..].to_vec(), content));
    }
    let files = files.iter().map(|(path, content)| (&path[..], &content[..]));
    ingest(identifier, files, None)
}
