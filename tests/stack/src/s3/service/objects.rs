//! Single objects: stored, given out, described, deleted, restored.

use std::ops::Range;

use hyper::header::{self, HeaderName};
use hyper::{HeaderMap, StatusCode};
use s3s::dto::{
    DeleteObjectInput, DeleteObjectOutput, DeleteObjectsInput, DeleteObjectsOutput, DeletedObject, GetObjectInput,
    GetObjectOutput, HeadObjectInput, HeadObjectOutput, PutObjectInput, PutObjectOutput, RestoreObjectInput,
    RestoreObjectOutput, StreamingBlob,
};
use s3s::{S3Request, S3Response, S3Result, s3_error};

use super::super::conditions::{On, ReadCondition, WriteCondition};
use super::super::errors::message;
use super::super::headers;
use super::super::model::{Class, Etag, Object, disk_error};
use super::super::outcome::Status;
use super::super::receive::{Announced, receive};
use super::super::restore;
use super::super::send::Outbound;
use super::super::store::{Found, Store};
use super::{Answer, Service, add_checksum, refuse_unsupported, refuse_version, timestamp};

/// S3's limit on the keys of one DeleteObjects.
const MOST_DELETED: usize = 1000;

pub(super) async fn put(service: &Service, mut request: S3Request<PutObjectInput>) -> Answer<PutObjectOutput> {
    refuse_unsupported(&request.headers)?;
    let (body, length, md5) =
        (request.input.body.take(), request.input.content_length, request.input.content_md5.take());
    let announced = Announced::new(&request, length, md5)?;
    let headers = headers::stored(&request.headers)?;
    let PutObjectInput { bucket, key, if_match, if_none_match, storage_class, .. } = request.input;
    let condition = WriteCondition { if_match, if_none_match, ..WriteCondition::default() };
    let class = Class::parse(storage_class.as_ref().map(s3s::dto::StorageClass::as_str))?;
    // What is sure to fail should fail before gigabytes are sent.
    service.0.read(|index| condition.check(index.bucket(&bucket)?.objects.get(&*key)))?;
    let store = service.0.clone();
    let commit = move |received: super::super::receive::Received| {
        let (etag, checksum) = (Etag { md5: received.md5, parts: 0 }, received.checksum);
        let object = Object {
            class: store.class(&bucket, class),
            bucket,
            key,
            size: received.size,
            etag,
            modified: store.clock.now(),
            headers,
            checksum: checksum.clone(),
            segments: received.segments,
            upload: None,
        };
        store.put(object, received.names, &condition)?;
        Ok((etag, checksum))
    };
    let (etag, checksum) = receive(&service.0.files, body, announced, commit).await?;
    let mut response = S3Response::new(PutObjectOutput { e_tag: Some(etag.into()), ..Default::default() });
    add_checksum(&mut response.headers, checksum.as_ref());
    Ok(response)
}

pub(super) async fn get(service: &Service, request: S3Request<GetObjectInput>) -> Answer<GetObjectOutput> {
    let input = request.input;
    refuse_version(input.version_id.as_deref())?;
    refuse_part(input.part_number)?;
    let condition = ReadCondition {
        if_match: input.if_match,
        if_none_match: input.if_none_match,
        if_modified_since: input.if_modified_since,
        if_unmodified_since: input.if_unmodified_since,
    };
    let replaced: Vec<HeaderName> = [
        (input.response_cache_control.is_some(), header::CACHE_CONTROL),
        (input.response_content_disposition.is_some(), header::CONTENT_DISPOSITION),
        (input.response_content_encoding.is_some(), header::CONTENT_ENCODING),
        (input.response_content_language.is_some(), header::CONTENT_LANGUAGE),
        (input.response_content_type.is_some(), header::CONTENT_TYPE),
        (input.response_expires.is_some(), header::EXPIRES),
    ]
    .into_iter()
    .filter_map(|(given, name)| given.then_some(name))
    .collect();
    let (bucket, key, wanted) = (input.bucket, input.key, input.range);
    let work = move |store: &Store| {
        let found = store.find(&bucket, &key)?;
        condition.check(&found.entry, On::Read)?;
        found.entry.check_readable(store.clock.now())?;
        let size = found.entry.size;
        let range = match wanted {
            Some(range) => Some(range.check(size).map_err(|_| unsatisfiable(size))?),
            None => None,
        };
        let Found { entry, object, lease } = found;
        let stretch = range.clone().unwrap_or(0..size);
        let body = Outbound::open(&store.files, &object.segments, stretch, lease).map_err(disk_error)?;
        Ok((entry, object, range, body))
    };
    let (entry, object, range, body) = service.blocking(work).await?;
    let shown = range.clone().unwrap_or(0..entry.size);
    let now = service.0.clock.now();
    let output = GetObjectOutput {
        accept_ranges: Some("bytes".to_owned()),
        body: Some(StreamingBlob::new(body)),
        content_length: length(&shown).ok(),
        content_range: range.as_ref().map(|it| format!("bytes {}-{}/{}", it.start, it.end - 1, entry.size)),
        e_tag: Some(entry.etag.into()),
        last_modified: Some(timestamp(entry.modified)),
        restore: entry.restore(now).map(|it| restore::header(it, now)),
        storage_class: shown_class(entry.class),
        ..Default::default()
    };
    let mut response = S3Response::with_headers(output, headers::write(&object.headers, &replaced));
    if input.checksum_mode.is_some() && range.is_none() {
        add_checksum(&mut response.headers, object.checksum.as_ref());
    }
    Ok(response)
}

pub(super) async fn head(service: &Service, request: S3Request<HeadObjectInput>) -> Answer<HeadObjectOutput> {
    let input = request.input;
    refuse_version(input.version_id.as_deref())?;
    refuse_part(input.part_number)?;
    let condition = ReadCondition {
        if_match: input.if_match,
        if_none_match: input.if_none_match,
        if_modified_since: input.if_modified_since,
        if_unmodified_since: input.if_unmodified_since,
    };
    let (bucket, key) = (input.bucket, input.key);
    let Found { entry, object, .. } = service.blocking(move |store| store.find(&bucket, &key)).await?;
    condition.check(&entry, On::Read)?;
    let now = service.0.clock.now();
    let output = HeadObjectOutput {
        accept_ranges: Some("bytes".to_owned()),
        content_length: length(&(0..entry.size)).ok(),
        e_tag: Some(entry.etag.into()),
        last_modified: Some(timestamp(entry.modified)),
        restore: entry.restore(now).map(|it| restore::header(it, now)),
        storage_class: shown_class(entry.class),
        ..Default::default()
    };
    let mut response = S3Response::with_headers(output, headers::write(&object.headers, &[]));
    if input.checksum_mode.is_some() {
        add_checksum(&mut response.headers, object.checksum.as_ref());
    }
    Ok(response)
}

pub(super) async fn delete(service: &Service, input: DeleteObjectInput) -> Answer<DeleteObjectOutput> {
    refuse_version(input.version_id.as_deref())?;
    let DeleteObjectInput { bucket, key, version_id, if_match, .. } = input;
    let condition = WriteCondition {
        if_match,
        modified: input.if_match_last_modified_time,
        size: input.if_match_size,
        ..WriteCondition::default()
    };
    service.blocking(move |store| store.delete(&bucket, &key, &condition)).await?;
    Ok(S3Response::new(DeleteObjectOutput { version_id, ..Default::default() }))
}

pub(super) async fn delete_many(service: &Service, input: DeleteObjectsInput) -> Answer<DeleteObjectsOutput> {
    let (bucket, objects, quiet) = (input.bucket, input.delete.objects, input.delete.quiet == Some(true));
    if objects.is_empty() || objects.len() > MOST_DELETED {
        return Err(s3_error!(MalformedXML, "The XML you provided was not well-formed or did not validate"));
    }
    let work = move |store: &Store| {
        store.read(|index| index.bucket(&bucket).map(|_| ()))?;
        let (mut deleted, mut errors) = (Vec::new(), Vec::new());
        for object in objects {
            let condition = WriteCondition {
                if_match: object.e_tag.map(s3s::dto::ETagCondition::ETag),
                modified: object.last_modified_time,
                size: object.size,
                ..WriteCondition::default()
            };
            let result = refuse_version(object.version_id.as_deref())
                .and_then(|()| store.delete(&bucket, &object.key, &condition));
            match result {
                Ok(()) => deleted.push(DeletedObject {
                    key: Some(object.key),
                    version_id: object.version_id,
                    ..Default::default()
                }),
                Err(error) => errors.push(s3s::dto::Error {
                    code: Some(error.code().as_str().to_owned()),
                    key: Some(object.key),
                    message: Some(error.message().unwrap_or_else(|| message(error.code().as_str())).to_owned()),
                    version_id: object.version_id,
                }),
            }
        }
        Ok((deleted, errors))
    };
    let (deleted, errors) = service.blocking(work).await?;
    let deleted = if quiet { None } else { Some(deleted) };
    Ok(S3Response::new(DeleteObjectsOutput { deleted, errors: Some(errors), ..Default::default() }))
}

pub(super) async fn restore(service: &Service, input: RestoreObjectInput) -> Answer<RestoreObjectOutput> {
    refuse_version(input.version_id.as_deref())?;
    let RestoreObjectInput { bucket, key, restore_request, .. } = input;
    let work = move |store: &Store| {
        let now = store.clock.now();
        store.restore(&bucket, &key, |class, present| restore::decide(class, present, restore_request.as_ref(), now))
    };
    let answer = service.blocking(work).await?;
    let mut response = S3Response::new(RestoreObjectOutput::default());
    if answer == restore::Answer::Accepted {
        response.extensions.insert(Status(StatusCode::ACCEPTED));
    }
    Ok(response)
}

fn refuse_part(number: Option<i32>) -> S3Result<()> {
    match number {
        None => Ok(()),
        Some(_) => Err(s3_error!(NotImplemented, "Reading by part number is not implemented")),
    }
}

fn unsatisfiable(size: u64) -> s3s::S3Error {
    let mut error = s3_error!(InvalidRange, "The requested range is not satisfiable");
    let mut headers = HeaderMap::new();
    if let Ok(value) = format!("bytes */{size}").parse() {
        headers.insert(header::CONTENT_RANGE, value);
    }
    error.set_headers(headers);
    error
}

fn length(range: &Range<u64>) -> Result<i64, std::num::TryFromIntError> {
    i64::try_from(range.end - range.start)
}

/// S3 does not name its standard class in headers.
fn shown_class(class: Class) -> Option<s3s::dto::StorageClass> {
    (class != Class::Standard).then(|| class.as_str().to_owned().into())
}
