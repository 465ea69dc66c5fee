//! How fast manifests are read and files judged, and what a bag of many files holds in memory: `throughput [files]`.

#![expect(clippy::print_stdout, reason = "what it measured")]

use std::fmt::Write as _;
use std::time::Instant;

use bagit::{
    Bag, Declared, Digest, Facts, FileChecker, FileRecord, Manifest, ManifestParser, Options, Profile, Syntax, Verdict,
};

/// As a tar or a bucket gives them.
const CHUNK: usize = 64 * 1024;

fn main() {
    let files: u32 = std::env::args().nth(1).and_then(|count| count.parse().ok()).unwrap_or(1_000_000);
    let manifest = manifest(files);
    parse(&manifest);
    check(files);
    bag(files, &manifest);
}

fn path(number: u32) -> String {
    format!("data/series-{:03}/folder-{:04}/image-{number:08}.tif", number / 100_000, number / 100)
}

fn digest(number: u32) -> [u8; 32] {
    let mut digest = [0x5a; 32];
    digest[..4].copy_from_slice(&number.to_be_bytes());
    digest
}

fn hex(digest: &[u8]) -> String {
    digest.iter().fold(String::new(), |mut hex, byte| {
        let _ = write!(hex, "{byte:02x}");
        hex
    })
}

fn manifest(files: u32) -> String {
    (0..files).fold(String::new(), |mut text, number| {
        let _ = writeln!(text, "{}  {}", hex(&digest(number)), path(number));
        text
    })
}

#[expect(clippy::cast_precision_loss, reason = "shown with one digit")]
fn parse(manifest: &str) {
    for (name, syntax) in [("RFC", Syntax::RFC), ("APTrust", Syntax::APTRUST)] {
        let begun = Instant::now();
        let mut entries = 0_u64;
        let mut parser = ManifestParser::new("manifest-sha256.txt", &syntax);
        let read = manifest.as_bytes().chunks(CHUNK).try_for_each(|chunk| parser.push(chunk, |_| entries += 1));
        let read = read.and_then(|()| parser.finish(|_| entries += 1));
        let seconds = begun.elapsed().as_secs_f64();
        let rate = manifest.len() as f64 / 1e6 / seconds;
        println!("manifest, {name}: {entries} entries, {rate:.0} MB/s, {read:?}");
    }
}

fn check(files: u32) {
    let manifests = ["sha256".to_owned()];
    let facts = Facts { manifests: &manifests, ..Facts::default() };
    for (name, options) in [("RFC", Options::default()), ("APTrust", Options::aptrust("example.edu/bag"))] {
        let checker = FileChecker::new(&facts, &options);
        let hex = hex(&digest(0));
        let computed = [Digest { algorithm: "sha256", hex: &hex }];
        let declared = [Declared { manifest: Manifest::Payload("sha256"), hex: &hex, line: Some(1) }];
        let path = path(0);
        let record = FileRecord { path: &path, size: Some(1), computed: &computed, declared: &declared };
        let begun = Instant::now();
        let valid = (0..files).filter(|_| checker.check(&record, |_| ()) == Verdict::Valid).count();
        let rate = f64::from(files) / begun.elapsed().as_secs_f64();
        println!("single files, {name}: {valid} valid, {rate:.0} a second");
    }
}

fn bag(files: u32, manifest: &str) {
    let before = peak();
    let begun = Instant::now();
    let mut bag = Bag::new(Options::default(), Profile::default());
    bag.file("bagit.txt", 55);
    bag.content(b"BagIt-Version: 1.0\nTag-File-Character-Encoding: UTF-8\n");
    bag.file("manifest-sha256.txt", manifest.len() as u64);
    manifest.as_bytes().chunks(CHUNK).for_each(|chunk| bag.content(chunk));
    for number in 0..files {
        bag.file(path(number), 1);
        bag.digest("sha256", &digest(number));
    }
    let mut findings = 0;
    let verdict = bag.validate(|_| findings += 1);
    let rate = f64::from(files) / begun.elapsed().as_secs_f64();
    println!("Bag: {verdict:?}, {findings} findings, {rate:.0} files a second, {before} before and {} at most", peak());
}

/// The most memory that the process has had, as Linux tells it.
fn peak() -> String {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    line.map_or_else(|| "an unknown amount".to_owned(), |line| line.trim().to_owned())
}
