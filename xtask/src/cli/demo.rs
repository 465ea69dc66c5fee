//! The command line of demo. `cargo xtask` answers its `--help` from here; the program `preserv-demo`, which does the work, reads
//! its arguments with the same definitions.

use std::path::PathBuf;

use clap::Args;

/// Where a deposit can be stored; a test beside the demo compares them with the validator's.
pub const STORAGE_OPTIONS: [&str; 10] = [
    "Standard",
    "Glacier-OH",
    "Glacier-OR",
    "Glacier-VA",
    "Glacier-Deep-OH",
    "Glacier-Deep-OR",
    "Glacier-Deep-VA",
    "Wasabi-OR",
    "Wasabi-TX",
    "Wasabi-VA",
];
/// Who may see an object.
pub const ACCESS: [&str; 3] = ["Consortia", "Institution", "Restricted"];

#[derive(Args, Clone, Debug)]
pub struct Demo {
    /// Bags (tar files), and folders, which are bagged first; without any, bags are made.
    #[arg(value_name = "BAG_OR_FOLDER")]
    pub bags: Vec<PathBuf>,
    /// End after the report; otherwise all stays up until Ctrl-C.
    #[arg(long)]
    pub once: bool,
    /// Write the report as a web page too.
    #[arg(long, value_name = "FILE")]
    pub html: Option<PathBuf>,
    /// Delete your own bags in the end, as their depositor could: from this demo's storage, never from your disk.
    #[arg(long, requires = "bags")]
    pub delete: bool,
    #[command(flatten)]
    pub tags: Tags,
}

/// What a folder does not say of itself.
#[derive(Args, Clone, Debug)]
#[command(next_help_heading = "Tags of folders that are bagged")]
pub struct Tags {
    /// Its title [default: the folder's name].
    #[arg(long, value_name = "TEXT", requires = "bags")]
    pub title: Option<String>,
    /// What it is.
    #[arg(long, value_name = "TEXT", requires = "bags")]
    pub description: Option<String>,
    /// Who may see it: Consortia, Institution or Restricted.
    #[arg(long, value_name = "WHO", default_value = "Institution", value_parser = ACCESS, ignore_case = true, hide_possible_values = true)]
    pub access: String,
    /// Where it is stored, such as Standard, Glacier-OH or Wasabi-VA.
    #[arg(long, value_name = "OPTION", default_value = "Standard", value_parser = STORAGE_OPTIONS, ignore_case = true, hide_possible_values = true)]
    pub storage_option: String,
    /// Whose it is.
    #[arg(long, value_name = "NAME", default_value = "Test University")]
    pub source_organization: String,
}

pub(super) const DEMO_NOTES: &str = "\
Examples:
  cargo xtask demo                               made bags: good, broken, a second version of one, one in Glacier
  cargo xtask demo ~/Pictures --title Pictures   a folder of yours, bagged and preserved
  cargo xtask demo bag.tar --once                a bag of yours; ends after the report
  cargo xtask demo --once --html report.html     the report as a page as well, which needs nothing but itself
  cargo xtask demo --once --format json          the same for machines: a record for each change, file and bag

It starts the embedded servers and all services on loopback, and stores nothing elsewhere: at the end all is gone. Each bag is
preserved, checked, and asked back; what comes is compared with what was sent, byte by byte. One of the made bags is deleted in the
end, with two people's consent. Your own files are only read. The first use compiles servers and services: a few minutes on two cores.

Exit codes: 0 all came out as expected; 1 something did not: what, and what to do, is said; 2 usage; 7 time limit;
130, 143 interrupted before the report.";
