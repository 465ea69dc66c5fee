//! Which settings belong together and what each must be; those of S3 are in the crate `buckets`. A program names the sections
//! that it uses and reads nothing else; what it does with them is not known here.

use std::path::PathBuf;

use super::names;
use super::reader::{Reader, Reported};
use super::sources::Sources;
use super::values::{HostPort, HttpUrl, LogLevel, Secret, Text, Value};

/// Settings that belong together.
pub trait Section: Sized {
    /// Asks for all of them before it gives up on any, so that every problem is reported.
    fn read(reader: &mut Reader<'_>) -> Result<Self, Reported>;
}

/// What is logged, and where to. Every program reads it.
#[derive(Debug, Clone)]
pub struct Logging {
    pub level: LogLevel,
    pub target: LogTarget,
}

/// Where log lines go.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum LogTarget {
    Stdout,
    /// To `<program>.log` in this folder.
    Directory(PathBuf),
}

/// Consuming messages, and publishing them.
#[derive(Debug, Clone)]
pub struct Nsq {
    /// nsqlookupd, which knows every nsqd.
    pub lookupd: HostPort,
    pub publisher: NsqPublisher,
}

/// Publishing messages.
#[derive(Debug, Clone)]
pub struct NsqPublisher {
    /// nsqd, whose HTTP interface takes messages.
    pub url: HttpUrl,
}

/// The Registry of WorkItems, objects, files and events.
#[derive(Debug, Clone)]
pub struct Registry {
    pub url: HttpUrl,
    /// Such as `v3`.
    pub api_version: Text,
    /// An e-mail address.
    pub user: Text,
    pub key: Secret,
}

/// Redis: what is known of items in progress, and leases.
#[derive(Debug, Clone)]
pub struct Redis {
    pub address: HostPort,
    pub password: Option<Secret>,
    /// Holds hashes named by a WorkItem id and nothing else.
    pub database: u32,
    /// Holds leases and locks. Never the same as `database`.
    pub lease_database: u32,
}

/// Scratch space of ingest; exists when the program runs.
#[derive(Debug, Clone)]
pub struct IngestTempDir(pub PathBuf);

/// Scratch space of bag restoration; exists when the program runs.
#[derive(Debug, Clone)]
pub struct RestoreDir(pub PathBuf);

/// BagIt profiles that take the place of built-in ones.
#[derive(Debug, Clone)]
pub struct Profiles {
    pub directory: Option<PathBuf>,
}

/// When a file is due for a fixity check.
#[derive(Debug, Clone)]
pub struct FixityAge {
    pub days: u32,
}

/// Which copies of a file a fixity check reads.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FixityCopies {
    /// The best one.
    One,
    /// The best one, and every other that is in no archive.
    All,
}

/// Days that must pass between the creation of a record and its deletion, by storage option.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Retention {
    pub standard: u32,
    pub glacier: u32,
    pub glacier_deep: u32,
    /// Wasabi in Oregon and Virginia.
    pub wasabi: u32,
}

/// How many files one run queues for fixity checks.
#[derive(Debug, Clone)]
pub struct FixityBatch {
    pub files: u32,
}

/// Whether end-to-end tests drive this program.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EndToEnd {
    Off,
    On,
}

impl Section for Logging {
    fn read(reader: &mut Reader<'_>) -> Result<Self, Reported> {
        let level = reader.setting(names::LOG_LEVEL).or(LogLevel::Info);
        let target = reader.setting(names::LOG_DIR).or(LogTarget::Stdout);
        if let Ok(LogTarget::Directory(directory)) = &target {
            reader.create_at_start(directory);
        }
        Ok(Self { level: level?, target: target? })
    }
}

impl Section for Nsq {
    fn read(reader: &mut Reader<'_>) -> Result<Self, Reported> {
        let lookupd = reader.setting(names::NSQ_LOOKUPD).required();
        let publisher = NsqPublisher::read(reader);
        Ok(Self { lookupd: lookupd?, publisher: publisher? })
    }
}

impl Section for NsqPublisher {
    fn read(reader: &mut Reader<'_>) -> Result<Self, Reported> {
        Ok(Self { url: reader.setting(names::NSQ_URL).required()? })
    }
}

impl Section for Registry {
    fn read(reader: &mut Reader<'_>) -> Result<Self, Reported> {
        let url = reader.setting(names::PRESERV_REGISTRY_URL).required();
        let version = reader.setting(names::PRESERV_REGISTRY_API_VERSION).check(api_version);
        let api_version = version.or(Text::from("v3"));
        let user = reader.setting(names::PRESERV_REGISTRY_API_USER).required();
        let key = reader.setting(names::PRESERV_REGISTRY_API_KEY).required();
        Ok(Self { url: url?, api_version: api_version?, user: user?, key: key? })
    }
}

impl Section for Redis {
    fn read(reader: &mut Reader<'_>) -> Result<Self, Reported> {
        let address = reader.setting(names::REDIS_URL).required();
        let password = reader.setting(names::REDIS_PASSWORD).optional();
        let database = reader.setting(names::REDIS_DEFAULT_DB).check(database_number).or(0);
        let next = database.map_or(1, |database| database + 1);
        let lease_database = reader.setting(names::REDIS_LEASE_DB).or(next);
        if database.is_ok() && database == lease_database {
            let (default, lease) = (names::REDIS_DEFAULT_DB, names::REDIS_LEASE_DB);
            return Err(reader.refuse(format!(
                "{lease} is the same as {default}, where Registry takes every key for a WorkItem; set it to another number"
            )));
        }
        Ok(Self { address: address?, password: password?, database: database?, lease_database: lease_database? })
    }
}

impl Section for IngestTempDir {
    fn read(reader: &mut Reader<'_>) -> Result<Self, Reported> {
        scratch(reader, names::INGEST_TEMP_DIR).map(Self)
    }
}

impl Section for RestoreDir {
    fn read(reader: &mut Reader<'_>) -> Result<Self, Reported> {
        scratch(reader, names::RESTORE_DIR).map(Self)
    }
}

impl Section for Profiles {
    fn read(reader: &mut Reader<'_>) -> Result<Self, Reported> {
        Ok(Self { directory: reader.setting(names::PROFILES_DIR).optional()? })
    }
}

impl Section for FixityAge {
    fn read(reader: &mut Reader<'_>) -> Result<Self, Reported> {
        Ok(Self { days: reader.setting(names::MAX_DAYS_SINCE_LAST_FIXITY).check(at_least_one).required()? })
    }
}

impl Section for FixityCopies {
    fn read(reader: &mut Reader<'_>) -> Result<Self, Reported> {
        reader.setting(names::FIXITY_COPIES).or(Self::One)
    }
}

impl Section for Retention {
    fn read(reader: &mut Reader<'_>) -> Result<Self, Reported> {
        let standard = reader.setting(names::RETENTION_MINIMUM_STANDARD).or(0);
        let glacier = reader.setting(names::RETENTION_MINIMUM_GLACIER).or(90);
        let glacier_deep = reader.setting(names::RETENTION_MINIMUM_GLACIER_DEEP).or(180);
        let wasabi = reader.setting(names::RETENTION_MINIMUM_NEWSTORAGEOPTION).or(90);
        Ok(Self { standard: standard?, glacier: glacier?, glacier_deep: glacier_deep?, wasabi: wasabi? })
    }
}

impl Section for FixityBatch {
    fn read(reader: &mut Reader<'_>) -> Result<Self, Reported> {
        Ok(Self { files: reader.setting(names::MAX_FIXITY_ITEMS_PER_RUN).check(at_least_one).required()? })
    }
}

impl Section for EndToEnd {
    fn read(reader: &mut Reader<'_>) -> Result<Self, Reported> {
        reader.setting(names::APT_E2E).in_environment_only().or(Self::Off)
    }
}

/// Nothing beyond what every program of its kind reads.
impl Section for () {
    fn read(_: &mut Reader<'_>) -> Result<Self, Reported> {
        Ok(())
    }
}

/// Several sections are a section.
macro_rules! tuples {
    ($($section:ident $value:ident),*) => {
        impl<$($section: Section),*> Section for ($($section,)*) {
            fn read(reader: &mut Reader<'_>) -> Result<Self, Reported> {
                let ($($value,)*) = ($($section::read(reader),)*);
                Ok(($($value?,)*))
            }
        }
    };
}
tuples!(A a, B b);
tuples!(A a, B b, C c);
tuples!(A a, B b, C c, D d);
tuples!(A a, B b, C c, D d, E e);
tuples!(A a, B b, C c, D d, E e, F f);
tuples!(A a, B b, C c, D d, E e, F f, G g);

impl Value for LogTarget {
    const KIND: &'static str = PathBuf::KIND;
    const ADVICE: &'static str = "set it to STDOUT or to the path of a folder";

    fn parse(text: &str, sources: &Sources) -> Result<Self, String> {
        if text == "STDOUT" { Ok(Self::Stdout) } else { PathBuf::parse(text, sources).map(Self::Directory) }
    }

    fn show(&self) -> String {
        match self {
            Self::Stdout => "STDOUT".to_owned(),
            Self::Directory(path) => path.show(),
        }
    }
}

impl Value for EndToEnd {
    const KIND: &'static str = "switch";
    const ADVICE: &'static str = "set it to `true` or `false`";

    fn parse(text: &str, _: &Sources) -> Result<Self, String> {
        match text {
            "true" => Ok(Self::On),
            "false" => Ok(Self::Off),
            _ => Err("is neither `true` nor `false`".to_owned()),
        }
    }

    fn show(&self) -> String {
        let text = if *self == Self::On { "true" } else { "false" };
        text.to_owned()
    }
}

impl Value for FixityCopies {
    const KIND: &'static str = "choice";
    const ADVICE: &'static str = "set it to `one` or `all`";

    fn parse(text: &str, _: &Sources) -> Result<Self, String> {
        match text {
            "one" => Ok(Self::One),
            "all" => Ok(Self::All),
            _ => Err("is neither `one` nor `all`".to_owned()),
        }
    }

    fn show(&self) -> String {
        let text = if *self == Self::All { "all" } else { "one" };
        text.to_owned()
    }
}

fn scratch(reader: &mut Reader<'_>, name: &str) -> Result<PathBuf, Reported> {
    let directory: PathBuf = reader.setting(name).required()?;
    reader.create_at_start(&directory);
    Ok(directory)
}

fn api_version(version: Text) -> Result<Text, String> {
    let number = version.as_str().strip_prefix('v').unwrap_or_default();
    if !number.is_empty() && number.bytes().all(|byte| byte.is_ascii_digit()) {
        return Ok(version);
    }
    Err("is not a version; set it to `v3`".to_owned())
}

fn database_number(database: u32) -> Result<u32, String> {
    if database <= 16 {
        return Ok(database);
    }
    Err("is not one of Redis's databases; set it to a number from 0 to 16".to_owned())
}

fn at_least_one(number: u32) -> Result<u32, String> {
    if number > 0 {
        return Ok(number);
    }
    Err("is 0; set it to 1 or more".to_owned())
}
