//! Server-side copies: other names for the same data files. Bytes are only read where a digest is not known yet.

use std::io::Read as _;
use std::ops::Range;

use hyper::HeaderMap;
use hyper::header::{self, HeaderName};
use md5::{Digest as _, Md5};
use s3s::checksum::ChecksumHasher;
use s3s::dto::{
    CopyObjectInput, CopyObjectOutput, CopyObjectResult, CopyPartResult, CopySource, ETagCondition, MetadataDirective,
    UploadPartCopyInput, UploadPartCopyOutput,
};
use s3s::{S3Request, S3Response, S3Result, s3_error};

use super::super::conditions::{On, ReadCondition, WriteCondition};
use super::super::files::{Files, Name};
use super::super::headers;
use super::super::model::{Checksum, Class, Etag, Object, Part, Segment, disk_error};
use super::super::receive::{enable, value};
use super::super::send::cut;
use super::super::store::{Found, Store};
use super::{Algorithm, Answer, Service, multipart, refuse_unsupported, refuse_version, set_checksum, timestamp};

/// The most that one copy may take in.
const LARGEST: u64 = 5 << 30;

pub(super) async fn object(service: &Service, request: S3Request<CopyObjectInput>) -> Answer<CopyObjectOutput> {
    refuse_unsupported(&request.headers)?;
    let input = request.input;
    let (from_bucket, from_key) = source(&input.copy_source)?;
    let replaces = match input.metadata_directive.as_ref().map(MetadataDirective::as_str) {
        None | Some(MetadataDirective::COPY) => false,
        Some(MetadataDirective::REPLACE) => true,
        Some(_) => return Err(s3_error!(InvalidArgument, "Unknown metadata directive.")),
    };
    let class = Class::parse(input.storage_class.as_ref().map(s3s::dto::StorageClass::as_str))?;
    let (bucket, key) = (input.bucket, input.key);
    if !replaces && class.is_none() && (from_bucket.as_str(), from_key.as_str()) == (bucket.as_str(), key.as_str()) {
        let message = "This copy request is illegal because it is trying to copy an object to itself without changing \
                       the object's metadata, storage class, website redirect location or encryption attributes.";
        return Err(s3_error!(InvalidRequest, "{message}"));
    }
    let condition = ReadCondition {
        if_match: input.copy_source_if_match,
        if_none_match: input.copy_source_if_none_match,
        if_modified_since: input.copy_source_if_modified_since,
        if_unmodified_since: input.copy_source_if_unmodified_since,
    };
    let destination = WriteCondition {
        if_match: etag_condition(&request.headers, &header::IF_MATCH)?,
        if_none_match: etag_condition(&request.headers, &header::IF_NONE_MATCH)?,
        ..WriteCondition::default()
    };
    let wanted = input.checksum_algorithm.as_ref().map(|it| Algorithm::parse(it.as_str())).transpose()?;
    let replacing = if replaces { Some(headers::stored(&request.headers)?) } else { None };
    let work = move |store: &Store| {
        let found = find(store, &from_bucket, &from_key, &condition)?;
        let Found { entry, object, lease } = found;
        if entry.size > LARGEST {
            let message = "The specified copy source is larger than the maximum allowable size for a copy source: \
                           5368709120";
            return Err(s3_error!(InvalidRequest, "{message}"));
        }
        let known = object.checksum.filter(|it| wanted.is_none_or(|wanted| wanted == it.algorithm));
        let known = known.filter(|it| !it.value.contains('-'));
        let digests = Digests::known(entry.etag, known, wanted);
        let digests = digests.map_or_else(|| digest(&store.files, &object.segments, wanted), Ok)?;
        let (segments, names) = link(store, &object.segments)?;
        drop(lease);
        let modified = store.clock.now();
        let etag = Etag { md5: digests.md5, parts: 0 };
        let copy = Object {
            class: store.class(&bucket, class),
            bucket,
            key,
            size: entry.size,
            etag,
            modified,
            headers: replacing.unwrap_or(object.headers),
            checksum: digests.checksum.clone(),
            segments,
            upload: None,
        };
        store.put(copy, names, &destination)?;
        Ok((etag, modified, digests.checksum))
    };
    let (etag, modified, checksum) = service.blocking(work).await?;
    let mut result =
        CopyObjectResult { e_tag: Some(etag.into()), last_modified: Some(timestamp(modified)), ..Default::default() };
    set_checksum!(result, &checksum);
    Ok(S3Response::new(CopyObjectOutput { copy_object_result: Some(result), ..Default::default() }))
}

pub(super) async fn part(service: &Service, request: S3Request<UploadPartCopyInput>) -> Answer<UploadPartCopyOutput> {
    let input = request.input;
    let (from_bucket, from_key) = source(&input.copy_source)?;
    let number = multipart::number(input.part_number)?;
    let condition = ReadCondition {
        if_match: input.copy_source_if_match,
        if_none_match: input.copy_source_if_none_match,
        if_modified_since: input.copy_source_if_modified_since,
        if_unmodified_since: input.copy_source_if_unmodified_since,
    };
    let wanted_range = input.copy_source_range.as_deref().map(range).transpose()?;
    let (bucket, key, id) = (input.bucket, input.key, input.upload_id);
    let work = move |store: &Store| {
        let algorithm = store.read(|index| Ok(index.upload(&bucket, &key, &id)?.start.algorithm))?;
        let Found { entry, object, lease } = find(store, &from_bucket, &from_key, &condition)?;
        let range = wanted_range.unwrap_or(0..entry.size);
        if range.end > entry.size {
            let size = entry.size;
            return Err(s3_error!(InvalidArgument, "Range specified is not valid for source object of size: {size}"));
        }
        let size = range.end - range.start;
        if size > LARGEST {
            return Err(s3_error!(InvalidRequest, "The specified copy range is larger than 5368709120 bytes"));
        }
        let segments: Vec<Segment> = cut(&object.segments, &range).into();
        let whole = size == entry.size;
        let digests = if whole { Digests::known(entry.etag, object.checksum, algorithm) } else { None };
        let digests = digests.map_or_else(|| digest(&store.files, &segments, algorithm), Ok)?;
        let (segments, names) = link(store, &segments)?;
        drop(lease);
        let (etag, modified) = (Etag { md5: digests.md5, parts: 0 }, store.clock.now());
        let checksum = digests.checksum.filter(|it| algorithm == Some(it.algorithm));
        let part = Part { size, etag, modified, checksum: checksum.clone(), segments };
        store.put_part(&bucket, &key, &id, number, (part, names))?;
        Ok((etag, modified, checksum))
    };
    let (etag, modified, checksum) = service.blocking(work).await?;
    let mut result =
        CopyPartResult { e_tag: Some(etag.into()), last_modified: Some(timestamp(modified)), ..Default::default() };
    set_checksum!(result, &checksum);
    Ok(S3Response::new(UploadPartCopyOutput { copy_part_result: Some(result), ..Default::default() }))
}

/// A condition on the destination, which s3s does not read yet.
fn etag_condition(headers: &HeaderMap, name: &HeaderName) -> S3Result<Option<ETagCondition>> {
    let condition = headers.get(name).map(|value| ETagCondition::parse_http_header(value.as_bytes()));
    condition.transpose().map_err(|_| s3_error!(InvalidArgument, "The header {name} is no ETag"))
}

fn source(source: &CopySource) -> S3Result<(String, String)> {
    let CopySource::Bucket { bucket, key, version_id } = source else {
        return Err(s3_error!(NotImplemented, "Only buckets are implemented as sources of copies"));
    };
    refuse_version(version_id.as_deref())?;
    Ok((bucket.to_string(), key.to_string()))
}

fn find(store: &Store, bucket: &str, key: &str, condition: &ReadCondition) -> S3Result<Found> {
    let found = store.find(bucket, key)?;
    condition.check(&found.entry, On::CopySource)?;
    found.entry.check_readable(store.clock.now())?;
    Ok(found)
}

/// `bytes=first-last`, the only form that S3 takes here.
fn range(text: &str) -> S3Result<Range<u64>> {
    let parts = text.strip_prefix("bytes=").and_then(|it| it.split_once('-'));
    let range = parts.and_then(|(first, last)| Some((first.parse().ok()?, last.parse::<u64>().ok()?)));
    match range {
        Some((first, last)) if first <= last && last < u64::MAX => Ok(first..last + 1),
        _ => {
            let message = "The x-amz-copy-source-range value must be of the form bytes=first-last where first and last \
                           are the zero-based offsets of the first and last bytes to copy";
            Err(s3_error!(InvalidArgument, "{message}"))
        }
    }
}

fn link(store: &Store, segments: &[Segment]) -> S3Result<(Vec<Segment>, Vec<Name>)> {
    Ok(store.files.link(segments).map_err(disk_error)?.into_iter().unzip())
}

struct Digests {
    md5: [u8; 16],
    checksum: Option<Checksum>,
}

impl Digests {
    /// Those of the source, where they are what the copy needs.
    fn known(etag: Etag, checksum: Option<Checksum>, wanted: Option<Algorithm>) -> Option<Self> {
        let fits = wanted.is_none_or(|wanted| checksum.as_ref().is_some_and(|it| it.algorithm == wanted));
        (etag.parts == 0 && fits).then_some(Self { md5: etag.md5, checksum })
    }
}

/// Reads the bytes for their digests.
fn digest(files: &Files, segments: &[Segment], wanted: Option<Algorithm>) -> S3Result<Digests> {
    let (mut md5, mut hasher) = (Md5::new(), ChecksumHasher::default());
    if let Some(algorithm) = wanted {
        enable(&mut hasher, algorithm);
    }
    let mut buffer = vec![0; 256 << 10];
    for segment in segments {
        let mut file = files.read_segment(segment).map_err(disk_error)?;
        loop {
            let read = file.read(&mut buffer).map_err(disk_error)?;
            if read == 0 {
                break;
            }
            md5.update(&buffer[..read]);
            hasher.update(&buffer[..read]);
        }
    }
    let sums = hasher.finalize();
    let checksum = wanted
        .and_then(|algorithm| value(&sums, algorithm).map(|value| Checksum { algorithm, value: value.to_owned() }));
    Ok(Digests { md5: md5.finalize().into(), checksum })
}
