//! The settings file for services that run on the stack, ours and upstream's alike, and the names that they all rely on:
//! buckets, topics, channels.

use std::fmt::Write as _;
use std::net::SocketAddr;
use std::path::Path;

/// The name of the file. The Go services speak plain HTTP to S3 under `dev` and `test` only.
pub const FILE: &str = ".env.dev";

/// What `APT_ENV` must say for the file to be read.
pub const ENVIRONMENT: &str = "dev";

/// Setting, bucket.
pub const PRESERVATION_BUCKETS: [(&str, &str); 11] = [
    ("BUCKET_STANDARD_VA", "preservation-va"),
    ("BUCKET_STANDARD_OR", "preservation-or"),
    ("BUCKET_GLACIER_OH", "glacier-oh"),
    ("BUCKET_GLACIER_OR", "glacier-or"),
    ("BUCKET_GLACIER_VA", "glacier-va"),
    ("BUCKET_GLACIER_DEEP_OH", "glacier-deep-oh"),
    ("BUCKET_GLACIER_DEEP_OR", "glacier-deep-or"),
    ("BUCKET_GLACIER_DEEP_VA", "glacier-deep-va"),
    ("BUCKET_WASABI_OR", "wasabi-or"),
    ("BUCKET_WASABI_TX", "wasabi-tx"),
    ("BUCKET_WASABI_VA", "wasabi-va"),
];
/// Where files wait between receiving and preservation.
pub const STAGING_BUCKET: &str = "staging";
/// What upstream's tests put their own files in.
const TEST_BUCKET: &str = "receiving";

/// The topics that services consume. Each has the channel `<topic>_worker_chan`, so that nothing waits for a first consumer.
pub const TOPICS: [&str; 14] = [
    "ingest01_prefetch",
    "ingest02_bag_validation",
    "ingest03_reingest_check",
    "ingest04_staging",
    "ingest05_format_identification",
    "ingest06_storage",
    "ingest07_storage_validation",
    "ingest08_record",
    "ingest09_cleanup",
    "restore_object",
    "restore_file",
    "restore_glacier",
    "delete_item",
    "fixity_check",
];

/// Topics that tests count the messages of; a channel would drain them.
pub const COUNTED_TOPICS: [&str; 5] = [
    "e2e_ingest_post_test",
    "e2e_reingest_post_test",
    "e2e_restoration_post_test",
    "e2e_fixity_post_test",
    "e2e_deletion_post_test",
];

/// The channel of a topic that services consume.
pub fn channel(topic: &str) -> String {
    format!("{topic}_worker_chan")
}

/// Where depositors of an institution leave bags.
pub fn receiving_bucket(institution: &str) -> String {
    format!("aptrust.receiving.test.{institution}")
}

/// Where restored bags and files appear.
pub fn restore_bucket(institution: &str) -> String {
    format!("aptrust.restore.test.{institution}")
}

/// Every bucket that must be there before the services start.
pub fn buckets<'a>(institutions: impl IntoIterator<Item = &'a str>) -> Vec<String> {
    let fixed = PRESERVATION_BUCKETS.iter().map(|(_, bucket)| *bucket).chain([STAGING_BUCKET, TEST_BUCKET]);
    let per_institution = institutions.into_iter().flat_map(|name| [receiving_bucket(name), restore_bucket(name)]);
    fixed.map(str::to_owned).chain(per_institution).collect()
}

/// Where the servers listen, and how one is let in.
#[derive(Debug, Clone)]
pub struct Access {
    pub nsqd_http: SocketAddr,
    pub lookupd_http: SocketAddr,
    pub redis: SocketAddr,
    pub s3: SocketAddr,
    pub s3_key: String,
    pub s3_secret: String,
    pub registry: SocketAddr,
    pub registry_user: String,
    pub registry_key: String,
}

/// The text of the settings file. `folder` holds what the services write outside the servers.
pub fn text(access: &Access, folder: &Path) -> String {
    let mut text = "# Settings of services on the local stack. Read with APT_ENV=dev from this folder.\n".to_owned();
    let mut set = |name: &str, value: &str| {
        let _ = writeln!(text, "{name}={}", quoted(value));
    };
    let below = |name: &str| folder.join(name).display().to_string();
    for (name, value) in [
        ("BASE_WORKING_DIR", below("work")),
        ("INGEST_TEMP_DIR", below("work/ingest")),
        ("RESTORE_DIR", below("work/restore")),
        ("PROFILES_DIR", below("profiles")),
        ("LOG_DIR", below("logs")),
        ("NSQ_LOOKUPD", access.lookupd_http.to_string()),
        ("NSQ_URL", format!("http://{}", access.nsqd_http)),
        ("PRESERV_REGISTRY_URL", format!("http://{}", access.registry)),
        ("PRESERV_REGISTRY_API_USER", access.registry_user.clone()),
        ("PRESERV_REGISTRY_API_KEY", access.registry_key.clone()),
        ("REDIS_URL", access.redis.to_string()),
        ("S3_AWS_KEY", access.s3_key.clone()),
        ("S3_AWS_SECRET", access.s3_secret.clone()),
        ("S3_LOCAL_KEY", access.s3_key.clone()),
        ("S3_LOCAL_SECRET", access.s3_secret.clone()),
        ("S3_NEWSTORAGEOPTION_KEY", access.s3_key.clone()),
        ("S3_NEWSTORAGEOPTION_SECRET", access.s3_secret.clone()),
    ] {
        set(name, &value);
    }
    let s3 = access.s3.to_string();
    for host in [
        "S3_AWS_HOST",
        "S3_LOCAL_HOST",
        "S3_NEWSTORAGEOPTION_HOST_OR",
        "S3_NEWSTORAGEOPTION_HOST_TX",
        "S3_NEWSTORAGEOPTION_HOST_VA",
    ] {
        set(host, &s3);
    }
    for (name, bucket) in PRESERVATION_BUCKETS {
        set(name, bucket);
    }
    for (name, value) in [
        ("STAGING_BUCKET", STAGING_BUCKET),
        ("LOG_LEVEL", "INFO"),
        ("PRESERV_REGISTRY_API_VERSION", "v3"),
        ("REDIS_DEFAULT_DB", "0"),
        ("APT_QUEUE_INTERVAL", "20s"),
        ("INGEST_BUCKET_READER_INTERVAL", "2s"),
        ("QUEUE_FIXITY_INTERVAL", "60s"),
        ("MAX_DAYS_SINCE_LAST_FIXITY", "90"),
        ("MAX_FIXITY_ITEMS_PER_RUN", "100"),
        // Wanted by the Go services, and used by none.
        ("MAX_FILE_SIZE", "5497558138880"),
        ("MAX_WORKER_ATTEMPTS", "3"),
        ("REDIS_RETRIES", "3"),
        ("REDIS_RETRY_MS", "200ms"),
        ("STAGING_UPLOAD_RETRY_MS", "200ms"),
        ("VOLUME_SERVICE_URL", "http://127.0.0.1:8898"),
    ] {
        set(name, value);
    }
    text
}

/// As both dialects of dotenv read it back.
fn quoted(value: &str) -> String {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.:/@".contains(&byte);
    if value.bytes().all(plain) {
        return value.to_owned();
    }
    let escaped = value.replace('\\', r"\\").replace('"', "\\\"").replace('$', r"\$");
    format!("\"{escaped}\"")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_with_blanks_and_signs_is_quoted() {
        assert_eq!(quoted("/tmp/x-1"), "/tmp/x-1");
        assert_eq!(quoted(r#"/a b/$c"\"#), r#""/a b/\$c\"\\""#);
    }

    #[test]
    fn the_buckets_are_those_of_upstreams_tests() {
        let buckets = buckets(["test.edu", "institution1.edu", "institution2.edu", "example.edu"]);
        assert_eq!(buckets.len(), 21);
        assert!(buckets.contains(&"aptrust.restore.test.example.edu".to_owned()));
    }
}
