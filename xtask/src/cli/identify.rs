//! The command lines of identify and signatures. `cargo xtask` answers their `--help` from here; the program
//! `xtask-identify`, which does the work, reads its arguments with the same definitions.

use std::path::PathBuf;

use clap::{Args, Subcommand};

#[derive(Args, Clone, Debug)]
pub struct Identify {
    /// Files and folders; all that is in a folder, links not followed.
    #[arg(required = true, value_name = "PATH")]
    pub paths: Vec<PathBuf>,
    /// As siegfried writes it: one JSON document with its field names.
    #[arg(long, conflicts_with = "csv")]
    pub json: bool,
    /// As DROID exports it: CSV with its columns.
    #[arg(long)]
    pub csv: bool,
    /// Look for signatures in whole files (up to 1 GiB), not only in the first 32,768 and the last 8,096 bytes.
    #[arg(long)]
    pub whole: bool,
}

#[derive(Args, Clone, Debug)]
pub struct Signatures {
    #[command(subcommand)]
    pub action: SignaturesAction,
}

#[derive(Clone, Debug, Subcommand)]
pub enum SignaturesAction {
    /// Which release of PRONOM is in use, and under which licence.
    Show,
    /// Take in another release: writes services/pronom/data/pronom.bin.
    Update {
        /// DROID_SignatureFile_V<n>.xml and container-signature-<date>.xml, or folders with them, where the newest count.
        #[arg(required = true, value_name = "FILE_OR_FOLDER")]
        files: Vec<PathBuf>,
    },
}

pub(super) const IDENTIFY_HELP: &str = "\
Examples:
  cargo xtask identify report.doc              one line: PUID, MIME type, name, what speaks for it
  cargo xtask identify --json folder           for programs that read siegfried's output
  cargo xtask identify --csv folder > droid.csv

The first use compiles it: half a minute. Exit codes: 0 every file was looked at, also where its format is unknown; 1 a file
or folder cannot be read (the others are done); 2 usage; 7 time limit; 130, 143 interrupted.";

pub(super) const SIGNATURES_HELP: &str = "\
Examples:
  cargo xtask signatures show
  cargo xtask signatures update ~/Downloads              then `cargo test -p pronom`, `git diff --stat`, commit
  cargo xtask signatures update --dry-run ~/Downloads    what would change

The National Archives publish both files: https://www.nationalarchives.gov.uk/aboutapps/pronom/droid-signature-files.htm
Exit codes: 0 written, or nothing to do; 1 the files cannot be read or compiled; 2 usage; 3 a file is missing.";
