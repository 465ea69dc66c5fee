//! Every kind of value and every section, with good and bad texts. How the record looks to an operator is tested on the
//! programs themselves.

use std::fmt::Debug;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::*;

/// Reads a section from an environment like this, in a folder without a settings file.
fn read<S: Section>(variables: &[(&str, &str)]) -> (Result<S, Reported>, Report) {
    let sources = sources(variables);
    let mut reader = Reader::new(&sources);
    let section = S::read(&mut reader);
    (section, reader.finish())
}

fn sources(variables: &[(&str, &str)]) -> Sources {
    Sources::load(variables.iter().copied().collect(), Path::new("/no such folder"))
}

/// What the table shows of a value, or what is wrong with it.
fn shown<T: Value>(text: &str) -> Result<String, String> {
    T::parse(text, &sources(&[("HOME", "/users/op")])).map(|value| value.show())
}

fn accepts<T: Value>(texts: &[(&str, &str)]) {
    for (text, expected) in texts {
        assert_eq!(shown::<T>(text).as_deref(), Ok(*expected), "{} {text}", T::KIND);
    }
}

fn refuses<T: Value>(texts: &[&str]) {
    for text in texts {
        assert!(shown::<T>(text).is_err(), "{} {text}", T::KIND);
    }
}

#[test]
fn urls() {
    accepts::<HttpUrl>(&[
        ("http://nsqd:4151", "http://nsqd:4151"),
        ("https://registry.example.org", "https://registry.example.org"),
        ("https://registry.example.org/", "https://registry.example.org"),
        ("http://[::1]:8080", "http://[::1]:8080"),
        ("http://h/path", "http://h/path"),
    ]);
    refuses::<HttpUrl>(&[
        "nsqd:4151",
        "ftp://h",
        "http://",
        "http:///x",
        "http://h:0",
        "http://h:port",
        "http://h h",
        "http://h/?q",
    ]);
    assert_eq!(shown::<HttpUrl>("http://u:p@h"), Err("holds a user name, which nobody would send".to_owned()));
}

#[test]
fn hosts() {
    accepts::<HostPort>(&[
        ("redis:6379", "redis:6379"),
        ("127.0.0.1:1", "127.0.0.1:1"),
        ("[::1]:65535", "[::1]:65535"),
    ]);
    refuses::<HostPort>(&[
        "redis",
        "redis:",
        ":6379",
        "redis:0",
        "redis:65536",
        "redis://redis:6379",
        "::1:6379",
        "[::1]",
        "a b:1",
        "[]:1",
    ]);
    accepts::<Host>(&[
        ("s3.amazonaws.com", "s3.amazonaws.com"),
        ("localhost:9899", "localhost:9899"),
        ("[::1]", "[::1]"),
    ]);
    refuses::<Host>(&["https://s3.amazonaws.com", "s3.amazonaws.com/", "host:port", "host ", "[host"]);
}

#[test]
fn buckets() {
    accepts::<Bucket>(&[("aptrust.preservation.oregon", "aptrust.preservation.oregon"), ("wasabi-or", "wasabi-or")]);
    refuses::<Bucket>(&["ab", "bucket/key", "s3://bucket", "with blank", "ümlaut"]);
}

#[test]
fn levels() {
    accepts::<LogLevel>(&[
        ("CRITICAL", "CRITICAL"),
        ("error", "ERROR"),
        ("Warning", "WARNING"),
        ("NOTICE", "NOTICE"),
        ("info", "INFO"),
        ("DEBUG", "DEBUG"),
    ]);
    refuses::<LogLevel>(&["WARN", "TRACE", "0", " INFO"]);
}

#[test]
fn numbers() {
    accepts::<i64>(&[("0", "0"), ("-1", "-1"), ("42", "42")]);
    refuses::<i64>(&["1.0", "0x10", "1_000", " 1", "many"]);
    accepts::<u32>(&[("0", "0"), ("4294967295", "4294967295")]);
    refuses::<u32>(&["-1", "4294967296"]);
}

#[test]
fn durations() {
    accepts::<Duration>(&[("250ms", "250ms"), ("1h30m", "5400s"), ("1.5s", "1.5s")]);
    refuses::<Duration>(&["30", "1d", "-1s"]);
}

#[test]
fn paths() {
    accepts::<PathBuf>(&[
        ("/tmp/x", "/tmp/x"),
        ("~/tmp", "/users/op/tmp"),
        ("./profiles", "/no such folder/profiles"),
        ("../x", "/no such folder/../x"),
        (".hidden", "/no such folder/.hidden"),
        ("profiles", "/no such folder/profiles"),
    ]);
    refuses::<PathBuf>(&[" /tmp", "/tmp\n"]);
    assert!(PathBuf::parse("~/tmp", &sources(&[])).unwrap_err().contains("HOME is not set"));
    accepts::<LogTarget>(&[("STDOUT", "STDOUT"), ("/logs", "/logs")]);
}

#[test]
fn secrets_and_texts() {
    accepts::<Secret>(&[("pass=word with blanks", "<set>")]);
    refuses::<Secret>(&["geheim\n", " geheim", "ge\u{7}heim"]);
    accepts::<Text>(&[("system@example.org", "system@example.org")]);
    refuses::<Text>(&["system@example.org\n"]);
    accepts::<EndToEnd>(&[("true", "true"), ("false", "false")]);
    refuses::<EndToEnd>(&["1", "TRUE"]);
}

#[test]
fn a_secret_cannot_be_printed() {
    let secret = Secret::parse("geheim", &sources(&[])).unwrap();
    assert_eq!(format!("{secret:?}"), "<set>");
    assert_eq!(secret.expose(), "geheim");
    let sources = sources(&[("REDIS_PASSWORD", "geheim")]);
    assert!(!format!("{sources:?}").contains("geheim"));
}

#[test]
fn sections_refuse_what_makes_no_sense() {
    fn refused<S: Section + Debug>(variables: &[(&str, &str)], said: &str) {
        let (section, report) = read::<S>(variables);
        assert!(section.is_err(), "{variables:?}: {section:?}");
        assert!(report.problems.iter().any(|problem| problem.contains(said)), "{said}: {:?}", report.problems);
    }
    refused::<FixityAge>(&[("MAX_DAYS_SINCE_LAST_FIXITY", "0")], "MAX_DAYS_SINCE_LAST_FIXITY is 0");
    refused::<FixityBatch>(&[("MAX_FIXITY_ITEMS_PER_RUN", "0")], "MAX_FIXITY_ITEMS_PER_RUN is 0");
    refused::<Redis>(&[("REDIS_URL", "r:1"), ("REDIS_DEFAULT_DB", "17")], "REDIS_DEFAULT_DB is not one of");
    refused::<Redis>(
        &[("REDIS_URL", "r:1"), ("REDIS_LEASE_DB", "0")],
        "REDIS_LEASE_DB is the same as REDIS_DEFAULT_DB",
    );
    refused::<Registry>(&[("PRESERV_REGISTRY_API_VERSION", "3")], "PRESERV_REGISTRY_API_VERSION is not a version");
}

#[test]
fn the_environment_alone_decides_on_end_to_end_tests() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join(".env"), "APT_E2E=true\n").unwrap();
    let sources = Sources::load(Environment::default(), folder.path());
    assert_eq!(EndToEnd::read(&mut Reader::new(&sources)), Ok(EndToEnd::Off));
}

#[test]
fn a_settings_file_is_read_as_its_dialect_says() {
    let folder = tempfile::tempdir().unwrap();
    let text = "X_A=${OUT}1\nx_b: $NONE\nX_C=a#b\nX_D=pa$$word\nX_E=\n";
    std::fs::write(folder.path().join(".env"), text).unwrap();
    let sources = Sources::load([("OUT", "here"), ("NONE", "")].into_iter().collect(), folder.path());
    assert_eq!(sources.problem, None);
    let get = |name| sources.get(name).map(|(_, value)| value.to_str().unwrap());
    assert_eq!(["X_A", "X_B", "X_C", "X_D", "X_E"].map(get), [Some("here1"), None, Some("a"), Some("pa$$word"), None]);
}
