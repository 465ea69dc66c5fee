//! The name of every setting that some service reads, but for those of S3 (the crate `buckets`). What a value must look like is decided where it is read, in
//! `sections.rs` and by the kinds of program.

/// Which settings file is read: `.env.<APT_ENV>`, or `.env` when it is unset. Environment only.
pub const APT_ENV: &str = "APT_ENV";
/// `true` turns on what end-to-end tests rely on: the `e2e_*` topics and checks out of turn. Environment only.
pub const APT_E2E: &str = "APT_E2E";
/// The user's home, which `~/` in a path stands for. Environment only.
pub(crate) const HOME: &str = "HOME";

/// The least severe level that is logged: CRITICAL, ERROR, WARNING, NOTICE, INFO or DEBUG.
pub const LOG_LEVEL: &str = "LOG_LEVEL";
/// The folder of the log files, or `STDOUT`.
pub const LOG_DIR: &str = "LOG_DIR";

/// nsqlookupd's HTTP address, `host:port`. The Parameter Store calls it `NSQ_LOOKUP`.
pub const NSQ_LOOKUPD: &str = "NSQ_LOOKUPD";
/// nsqd's HTTP address, where messages are published.
pub const NSQ_URL: &str = "NSQ_URL";

/// The address of Registry, without `/admin-api`.
pub const PRESERV_REGISTRY_URL: &str = "PRESERV_REGISTRY_URL";
/// The version of Registry's API, such as `v3`.
pub const PRESERV_REGISTRY_API_VERSION: &str = "PRESERV_REGISTRY_API_VERSION";
/// The e-mail address of the Registry user; a system administrator.
pub const PRESERV_REGISTRY_API_USER: &str = "PRESERV_REGISTRY_API_USER";
/// That user's key. Secret.
pub const PRESERV_REGISTRY_API_KEY: &str = "PRESERV_REGISTRY_API_KEY";

/// Redis, `host:port`.
pub const REDIS_URL: &str = "REDIS_URL";
/// Redis's password, if it has one. Secret.
pub const REDIS_PASSWORD: &str = "REDIS_PASSWORD";
/// The database of the WorkItems' hashes; nothing else may be in it.
pub const REDIS_DEFAULT_DB: &str = "REDIS_DEFAULT_DB";
/// The database of leases and locks; the one after `REDIS_DEFAULT_DB` when unset.
pub const REDIS_LEASE_DB: &str = "REDIS_LEASE_DB";

/// Scratch space of ingest; made at start.
pub const INGEST_TEMP_DIR: &str = "INGEST_TEMP_DIR";
/// Scratch space of bag restoration; made at start.
pub const RESTORE_DIR: &str = "RESTORE_DIR";
/// How fast Glacier brings files back, and for how many days they stay readable then.
pub const GLACIER_TIER: &str = "GLACIER_TIER";
pub const GLACIER_DAYS: &str = "GLACIER_DAYS";
/// `BagIt` profiles that take the place of the built-in ones of the same file name.
pub const PROFILES_DIR: &str = "PROFILES_DIR";

/// How old, in days, a file's last fixity check may get.
pub const MAX_DAYS_SINCE_LAST_FIXITY: &str = "MAX_DAYS_SINCE_LAST_FIXITY";
/// Which copies of a file a fixity check reads: `one`, the best, or `all` that are in no archive.
pub const FIXITY_COPIES: &str = "FIXITY_COPIES";
/// How many files one run queues for fixity checks.
pub const MAX_FIXITY_ITEMS_PER_RUN: &str = "MAX_FIXITY_ITEMS_PER_RUN";

/// Days that must pass between the creation of a record and its deletion, by storage option. As Registry's of the same names, which
/// looks at them only when the bytes are gone.
pub const RETENTION_MINIMUM_STANDARD: &str = "RETENTION_MINIMUM_STANDARD";
pub const RETENTION_MINIMUM_GLACIER: &str = "RETENTION_MINIMUM_GLACIER";
pub const RETENTION_MINIMUM_GLACIER_DEEP: &str = "RETENTION_MINIMUM_GLACIER_DEEP";
/// Wasabi in Oregon and Virginia.
pub const RETENTION_MINIMUM_NEWSTORAGEOPTION: &str = "RETENTION_MINIMUM_NEWSTORAGEOPTION";

/// Pauses between runs, from the end of one to the start of the next. Go durations.
pub const APT_QUEUE_INTERVAL: &str = "APT_QUEUE_INTERVAL";
pub const INGEST_BUCKET_READER_INTERVAL: &str = "INGEST_BUCKET_READER_INTERVAL";
pub const QUEUE_FIXITY_INTERVAL: &str = "QUEUE_FIXITY_INTERVAL";

/// How long a worker's claim on an item lives without being renewed: when its worker was killed, another one takes over then.
pub const CLAIM_TTL: &str = "CLAIM_TTL";
/// For how long an item is tried again that Registry, Redis, NSQ or S3 fail, before a person must look at it.
pub const SYSTEM_RETRY_LIMIT: &str = "SYSTEM_RETRY_LIMIT";

/// The three numbers of a queue worker: `<NAME OF THE EXECUTABLE><suffix>`. 0 and below mean the default.
pub(crate) const BUFFER_SIZE: &str = "_BUFFER_SIZE";
pub(crate) const WORKERS: &str = "_WORKERS";
pub(crate) const MAX_ATTEMPTS: &str = "_MAX_ATTEMPTS";
