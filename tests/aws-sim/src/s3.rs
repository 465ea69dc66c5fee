//! S3, path style: objects with versions, and what a client reads about a bucket.
//!
//! Pages: the operations' own in the S3 API reference; "Authenticating requests: chunked uploads with trailing headers" for
//! the framing of bodies. ETags are opaque here, as those of objects encrypted with KMS are.

use std::collections::BTreeMap;

use http_body_util::Full;
use hyper::header::{HeaderName, HeaderValue};
use percent_encoding::percent_decode_str;
use serde_json::{Value, json};

use crate::chance::digest;
use crate::clock::Time;
use crate::scenario::Bucket;
use crate::wire::{Call, Fault, Raw, Reply, plain, xml};
use crate::world::World;

#[derive(Debug, Default)]
pub(crate) struct S3 {
    buckets: BTreeMap<String, Stored>,
}

#[derive(Debug)]
struct Stored {
    owner: String,
    region: String,
    versioning: bool,
    encryption: Option<String>,
    blocked: bool,
    /// Versions of each key, newest last.
    objects: BTreeMap<String, Vec<Object>>,
}

#[derive(Debug, Clone)]
struct Object {
    body: Vec<u8>,
    etag: String,
    version: String,
    modified: Time,
    kind: String,
    /// Metadata and checksums, as they were sent.
    headers: Vec<(String, String)>,
}

impl S3 {
    pub(crate) fn create(&mut self, bucket: &Bucket, account: &str, region: &str) {
        self.buckets.entry(bucket.name.clone()).or_insert_with(|| Stored {
            owner: bucket.owner.clone().unwrap_or_else(|| account.to_owned()),
            region: bucket.region.clone().unwrap_or_else(|| region.to_owned()),
            versioning: bucket.versioning,
            encryption: bucket.encryption.clone(),
            blocked: bucket.public_access_blocked,
            objects: BTreeMap::new(),
        });
    }

    /// The object that a TemplateURL names, in any of the forms that clients write.
    pub(crate) fn by_url(&self, url: &str) -> Result<String, Fault> {
        let unsupported = || Fault::validation("TemplateURL must be a supported URL.");
        let (location, query) = url.split_once('?').unwrap_or((url, ""));
        let (_, rest) =
            location.split_once("://").filter(|(scheme, _)| scheme.starts_with("http")).ok_or_else(unsupported)?;
        let (host, path) = rest.split_once('/').ok_or_else(unsupported)?;
        let virtual_bucket = host.split_once(".s3").filter(|_| host.ends_with(".amazonaws.com"));
        let (bucket, key) = match virtual_bucket {
            Some((bucket, _)) => (bucket, path),
            None => path.split_once('/').ok_or_else(unsupported)?,
        };
        let key = percent_decode_str(key).decode_utf8_lossy();
        let version = query.split('&').find_map(|pair| pair.strip_prefix("versionId="));
        let missing = |what: &str| {
            Fault::validation(format!(
                "S3 error: {what}\nFor more information check http://docs.aws.amazon.com/AmazonS3/latest/API/ErrorResponses.html"
            ))
        };
        let stored = self.buckets.get(bucket).ok_or_else(|| missing("The specified bucket does not exist"))?;
        let object = stored.find(&key, version).ok_or_else(|| missing("The specified key does not exist."))?;
        Ok(String::from_utf8_lossy(&object.body).into_owned())
    }
}

impl Stored {
    fn find(&self, key: &str, version: Option<&str>) -> Option<&Object> {
        let versions = self.objects.get(key)?;
        match version {
            Some(version) => versions.iter().find(|object| object.version == version),
            None => versions.last(),
        }
    }
}

/// The bucket and the key of a path.
fn parts(path: &str) -> (String, String) {
    let path = percent_decode_str(path.trim_start_matches('/')).decode_utf8_lossy().into_owned();
    match path.split_once('/') {
        Some((bucket, key)) => (bucket.to_owned(), key.to_owned()),
        None => (path, String::new()),
    }
}

/// The name of the operation that a request asks for.
pub(crate) fn operation(raw: &Raw) -> String {
    let (bucket, key) = parts(&raw.path);
    let asks = |name: &str| raw.parameter(name).is_some();
    let name = match (raw.method.as_str(), bucket.is_empty(), key.is_empty()) {
        ("GET", true, _) => "ListBuckets",
        ("GET", _, true) if asks("versioning") => "GetBucketVersioning",
        ("GET", _, true) if asks("encryption") => "GetBucketEncryption",
        ("GET", _, true) if asks("publicAccessBlock") => "GetPublicAccessBlock",
        ("GET", _, true) if asks("location") => "GetBucketLocation",
        ("GET", _, true) if asks("versions") => "ListObjectVersions",
        ("GET", _, true) => "ListObjectsV2",
        ("HEAD", _, true) => "HeadBucket",
        ("PUT", _, true) if raw.query.is_empty() => "CreateBucket",
        ("GET", _, false) => "GetObject",
        ("HEAD", _, false) => "HeadObject",
        ("PUT", _, false) => "PutObject",
        (method, ..) => return format!("{method} {}", raw.path),
    };
    name.to_owned()
}

pub(crate) fn call(world: &mut World, raw: &Raw, call: &Call) -> Result<Reply, Fault> {
    let (bucket, key) = parts(&raw.path);
    match call.operation.as_str() {
        "ListBuckets" => {
            let list: Vec<Value> = world.s3.buckets.keys().map(|name| json!({"Name": name})).collect();
            return Ok(document("ListAllMyBucketsResult", &json!({"Buckets": {"Bucket": list}})));
        }
        "CreateBucket" => {
            let settings = Bucket {
                name: bucket,
                owner: None,
                region: None,
                versioning: false,
                encryption: Some("AES256".to_owned()),
                public_access_blocked: true,
            };
            let (account, region) = (world.account.clone(), world.region.clone());
            world.s3.create(&settings, &account, &region);
            return Ok(plain(200, "application/xml", ""));
        }
        _ => {}
    }
    let now = world.now;
    let version = world.chance.hex(32);
    let account = world.account.clone();
    let Some(stored) = world.s3.buckets.get_mut(&bucket) else {
        return Err(Fault::new("NoSuchBucket", "The specified bucket does not exist").with_status(404));
    };
    // Page: "Verifying bucket ownership with bucket owner condition".
    let foreign = raw.header("x-amz-expected-bucket-owner").is_some_and(|owner| owner != stored.owner);
    if foreign || stored.owner != account {
        return Err(Fault::new("AccessDenied", "Access Denied").with_status(403));
    }
    match call.operation.as_str() {
        "HeadBucket" => {
            let mut reply = plain(200, "application/xml", "");
            set(&mut reply, "x-amz-bucket-region", &stored.region);
            Ok(reply)
        }
        "GetBucketVersioning" => {
            let status = stored.versioning.then_some("Enabled");
            Ok(document("VersioningConfiguration", &json!({"Status": status})))
        }
        "GetBucketEncryption" => match &stored.encryption {
            Some(algorithm) => {
                let rule = json!({"Rule": {"ApplyServerSideEncryptionByDefault": {"SSEAlgorithm": algorithm}}});
                Ok(document("ServerSideEncryptionConfiguration", &rule))
            }
            None => Err(Fault::new(
                "ServerSideEncryptionConfigurationNotFoundError",
                "The server side encryption configuration was not found",
            )
            .with_status(404)),
        },
        "GetPublicAccessBlock" if stored.blocked => {
            let all = json!({"BlockPublicAcls": true, "IgnorePublicAcls": true, "BlockPublicPolicy": true, "RestrictPublicBuckets": true});
            Ok(document("PublicAccessBlockConfiguration", &all))
        }
        "GetPublicAccessBlock" => Err(Fault::new(
            "NoSuchPublicAccessBlockConfiguration",
            "The public access block configuration was not found",
        )
        .with_status(404)),
        "GetBucketLocation" => {
            // Page: "GetBucketLocation": null for us-east-1.
            let region = if stored.region == "us-east-1" { "" } else { &stored.region };
            let body = format!(
                "<LocationConstraint xmlns=\"http://s3.amazonaws.com/doc/2006-03-01/\">{region}</LocationConstraint>"
            );
            Ok(plain(200, "application/xml", body))
        }
        "ListObjectsV2" => Ok(list(&bucket, stored, raw)),
        "ListObjectVersions" => Ok(list_versions(&bucket, stored, raw)),
        "PutObject" => put(stored, &key, raw, now, version),
        "GetObject" | "HeadObject" => {
            let object = stored.find(&key, raw.parameter("versionId"));
            let missing = || Fault::new("NoSuchKey", "The specified key does not exist.").with_status(404);
            let object = object.ok_or_else(missing)?;
            let body = if call.operation == "GetObject" { object.body.clone() } else { Vec::new() };
            let mut reply = plain(200, "application/octet-stream", body);
            let length = object.body.len().to_string();
            let modified = http_date(object.modified);
            for (name, value) in [
                ("content-type", &object.kind),
                ("etag", &object.etag),
                ("last-modified", &modified),
                ("content-length", &length),
            ] {
                set(&mut reply, name, value);
            }
            if stored.versioning {
                set(&mut reply, "x-amz-version-id", &object.version);
            }
            if let Some(algorithm) = &stored.encryption {
                set(&mut reply, "x-amz-server-side-encryption", algorithm);
            }
            let checksums = raw.header("x-amz-checksum-mode") == Some("ENABLED");
            for (name, value) in &object.headers {
                if checksums || !name.starts_with("x-amz-checksum-") {
                    set(&mut reply, name, value);
                }
            }
            Ok(reply)
        }
        _ => Err(Fault::unknown_operation(call).with_status(501)),
    }
}

fn set(reply: &mut Reply, name: &str, value: &str) {
    if let (Ok(name), Ok(value)) = (name.parse::<HeaderName>(), HeaderValue::from_str(value)) {
        reply.headers_mut().insert(name, value);
    }
}

fn document(name: &str, value: &Value) -> Reply {
    let body = format!("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n{}", xml::flat(name, value));
    plain(200, "application/xml", body)
}

/// `Tue, 24 Nov 2026 19:00:00 GMT`.
fn http_date(time: Time) -> String {
    const DAYS: [&str; 7] = ["Thu", "Fri", "Sat", "Sun", "Mon", "Tue", "Wed"];
    const MONTHS: [&str; 12] = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];
    let text = time.to_string();
    let part = |range: std::ops::Range<usize>| text.get(range).unwrap_or_default();
    let month: usize = part(5..7).parse().unwrap_or(1);
    // The epoch began on a Thursday.
    let day = usize::try_from(time.0 / 86_400_000 % 7).unwrap_or_default();
    format!("{}, {} {} {} {} GMT", DAYS[day], part(8..10), MONTHS[(month - 1) % 12], part(0..4), part(11..19))
}

fn put(stored: &mut Stored, key: &str, raw: &Raw, now: Time, version: String) -> Result<Reply, Fault> {
    // Page: "How to prevent object overwrites with conditional writes".
    if raw.header("if-none-match") == Some("*") && stored.objects.contains_key(key) {
        let text = "At least one of the pre-conditions you specified did not hold";
        return Err(Fault::new("PreconditionFailed", text).with_status(412));
    }
    let chunked = raw.header("x-amz-content-sha256").is_some_and(|value| value.starts_with("STREAMING-"))
        || raw.header("content-encoding").is_some_and(|value| value.contains("aws-chunked"));
    let (body, trailers) = if chunked { unchunk(&raw.body)? } else { (raw.body.to_vec(), Vec::new()) };
    let kept = |name: &str| name.starts_with("x-amz-meta-") || name.starts_with("x-amz-checksum-");
    let sent = raw.headers.iter().filter_map(|(name, value)| Some((name.to_string(), value.to_str().ok()?.to_owned())));
    let headers: Vec<(String, String)> = sent.chain(trailers).filter(|(name, _)| kept(name)).collect();
    let etag = format!("\"{}\"", &digest(&body)[..32]);
    let kind = raw.header("content-type").unwrap_or("binary/octet-stream").to_owned();
    let version = if stored.versioning { version } else { "null".to_owned() };
    let object = Object { body, etag: etag.clone(), version: version.clone(), modified: now, kind, headers };
    let versions = stored.objects.entry(key.to_owned()).or_default();
    if !stored.versioning {
        versions.clear();
    }
    versions.push(object);
    let mut reply = hyper::Response::new(Full::default());
    set(&mut reply, "etag", &etag);
    if stored.versioning {
        set(&mut reply, "x-amz-version-id", &version);
    }
    if let Some(algorithm) = &stored.encryption {
        set(&mut reply, "x-amz-server-side-encryption", algorithm);
    }
    Ok(reply)
}

type Trailers = Vec<(String, String)>;

/// Takes the framing off: `<hex size>[;chunk-signature=…]\r\n<bytes>\r\n … 0\r\n<trailers>\r\n`.
fn unchunk(mut rest: &[u8]) -> Result<(Vec<u8>, Trailers), Fault> {
    fn line<'a>(rest: &mut &'a [u8]) -> Option<&'a str> {
        let end = rest.windows(2).position(|pair| pair == b"\r\n")?;
        let line = std::str::from_utf8(&rest[..end]).ok()?;
        *rest = &rest[end + 2..];
        Some(line)
    }
    let broken = || Fault::new("IncompleteBody", "The body is not framed as its headers say");
    let mut body = Vec::new();
    loop {
        let head = line(&mut rest).ok_or_else(broken)?;
        let size = usize::from_str_radix(head.split(';').next().unwrap_or_default(), 16).map_err(|_| broken())?;
        if size == 0 {
            break;
        }
        body.extend_from_slice(rest.get(..size).ok_or_else(broken)?);
        rest = rest.get(size + 2..).ok_or_else(broken)?;
    }
    let mut trailers = Vec::new();
    while let Some(line) = line(&mut rest) {
        if let Some((name, value)) = line.split_once(':') {
            trailers.push((name.trim().to_ascii_lowercase(), value.trim().to_owned()));
        }
    }
    Ok((body, trailers))
}

fn list(bucket: &str, stored: &Stored, raw: &Raw) -> Reply {
    let prefix = raw.parameter("prefix").unwrap_or_default();
    let size: usize = raw.parameter("max-keys").and_then(|text| text.parse().ok()).unwrap_or(1000);
    let after = raw.parameter("continuation-token").or_else(|| raw.parameter("start-after")).unwrap_or_default();
    let matching: Vec<(&String, &Object)> = stored
        .objects
        .iter()
        .filter(|(key, _)| key.starts_with(prefix) && key.as_str() > after)
        .filter_map(|(key, versions)| Some((key, versions.last()?)))
        .collect();
    let more = matching.len() > size;
    let shown = &matching[..size.min(matching.len())];
    let contents: Vec<Value> = shown
        .iter()
        .map(|(key, object)| {
            json!({"Key": key, "LastModified": object.modified.to_string(), "ETag": object.etag, "Size": object.body.len(), "StorageClass": "STANDARD"})
        })
        .collect();
    let next = shown.last().filter(|_| more).map(|(key, _)| key);
    document(
        "ListBucketResult",
        &json!({
            "Name": bucket, "Prefix": prefix, "KeyCount": contents.len(), "MaxKeys": size, "IsTruncated": more,
            "NextContinuationToken": next, "Contents": contents,
        }),
    )
}

fn list_versions(bucket: &str, stored: &Stored, raw: &Raw) -> Reply {
    let prefix = raw.parameter("prefix").unwrap_or_default();
    let mut versions = Vec::new();
    for (key, objects) in stored.objects.iter().filter(|(key, _)| key.starts_with(prefix)) {
        for (index, object) in objects.iter().rev().enumerate() {
            versions.push(json!({
                "Key": key, "VersionId": object.version, "IsLatest": index == 0,
                "LastModified": object.modified.to_string(), "ETag": object.etag, "Size": object.body.len(),
            }));
        }
    }
    document(
        "ListVersionsResult",
        &json!({"Name": bucket, "Prefix": prefix, "IsTruncated": false, "Version": versions}),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_framing_of_a_chunked_body_is_taken_off() {
        let framed = b"5;chunk-signature=ab\r\nhello\r\n3\r\nyou\r\n0\r\nx-amz-checksum-crc32:AAAA\r\n\r\n";
        let (body, trailers) = unchunk(framed).unwrap();
        assert_eq!(body, b"helloyou");
        assert_eq!(trailers, [("x-amz-checksum-crc32".to_owned(), "AAAA".to_owned())]);
        assert!(unchunk(b"5\r\nhel").is_err());
    }

    #[test]
    fn a_template_is_found_by_every_form_of_its_url() {
        let mut s3 = S3::default();
        let bucket = Bucket {
            name: "b".to_owned(),
            owner: None,
            region: None,
            versioning: true,
            encryption: None,
            public_access_blocked: true,
        };
        s3.create(&bucket, "1", "us-east-1");
        let object = Object {
            body: b"text".to_vec(),
            etag: String::new(),
            version: "v1".to_owned(),
            modified: Time(0),
            kind: String::new(),
            headers: Vec::new(),
        };
        s3.buckets.get_mut("b").unwrap().objects.insert("k/x y".to_owned(), vec![object]);
        for url in [
            "https://b.s3.us-east-1.amazonaws.com/k/x%20y",
            "https://s3.amazonaws.com/b/k/x%20y?versionId=v1",
            "http://127.0.0.1:4566/b/k/x%20y",
        ] {
            assert_eq!(s3.by_url(url).unwrap(), "text", "{url}");
        }
        assert!(s3.by_url("s3://b/key").unwrap_err().message.contains("supported URL"));
        assert!(s3.by_url("https://s3.amazonaws.com/b/other").unwrap_err().message.contains("key does not exist"));
    }

    #[test]
    fn dates_are_those_of_http() {
        assert_eq!(http_date(Time(1_764_000_000_000)), "Mon, 24 Nov 2025 16:00:00 GMT");
    }
}
