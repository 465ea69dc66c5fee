//! Settings as an operator meets them: `--check-settings`, and what stops a start.

use crate::support::{Ended, Place, SECRETS};

#[test]
fn a_start_reports_every_problem_at_once_and_ends_with_64() {
    let place = Place::complete().set("NSQ_URL", "nsqd").set("LOG_LEVEL", "loud").set("IDLE_WORKERS", "many");
    let ended = place.run("idle", &[]);
    assert_eq!(ended.code, Some(64));
    assert_eq!(ended.stdout, "");
    let said = "\
idle: LOG_LEVEL is not a level; set it to CRITICAL, ERROR, WARNING, NOTICE, INFO or DEBUG
idle: NSQ_URL begins with neither `http://` nor `https://`; set it to an address such as `http://host:1234`
idle: IDLE_WORKERS is not a whole number; set it to a whole number
";
    assert_eq!(ended.stderr, said);
}

#[test]
fn check_settings_with_nothing_set_lists_all_and_ends_with_64() {
    let ended = Place::empty().run("idle", &["--check-settings"]);
    assert_eq!(ended.code, Some(64));
    let names = "\
APT_ENV LOG_LEVEL LOG_DIR NSQ_LOOKUPD NSQ_URL IDLE_BUFFER_SIZE IDLE_WORKERS \
IDLE_MAX_ATTEMPTS PRESERV_REGISTRY_URL \
PRESERV_REGISTRY_API_VERSION PRESERV_REGISTRY_API_USER PRESERV_REGISTRY_API_KEY REDIS_URL REDIS_PASSWORD \
REDIS_DEFAULT_DB REDIS_LEASE_DB S3_AWS_HOST S3_AWS_KEY S3_AWS_SECRET S3_WASABI_HOST_OR S3_WASABI_KEY \
S3_WASABI_SECRET S3_WASABI_HOST_TX S3_WASABI_HOST_VA BUCKET_STANDARD_VA BUCKET_STANDARD_OR BUCKET_GLACIER_OH BUCKET_GLACIER_OR \
BUCKET_GLACIER_VA BUCKET_GLACIER_DEEP_OH BUCKET_GLACIER_DEEP_OR BUCKET_GLACIER_DEEP_VA BUCKET_WASABI_OR BUCKET_WASABI_TX \
BUCKET_WASABI_VA INGEST_TEMP_DIR";
    assert_eq!(first_column(&ended), names.split(' ').collect::<Vec<_>>());
    let missing = ended.stdout.lines().filter(|line| line.contains(" missing ")).count();
    assert_eq!(ended.stderr.lines().count(), missing);
}

#[test]
fn check_settings_with_everything_set_ends_with_0_and_makes_nothing() {
    let place = Place::complete();
    let ended = place.run("idle", &["--check-settings"]);
    assert_eq!((ended.code, ended.stderr.as_str()), (Some(0), ""));
    assert_eq!(row(&ended, "REDIS_URL"), ["required", "host:port", "environment", "redis.local:6379"]);
    assert_eq!(row(&ended, "REDIS_PASSWORD"), ["optional", "secret", "environment", "<set>"]);
    assert_eq!(row(&ended, "BUCKET_NEWSTORAGEOPTION_TX"), ["required", "bucket", "environment", "wasabi-tx"]);
    assert_eq!(std::fs::read_dir(place.path(".")).unwrap().count(), 0);
}

#[test]
fn no_secret_is_ever_printed() {
    for (name, value) in [("LOG_LEVEL", "info"), ("LOG_LEVEL", "loud"), ("S3_WASABI_SECRET", "geheim-7")] {
        let ended = Place::complete().set(name, value).run("idle", &["--check-settings"]);
        for secret in SECRETS.into_iter().chain(["geheim"]) {
            assert!(!ended.stdout.contains(secret) && !ended.stderr.contains(secret), "{secret}: {ended:?}");
        }
    }
}

#[test]
fn two_spellings_that_differ_are_refused_by_name() {
    let place = Place::complete().set("S3_WASABI_SECRET", "geheim-7").set("BUCKET_WASABI_TX", "wasabi-tx");
    let ended = place.run("idle", &[]);
    let said = "idle: S3_WASABI_SECRET and S3_NEWSTORAGEOPTION_SECRET are two names of one setting and differ; unset one \
                of them\n";
    assert_eq!((ended.code, ended.stderr.as_str()), (Some(64), said));
}

#[test]
fn the_file_counts_where_the_environment_is_silent_or_empty() {
    let file = "REDIS_DEFAULT_DB= 3\nLOG_LEVEL=DEBUG # as in tests\nexport IDLE_WORKERS='5'\nIDLE_BUFFER_SIZE=\"6\"\n";
    let place = Place::complete().file(".env", file).set("LOG_LEVEL", "").set("IDLE_WORKERS", "4");
    let ended = place.run("idle", &["--check-settings"]);
    assert_eq!((ended.code, ended.stderr.as_str()), (Some(0), ""));
    assert_eq!(row(&ended, "REDIS_DEFAULT_DB"), ["optional", "integer", ".env", "3"]);
    assert_eq!(row(&ended, "REDIS_LEASE_DB"), ["optional", "integer", "default", "4"]);
    assert_eq!(row(&ended, "LOG_LEVEL"), ["optional", "level", ".env", "DEBUG"]);
    assert_eq!(row(&ended, "IDLE_BUFFER_SIZE"), ["optional", "integer", ".env", "6"]);
    assert_eq!(row(&ended, "IDLE_WORKERS"), ["optional", "integer", "environment", "4"]);
}

#[test]
fn a_password_in_the_file_is_the_one_that_upstream_reads() {
    // The byte order mark and the colon, too, come from files that are in use.
    let place = Place::complete().file(".env", "\u{feff}REDIS_DEFAULT_DB: 3\r\nINGEST_TEMP_DIR=./pa$$word#b\r\n");
    let ended = place.set("INGEST_TEMP_DIR", "").run("idle", &["--check-settings"]);
    assert_eq!((ended.code, ended.stderr.as_str()), (Some(0), ""));
    assert_eq!(row(&ended, "REDIS_DEFAULT_DB")[3], "3");
    assert!(row(&ended, "INGEST_TEMP_DIR")[3].ends_with("/pa$$word"), "{ended:?}");
}

#[test]
fn apt_env_names_a_file_that_must_be_there_and_make_sense() {
    let ended = Place::complete().set("APT_ENV", "test").file(".env", "").run("idle", &[]);
    let said = "idle: .env.test: cannot be read: No such file or directory (os error 2) (APT_ENV asks for this file)\n";
    assert_eq!((ended.code, ended.stderr.as_str()), (Some(64), said));

    let file = "NSQ_URL=http://x\nREDIS_PASSWORD geheim\n";
    let ended = Place::complete().set("APT_ENV", "test").file(".env.test", file).run("idle", &[]);
    let said = "idle: .env.test: line 2 is neither `NAME=value`, `NAME: value` nor a comment; a name has letters, digits, \
                `_` and `.`, and a value of several lines has nothing but a comment behind its closing quote (APT_ENV \
                asks for this file)\n";
    assert_eq!((ended.code, ended.stderr.as_str()), (Some(64), said));
}

#[test]
fn queue_workers_refuse_to_run_for_the_auditor() {
    let ended = Place::complete().set("APT_ENV", "audit").file(".env.audit", "").run("idle", &[]);
    assert_eq!(ended.code, Some(64));
    assert_eq!(ended.stderr, "idle: APT_ENV is `audit`, where queue workers must not run; unset it\n");
}

#[test]
fn an_interval_is_needed_only_to_loop() {
    let place = Place::complete().set("QUEUE_FIXITY_INTERVAL", "30");
    for (arguments, code) in [(&[][..], 64), (&["-run-once=false"], 64), (&["--run-once"], 0), (&["late"], 0)] {
        let ended = place.run("misbehaving", &[&["--check-settings"], arguments].concat());
        assert_eq!(ended.code, Some(code), "{arguments:?}: {ended:?}");
    }
    let ended = place.run("misbehaving", &[]);
    let said = "misbehaving: QUEUE_FIXITY_INTERVAL `30` has no unit (did you mean `30s` or `30m`?); set it to a duration \
                such as `90s`, `5m` or `1h30m`\n";
    assert_eq!(ended.stderr, said);
}

fn first_column(ended: &Ended) -> Vec<&str> {
    let (heading, rows) = ended.stdout.split_once('\n').unwrap();
    assert_eq!(heading.split_whitespace().collect::<Vec<_>>(), ["setting", "need", "kind", "source", "value"]);
    rows.lines().map(|line| line.split_whitespace().next().unwrap()).collect()
}

fn row<'a>(ended: &'a Ended, setting: &str) -> Vec<&'a str> {
    let columns = |line: &'a str| line.split_whitespace().collect::<Vec<_>>();
    let row = ended.stdout.lines().map(columns).find(|columns| columns[0] == setting);
    row.unwrap_or_else(|| panic!("no row {setting}: {}", ended.stdout)).split_off(1)
}
