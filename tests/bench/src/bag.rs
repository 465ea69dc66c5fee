//! A valid bag of many files or of a large one, made by code: the same bytes each time.

use std::fmt::Write as _;
use std::fs::File;
use std::io::{BufWriter, Seek as _, SeekFrom, Write as _};
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};
use md5::{Digest as _, Md5};
use sha2::Sha256;
use tar::Header;

/// So much of a file, in bytes, is unlike every other file; the rest is zeros, which take no room.
const OWN: u64 = 4 << 10;
static ZEROS: [u8; 64 << 10] = [0; 64 << 10];
/// Files in one folder of the bag.
const FOLDER: u64 = 1000;
/// Tar's unit.
const BLOCK: u64 = 512;

/// A bag in a tar file of this machine.
#[derive(Debug)]
pub(crate) struct Bag {
    pub(crate) path: PathBuf,
    /// Its key in a receiving bucket.
    pub(crate) key: String,
    /// Payload files.
    pub(crate) files: u64,
    /// Bytes of each of them.
    pub(crate) size: u64,
}

impl Bag {
    /// Writes it into `folder`.
    pub(crate) fn write(folder: &Path, files: u64, size: u64) -> Result<Self> {
        let name = format!("bench-{files}-of-{size}");
        let path = folder.join(format!("{name}.tar"));
        let mut writer = Writer::new(&path, name.clone()).context("the bag's tar cannot be written")?;
        writer.all(files, size).with_context(|| format!("writing {}", path.display()))?;
        Ok(Self { path, key: format!("{name}.tar"), files, size })
    }

    /// Bytes of all payload files.
    pub(crate) fn bytes(&self) -> u64 {
        self.files * self.size
    }
}

struct Writer {
    out: BufWriter<File>,
    name: String,
    md5s: String,
    sha256s: String,
}

impl Writer {
    fn new(path: &Path, name: String) -> Result<Self> {
        let out = BufWriter::with_capacity(1 << 20, File::create(path)?);
        Ok(Self { out, name, md5s: String::new(), sha256s: String::new() })
    }

    fn all(&mut self, files: u64, size: u64) -> Result<()> {
        self.tag_file("bagit.txt", "BagIt-Version: 1.0\nTag-File-Character-Encoding: UTF-8\n")?;
        self.tag_file("bag-info.txt", "Source-Organization: test.edu\n")?;
        self.tag_file(
            "aptrust-info.txt",
            "Title: A bag of the benchmark\nAccess: Institution\nStorage-Option: Standard\n",
        )?;
        for number in 0..files {
            self.payload(number, size)?;
        }
        let (md5s, sha256s) = (std::mem::take(&mut self.md5s), std::mem::take(&mut self.sha256s));
        self.tag_file("manifest-md5.txt", &md5s)?;
        self.tag_file("manifest-sha256.txt", &sha256s)?;
        // Two blocks of zeros end a tar.
        self.out.write_all(&ZEROS[..1024])?;
        Ok(self.out.flush()?)
    }

    fn tag_file(&mut self, path: &str, text: &str) -> Result<()> {
        self.header(path, text.len() as u64)?;
        self.out.write_all(text.as_bytes())?;
        self.pad(text.len() as u64)
    }

    fn payload(&mut self, number: u64, size: u64) -> Result<()> {
        let path = format!("data/{:04}/{number:07}.txt", number / FOLDER);
        self.header(&path, size)?;
        let own = own(number, size);
        let (mut md5, mut sha256) = (Md5::new_with_prefix(&own), Sha256::new_with_prefix(&own));
        self.out.write_all(&own)?;
        let mut left = size - own.len() as u64;
        // A hole, where there is one.
        self.skip(left)?;
        while left > 0 {
            let some = &ZEROS[..usize::try_from(left).unwrap_or(usize::MAX).min(ZEROS.len())];
            md5.update(some);
            sha256.update(some);
            left -= some.len() as u64;
        }
        writeln!(self.md5s, "{}  {path}", hex::encode(md5.finalize()))?;
        writeln!(self.sha256s, "{}  {path}", hex::encode(sha256.finalize()))?;
        self.pad(size)
    }

    fn header(&mut self, path: &str, size: u64) -> Result<()> {
        let mut header = Header::new_gnu();
        header.set_path(format!("{}/{path}", self.name))?;
        header.set_size(size);
        header.set_mode(0o644);
        header.set_mtime(1_700_000_000);
        header.set_cksum();
        Ok(self.out.write_all(header.as_bytes())?)
    }

    fn pad(&mut self, size: u64) -> Result<()> {
        let rest = usize::try_from(size.next_multiple_of(BLOCK) - size).unwrap_or_default();
        Ok(self.out.write_all(&ZEROS[..rest])?)
    }

    fn skip(&mut self, bytes: u64) -> Result<()> {
        if bytes > 0 {
            self.out.seek(SeekFrom::Current(i64::try_from(bytes).context("the file is too large")?))?;
        }
        Ok(())
    }
}

/// Text of the file's own, so that no two files are alike and their format is found by more than their size.
fn own(number: u64, size: u64) -> Vec<u8> {
    let wanted = usize::try_from(size.min(OWN)).unwrap_or_default();
    let line = format!("File {number} of a bag that the benchmark makes.\n");
    line.bytes().cycle().take(wanted).collect()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::io::Read as _;

    use super::*;

    #[test]
    fn the_tar_holds_what_its_manifests_say() {
        let folder = tempfile::tempdir().unwrap();
        let bag = Bag::write(folder.path(), 3, 5000).unwrap();
        let mut contents = BTreeMap::new();
        for entry in tar::Archive::new(File::open(&bag.path).unwrap()).entries().unwrap() {
            let mut entry = entry.unwrap();
            let path = entry.path().unwrap().to_str().unwrap().to_owned();
            let mut bytes = Vec::new();
            entry.read_to_end(&mut bytes).unwrap();
            contents.insert(path, bytes);
        }
        assert_eq!(contents.len(), 8);
        let manifest = String::from_utf8(contents["bench-3-of-5000/manifest-sha256.txt"].clone()).unwrap();
        let lines: Vec<(&str, &str)> = manifest.lines().map(|line| line.split_once("  ").unwrap()).collect();
        assert_eq!(lines.len(), 3);
        for (digest, path) in lines {
            let bytes = &contents[&format!("bench-3-of-5000/{path}")];
            assert_eq!((bytes.len(), hex::encode(Sha256::digest(bytes)).as_str()), (5000, digest));
        }
    }
}
