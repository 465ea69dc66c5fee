//! Validates the bag in a folder: `folder <path>`. Exits with 1 if it is not valid.

#![expect(clippy::print_stdout, reason = "what was found")]

use std::fs::{self, File};
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use bagit::{Bag, Options, Profile, Verdict};
use md5::Md5;
use sha2::{Digest as _, Sha256, Sha512};

fn main() -> io::Result<ExitCode> {
    let Some(folder) = std::env::args_os().nth(1).map(PathBuf::from) else {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, "name the folder of a bag"));
    };
    let mut bag = Bag::new(Options::default(), Profile::default());
    add(&mut bag, &folder, "")?;
    let verdict = bag.validate(|finding| println!("{:?}: {finding:#}", finding.severity));
    println!("{verdict:?}");
    Ok(if verdict == Verdict::Valid { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn add(bag: &mut Bag, folder: &Path, prefix: &str) -> io::Result<()> {
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        let path = format!("{prefix}{}", entry.file_name().to_string_lossy());
        if entry.file_type()?.is_dir() {
            add(bag, &entry.path(), &format!("{path}/"))?;
        } else {
            add_file(bag, &entry.path(), &path)?;
        }
    }
    Ok(())
}

fn add_file(bag: &mut Bag, file: &Path, path: &str) -> io::Result<()> {
    let mut file = File::open(file)?;
    bag.file(path, file.metadata()?.len());
    let (mut md5, mut sha256, mut sha512) = (Md5::new(), Sha256::new(), Sha512::new());
    let mut chunk = vec![0; 64 * 1024];
    loop {
        let read = file.read(&mut chunk)?;
        if read == 0 {
            break;
        }
        bag.content(&chunk[..read]);
        md5.update(&chunk[..read]);
        sha256.update(&chunk[..read]);
        sha512.update(&chunk[..read]);
    }
    bag.digest("md5", &md5.finalize());
    bag.digest("sha256", &sha256.finalize());
    bag.digest("sha512", &sha512.finalize());
    Ok(())
}
