//! Lists: of buckets, objects (both versions of the list, and the one with versions), parts and uploads, in pages.

use std::ops::Bound;

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use s3s::dto::{
    Bucket, CommonPrefix, EncodingType, ListBucketsInput, ListBucketsOutput, ListMultipartUploadsInput,
    ListMultipartUploadsOutput, ListObjectVersionsInput, ListObjectVersionsOutput, ListObjectsInput, ListObjectsOutput,
    ListObjectsV2Input, ListObjectsV2Output, ListPartsInput, ListPartsOutput, MultipartUpload, Object, ObjectVersion,
    Owner, Part,
};
use s3s::{S3Response, S3Result, s3_error};

use super::super::index::{After, Entry, Page, Selection};
use super::super::store::Store;
use super::{Answer, NULL, OWNER, refuse_version, set_checksum, timestamp};

/// The longest page.
const MOST: i32 = 1000;

/// What `encoding-type=url` leaves as it is. A space becomes `%20`, which clients decode whichever form they expect.
const PLAIN: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'_').remove(b'.').remove(b'~').remove(b'/');

pub(super) fn buckets(store: &Store, input: &ListBucketsInput) -> Answer<ListBucketsOutput> {
    let prefix = input.prefix.clone().unwrap_or_default();
    let limit = limit(input.max_buckets.or(Some(10_000)), 10_000)?;
    let after = match &input.continuation_token {
        Some(token) => match decode(token)? {
            After::Key(name) | After::Prefix(name) => Bound::Excluded(name),
        },
        None => Bound::Included(prefix.clone()),
    };
    let (names, next) = store.read(|index| {
        let mut all = index.buckets.range((after, Bound::Unbounded)).take_while(|(name, _)| name.starts_with(&prefix));
        let page: Vec<Bucket> = all
            .by_ref()
            .take(limit)
            .map(|(name, bucket)| Bucket {
                bucket_region: Some(bucket.region.clone()),
                creation_date: Some(timestamp(bucket.created)),
                name: Some(name.clone()),
            })
            .collect();
        let last = page.last().and_then(|bucket| bucket.name.clone());
        Ok((page, all.next().and(last)))
    })?;
    Ok(S3Response::new(ListBucketsOutput {
        buckets: Some(names),
        continuation_token: next.map(|name| encode(&After::Key(name))),
        owner: Some(owner()),
        prefix: input.prefix.clone(),
    }))
}

pub(super) fn objects(store: &Store, input: ListObjectsInput) -> Answer<ListObjectsOutput> {
    let url = is_url(input.encoding_type.as_ref())?;
    let (prefix, delimiter) = (input.prefix.unwrap_or_default(), input.delimiter.unwrap_or_default());
    let marker = input.marker.unwrap_or_default();
    let after = after(&marker, &prefix, &delimiter);
    let limit = limit(input.max_keys, MOST)?;
    let page = page(store, &input.bucket, &prefix, &delimiter, after.as_ref(), limit)?;
    let next = page.next.clone().filter(|_| !delimiter.is_empty());
    let text = |text: &str| shown(text, url);
    Ok(S3Response::new(ListObjectsOutput {
        is_truncated: Some(page.next.is_some()),
        next_marker: next.map(|(After::Key(it) | After::Prefix(it))| text(&it)),
        common_prefixes: Some(prefixes(&page.prefixes, url)),
        contents: Some(page.objects.iter().map(|(key, entry)| object(key, entry, url, Some(owner()))).collect()),
        marker: Some(text(&marker)),
        delimiter: Some(text(&delimiter)).filter(|it| !it.is_empty()),
        // As it came: botocore asks for the encoding by itself and does not decode this one field.
        prefix: Some(prefix),
        name: Some(input.bucket),
        max_keys: Some(bounded(limit)),
        encoding_type: input.encoding_type,
        ..Default::default()
    }))
}

/// Of a bucket that never had versions: each object is the latest and only version of its key.
pub(super) fn versions(store: &Store, input: ListObjectVersionsInput) -> Answer<ListObjectVersionsOutput> {
    let url = is_url(input.encoding_type.as_ref())?;
    let (prefix, delimiter) = (input.prefix.unwrap_or_default(), input.delimiter.unwrap_or_default());
    let marker = input.key_marker.unwrap_or_default();
    let version_marker = input.version_id_marker.filter(|it| !it.is_empty());
    if version_marker.is_some() && marker.is_empty() {
        return Err(s3_error!(InvalidArgument, "A version-id marker cannot be specified without a key marker."));
    }
    refuse_version(version_marker.as_deref())?;
    let after = after(&marker, &prefix, &delimiter);
    let limit = limit(input.max_keys, MOST)?;
    let page = page(store, &input.bucket, &prefix, &delimiter, after.as_ref(), limit)?;
    let text = |text: &str| shown(text, url);
    let (next_key, next_version) = match &page.next {
        Some(After::Key(key)) => (Some(text(key)), Some(NULL.to_owned())),
        Some(After::Prefix(prefix)) => (Some(text(prefix)), None),
        None => (None, None),
    };
    let version = |(key, entry): &(Box<str>, Entry)| ObjectVersion {
        e_tag: Some(entry.etag.into()),
        is_latest: Some(true),
        key: Some(text(key)),
        last_modified: Some(timestamp(entry.modified)),
        owner: Some(owner()),
        size: i64::try_from(entry.size).ok(),
        storage_class: Some(entry.class.as_str().to_owned().into()),
        version_id: Some(NULL.to_owned()),
        ..Default::default()
    };
    Ok(S3Response::new(ListObjectVersionsOutput {
        is_truncated: Some(page.next.is_some()),
        next_key_marker: next_key,
        next_version_id_marker: next_version,
        common_prefixes: Some(prefixes(&page.prefixes, url)),
        versions: Some(page.objects.iter().map(version).collect()),
        key_marker: Some(text(&marker)),
        version_id_marker: Some(version_marker.unwrap_or_default()),
        delimiter: Some(text(&delimiter)).filter(|it| !it.is_empty()),
        prefix: Some(text(&prefix)),
        name: Some(input.bucket),
        max_keys: Some(bounded(limit)),
        encoding_type: input.encoding_type,
        ..Default::default()
    }))
}

pub(super) fn objects_v2(store: &Store, input: ListObjectsV2Input) -> Answer<ListObjectsV2Output> {
    let url = is_url(input.encoding_type.as_ref())?;
    let (prefix, delimiter) = (input.prefix.unwrap_or_default(), input.delimiter.unwrap_or_default());
    let after = match &input.continuation_token {
        Some(token) => Some(decode(token)?),
        None => input.start_after.clone().filter(|it| !it.is_empty()).map(After::Key),
    };
    let limit = limit(input.max_keys, MOST)?;
    let page = page(store, &input.bucket, &prefix, &delimiter, after.as_ref(), limit)?;
    let owned = input.fetch_owner.unwrap_or(false);
    let text = |text: &str| shown(text, url);
    Ok(S3Response::new(ListObjectsV2Output {
        key_count: Some(bounded(page.objects.len() + page.prefixes.len())),
        is_truncated: Some(page.next.is_some()),
        next_continuation_token: page.next.as_ref().map(encode),
        common_prefixes: Some(prefixes(&page.prefixes, url)),
        contents: Some(page.objects.iter().map(|(key, entry)| object(key, entry, url, owned.then(owner))).collect()),
        continuation_token: input.continuation_token,
        start_after: input.start_after.as_deref().map(text),
        delimiter: Some(text(&delimiter)).filter(|it| !it.is_empty()),
        prefix: Some(text(&prefix)),
        name: Some(input.bucket),
        max_keys: Some(bounded(limit)),
        encoding_type: input.encoding_type,
        ..Default::default()
    }))
}

pub(super) fn parts(store: &Store, input: &ListPartsInput) -> Answer<ListPartsOutput> {
    let limit = limit(input.max_parts, MOST)?;
    let marker = u16::try_from(input.part_number_marker.unwrap_or(0))
        .map_err(|_| s3_error!(InvalidArgument, "part-number-marker is out of range"))?;
    store.read(|index| {
        let upload = index.upload(&input.bucket, &input.key, &input.upload_id)?;
        let mut all = upload.parts.range((Bound::Excluded(marker), Bound::Unbounded));
        let mut page = Vec::new();
        for (number, part) in all.by_ref().take(limit) {
            let mut shown = Part {
                e_tag: Some(part.etag.into()),
                last_modified: Some(timestamp(part.modified)),
                part_number: Some(i32::from(*number)),
                size: i64::try_from(part.size).ok(),
                ..Default::default()
            };
            set_checksum!(shown, &part.checksum);
            page.push(shown);
        }
        let more = all.next().is_some();
        let last = page.last().and_then(|part| part.part_number);
        Ok(S3Response::new(ListPartsOutput {
            bucket: Some(input.bucket.clone()),
            key: Some(input.key.clone()),
            upload_id: Some(input.upload_id.clone()),
            part_number_marker: Some(i32::from(marker)),
            next_part_number_marker: last,
            max_parts: Some(bounded(limit)),
            is_truncated: Some(more),
            parts: Some(page),
            owner: Some(owner()),
            storage_class: Some(upload.start.class.as_str().to_owned().into()),
            checksum_algorithm: upload.start.algorithm.map(|it| it.name().to_owned().into()),
            ..Default::default()
        }))
    })
}

pub(super) fn uploads(store: &Store, input: ListMultipartUploadsInput) -> Answer<ListMultipartUploadsOutput> {
    if input.delimiter.as_deref().is_some_and(|it| !it.is_empty()) {
        return Err(s3_error!(NotImplemented, "A delimiter in lists of uploads is not implemented"));
    }
    let url = is_url(input.encoding_type.as_ref())?;
    let prefix = input.prefix.unwrap_or_default();
    let limit = limit(input.max_uploads, MOST)?;
    let (key, id) = (input.key_marker.unwrap_or_default(), input.upload_id_marker.unwrap_or_default());
    let start = match (key.as_str() < prefix.as_str(), id.is_empty()) {
        (true, _) => Bound::Included((prefix.clone(), String::new())),
        // All uploads of the marker's key are behind.
        (false, true) => Bound::Excluded((key.clone(), "\u{10ffff}".to_owned())),
        (false, false) => Bound::Excluded((key.clone(), id.clone())),
    };
    store.read(|index| {
        let all = &index.bucket(&input.bucket)?.uploads;
        let start = if key.is_empty() && prefix.is_empty() { Bound::Unbounded } else { start };
        let mut all = all.range((start, Bound::Unbounded)).take_while(|((key, _), _)| key.starts_with(&prefix));
        let page: Vec<_> = all.by_ref().take(limit).collect();
        let last = if all.next().is_some() { page.last().map(|(it, _)| (*it).clone()) } else { None };
        let shown_uploads = page.into_iter().map(|((key, id), started)| MultipartUpload {
            initiated: Some(timestamp(*started)),
            key: Some(shown(key, url)),
            upload_id: Some(id.clone()),
            owner: Some(owner()),
            storage_class: index.uploads.get(id).map(|it| it.start.class.as_str().to_owned().into()),
            ..Default::default()
        });
        let uploads = Some(shown_uploads.collect());
        let (next_key, next_id) = last.unzip();
        Ok(S3Response::new(ListMultipartUploadsOutput {
            bucket: Some(input.bucket.clone()),
            is_truncated: Some(next_id.is_some()),
            next_key_marker: next_key.map(|it| shown(&it, url)),
            next_upload_id_marker: next_id,
            key_marker: Some(shown(&key, url)),
            upload_id_marker: Some(id.clone()),
            max_uploads: Some(bounded(limit)),
            prefix: Some(shown(&prefix, url)),
            encoding_type: input.encoding_type.clone(),
            uploads,
            ..Default::default()
        }))
    })
}

/// Where a page begins that has a marker. The marker of one that ended with a common prefix is that prefix.
fn after(marker: &str, prefix: &str, delimiter: &str) -> Option<After> {
    let rest = marker.strip_prefix(prefix).filter(|_| !delimiter.is_empty());
    let is_prefix = rest.and_then(|rest| rest.find(delimiter).map(|at| at + delimiter.len() == rest.len()));
    match is_prefix {
        _ if marker.is_empty() => None,
        Some(true) => Some(After::Prefix(marker.to_owned())),
        _ => Some(After::Key(marker.to_owned())),
    }
}

fn page(
    store: &Store,
    bucket: &str,
    prefix: &str,
    delimiter: &str,
    after: Option<&After>,
    limit: usize,
) -> S3Result<Page> {
    store.read(|index| Ok(index.bucket(bucket)?.list(Selection { prefix, delimiter, after, limit })))
}

fn limit(wanted: Option<i32>, most: i32) -> S3Result<usize> {
    let wanted = wanted.unwrap_or(most).min(most);
    usize::try_from(wanted).map_err(|_| s3_error!(InvalidArgument, "The limit must not be negative"))
}

/// Everything counted here is within a page.
fn bounded(count: usize) -> i32 {
    i32::try_from(count).unwrap_or(i32::MAX)
}

fn owner() -> Owner {
    Owner { display_name: Some(OWNER.to_owned()), id: Some(OWNER.to_owned()) }
}

fn is_url(wanted: Option<&EncodingType>) -> S3Result<bool> {
    match wanted.map(EncodingType::as_str) {
        None => Ok(false),
        Some(EncodingType::URL) => Ok(true),
        Some(_) => Err(s3_error!(InvalidArgument, "Invalid Encoding Method specified in Request")),
    }
}

fn shown(text: &str, url: bool) -> String {
    if url { utf8_percent_encode(text, PLAIN).to_string() } else { text.to_owned() }
}

fn prefixes(prefixes: &[String], url: bool) -> Vec<CommonPrefix> {
    prefixes.iter().map(|prefix| CommonPrefix { prefix: Some(shown(prefix, url)) }).collect()
}

fn object(key: &str, entry: &Entry, url: bool, owner: Option<Owner>) -> Object {
    Object {
        e_tag: Some(entry.etag.into()),
        key: Some(shown(key, url)),
        last_modified: Some(timestamp(entry.modified)),
        owner,
        size: i64::try_from(entry.size).ok(),
        storage_class: Some(entry.class.as_str().to_owned().into()),
        ..Default::default()
    }
}

/// A token says where to go on; the first byte tells a key from a common prefix.
fn encode(after: &After) -> String {
    match after {
        After::Key(key) => hex::encode(format!("k{key}")),
        After::Prefix(prefix) => hex::encode(format!("p{prefix}")),
    }
}

fn decode(token: &str) -> S3Result<After> {
    let text = hex::decode(token).ok().and_then(|bytes| String::from_utf8(bytes).ok()).unwrap_or_default();
    match (text.strip_prefix('k'), text.strip_prefix('p')) {
        (Some(key), _) => Ok(After::Key(key.to_owned())),
        (_, Some(prefix)) => Ok(After::Prefix(prefix.to_owned())),
        _ => Err(s3_error!(InvalidArgument, "The continuation token provided is incorrect")),
    }
}
