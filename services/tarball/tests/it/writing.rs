//! Headers, byte by byte as Go's `archive/tar` makes them, and what the reader makes of them.

use digests::{Algorithm, Digests};
use proptest::prelude::*;
use tarball::{Header, Kind, Unwritable, WriteError, Writer};
use time::OffsetDateTime;
use time::macros::datetime;

use crate::make::read;
use crate::others::restored;

fn header(name: &str, size: u64, mtime: OffsetDateTime) -> Result<Header, Unwritable> {
    if name.ends_with('/') { Header::folder(name, mtime) } else { Header::file(name, size, mtime) }
}

fn bytes(header: &Header) -> Vec<u8> {
    Writer::default().entry(header).unwrap().to_vec()
}

/// The digests are those of what Go 1.26 writes for the same name, size and time, mode 0755; files with `FormatPAX`, folders
/// without a format. Some 30,000 other headers were compared in the same way.
#[test]
fn headers_have_the_bytes_of_gos() {
    let whole = datetime!(2020-09-13 12:26:40 UTC);
    let (gib_8, micro) = (8 << 30, datetime!(2020-09-13 12:26:40.123456 UTC));
    let cases: [(&str, u64, OffsetDateTime, &str); 14] = [
        ("bag/bagit.txt", 54, whole, "15ae74c39b45af430815dfcb3cd7687083f034744376872946af846635ab3527"),
        (
            "bag/data/",
            0,
            datetime!(2020-09-13 12:26:40.5 UTC),
            "9fbbfbbc6addf090f0516295199aa71c4918362a6c5dd412c9581e52e7b01ada",
        ),
        ("bag/bagit.txt", 54, micro, "79c6bddc76014445bbba9f257d152822b1301bf22d568e8f273f1fc05576923d"),
        (
            &format!("bag/data/{}", "a".repeat(91)),
            1,
            whole,
            "3cff36eb0b515445a1852532b7f6772cb8f70ac6cafd51028970f18f22532791",
        ),
        (
            &format!("bag/{}", "b".repeat(97)),
            1,
            whole,
            "c934daade5d8c8ccc7e7f7b8f259942a663ae9acf621fbe41860d8b1fa8b6067",
        ),
        (
            &format!("bag/{}/{}", "c".repeat(85), "d".repeat(90)),
            1,
            whole,
            "4a696a9d61ac363f815fb8e76fa0ddb418426db160ac45d46d18e2f64c19b795",
        ),
        (
            &format!("bag/{}", "e".repeat(101)),
            1,
            whole,
            "9f84fd32d17026ad624806b0203183c0178b729f988843a46ec45dbcc0974edf",
        ),
        (
            &format!("bag/{}/", "c".repeat(120)),
            0,
            whole,
            "fdd5448a68e2acee4f24d35b6c80792178f96f432e82a08a000e61589f4e5849",
        ),
        ("bag/data/\u{65e5}\u{672c}.txt", 1, whole, "e3dedd07e4542e117bd287bd1ba6839c740542672b8e6302a3aeb48787b540d7"),
        (
            &format!("bag/data/{}", "\u{65e5}".repeat(100)),
            1,
            whole,
            "3a64f6f40e6188c833ab03e1b15d3b7820837c2a46a4563e77bf5799c413bf83",
        ),
        (
            "bag/b",
            0,
            datetime!(1969-12-31 23:59:58.5 UTC),
            "c18a0bda13e79daa40bd80afd2668cbf44efbfb11d3ace4f22cdc3b057e3260c",
        ),
        (
            "bag/c",
            0,
            datetime!(2300-01-01 0:00 UTC),
            "6270243dbcd851440da93af5fbc5cc7807d1720ecc3a5dc6cdda14bd84db960d",
        ),
        ("bag/data/big.bin", gib_8, whole, "7ef1b443deff27c1f69be1aa7ba414b8bae4e5e6d8262fd44bc83362a5b1949e"),
        (
            &format!("bag/../x//\u{fc}/./{}", "y".repeat(150)),
            gib_8,
            datetime!(1969-12-31 23:59:59.75 UTC),
            "ea51e99c3a3a892b096c873ea2644537312c5998deb234cb3914b31f164a6c8a",
        ),
    ];
    for (name, size, mtime, expected) in cases {
        let digests = Digests::of(Algorithm::Sha256, &bytes(&header(name, size, mtime).unwrap()));
        assert_eq!(digests.get(Algorithm::Sha256), Some(expected), "{name}");
    }
}

#[test]
fn names_that_no_tar_holds_are_refused() {
    let now = datetime!(2026-01-01 0:00 UTC);
    assert_eq!(Header::file("bag/a\0b", 0, now), Err(Unwritable::Nul("bag/a\0b".to_owned())));
    assert_eq!(Header::folder("bag\0/", now), Err(Unwritable::Nul("bag\0/".to_owned())));
    assert_eq!(Header::file("bag/a/", 0, now), Err(Unwritable::Folder("bag/a/".to_owned())));
    let long = "n".repeat(1 << 20);
    assert_eq!(Header::file(&long, 0, now), Err(Unwritable::TooLong(1 << 20)));
}

#[test]
fn contents_have_the_length_that_was_announced() {
    let header = Header::file("bag/a", 5, datetime!(2026-01-01 0:00 UTC)).unwrap();
    let mut writer = Writer::default();
    writer.entry(&header).unwrap();
    writer.data(b"abc").unwrap();
    assert_eq!(writer.data(b"def"), Err(WriteError::TooLong));
    assert_eq!(writer.entry(&header), Err(WriteError::Missing(2)));
    assert_eq!(writer.finish().unwrap_err().to_string(), "archive/tar: missed writing 2 bytes");
}

#[test]
fn an_empty_tar_is_its_end() {
    assert_eq!(Writer::default().finish().unwrap(), [0; Writer::END][..]);
}

#[test]
fn we_read_what_we_write() {
    let (tar, expected) = restored();
    let (entries, end) = read(&tar);
    assert_eq!(end, Ok(()));
    let read: Vec<_> =
        entries.into_iter().map(|(entry, contents)| (String::from_utf8(entry.name).unwrap(), contents)).collect();
    assert_eq!(read, expected);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(500))]

    #[test]
    fn every_header_is_read_back(
        name in "([a-z\u{e9}\u{65e5} ]{1,120}/){0,4}[a-z\u{e9} ]{1,120}/?",
        size in prop_oneof![0..2000_u64, (1_u64 << 33) - 2..(1 << 33) + 2, 0..i64::MAX.unsigned_abs()],
        seconds in -62_135_596_800..253_402_300_799_i64,
        nanoseconds in prop_oneof![Just(0), 0..1_000_000_000_i64],
    ) {
        let mtime = OffsetDateTime::from_unix_timestamp(seconds).unwrap() + time::Duration::nanoseconds(nanoseconds);
        let folder = name.ends_with('/');
        let size = if folder { 0 } else { size };
        let bytes = bytes(&header(&name, size, mtime).unwrap());
        let (entries, _) = read(&bytes);
        prop_assert_eq!(entries.len(), 1);
        let entry = &entries[0].0;
        let rounded = OffsetDateTime::from_unix_timestamp(seconds + i64::from(nanoseconds >= 500_000_000)).unwrap();
        prop_assert_eq!(&entry.name, name.as_bytes());
        prop_assert_eq!(entry.kind, if folder { Kind::Folder } else { Kind::File });
        prop_assert_eq!((entry.size, entry.mtime), (size, Some(if folder { rounded } else { mtime })));
    }
}
