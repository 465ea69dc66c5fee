//! Multipart uploads: begun, filled part by part, and made into an object without copying a byte.

use std::ops::RangeInclusive;

use base64::prelude::{BASE64_STANDARD, Engine as _};
use crc_fast::{CrcAlgorithm, checksum_combine};
use md5::{Digest as _, Md5};
use s3s::checksum::ChecksumHasher;
use s3s::dto::{
    ChecksumType, CompleteMultipartUploadInput, CompleteMultipartUploadOutput, CompletedPart,
    CreateMultipartUploadInput, CreateMultipartUploadOutput, UploadPartInput, UploadPartOutput,
};
use s3s::{S3ErrorCode, S3Request, S3Response, S3Result, s3_error};

use super::super::conditions::WriteCondition;
use super::super::headers;
use super::super::index::Upload;
use super::super::model::{Checksum, Class, Etag, LARGEST_OBJECT, Object, Part};
use super::super::receive::{Announced, Received, enable, receive, value};
use super::super::store::Store;
use super::{Algorithm, Answer, Service, add_checksum, kind, refuse_unsupported, set_checksum};

/// The least that a part may be, if it is not the last.
const SMALLEST_PART: u64 = 5 << 20;

const NUMBERS: RangeInclusive<u16> = 1..=10_000;

pub(super) async fn create(
    service: &Service,
    request: S3Request<CreateMultipartUploadInput>,
) -> Answer<CreateMultipartUploadOutput> {
    refuse_unsupported(&request.headers)?;
    let headers = headers::stored(&request.headers)?;
    let CreateMultipartUploadInput { bucket, key, storage_class, checksum_algorithm, checksum_type, .. } =
        request.input;
    let class = Class::parse(storage_class.as_ref().map(s3s::dto::StorageClass::as_str))?;
    let algorithm = checksum_algorithm.as_ref().map(|it| Algorithm::parse(it.as_str())).transpose()?;
    let full = match (algorithm, checksum_type.as_ref().map(ChecksumType::as_str)) {
        (Some(Algorithm::Sha1 | Algorithm::Sha256), Some(ChecksumType::FULL_OBJECT))
        | (Some(Algorithm::Crc64Nvme), Some(ChecksumType::COMPOSITE))
        | (None, Some(_)) => {
            let message = "The checksum type cannot be used with the specified checksum algorithm.";
            return Err(s3_error!(InvalidRequest, "{message}"));
        }
        (Some(algorithm), wanted) => wanted == Some(ChecksumType::FULL_OBJECT) || algorithm.is_always_full(),
        (None, None) => false,
    };
    let id = uuid::Uuid::new_v4().simple().to_string();
    let answer = CreateMultipartUploadOutput {
        bucket: Some(bucket.clone()),
        key: Some(key.clone()),
        upload_id: Some(id.clone()),
        checksum_algorithm,
        checksum_type: algorithm
            .map(|_| if full { ChecksumType::FULL_OBJECT } else { ChecksumType::COMPOSITE }.to_owned().into()),
        ..Default::default()
    };
    let work = move |store: &Store| {
        let (class, started) = (store.class(&bucket, class), store.clock.now());
        let start = super::super::model::Start { bucket, key, started, class, headers, algorithm, full };
        store.start_upload(&id, start)
    };
    service.blocking(work).await?;
    Ok(S3Response::new(answer))
}

pub(super) async fn part(service: &Service, mut request: S3Request<UploadPartInput>) -> Answer<UploadPartOutput> {
    refuse_unsupported(&request.headers)?;
    let (body, length, md5) =
        (request.input.body.take(), request.input.content_length, request.input.content_md5.take());
    let mut announced = Announced::new(&request, length, md5)?;
    let UploadPartInput { bucket, key, upload_id, part_number, .. } = request.input;
    let number = number(part_number)?;
    announced.wanted = service.0.read(|index| Ok(index.upload(&bucket, &key, &upload_id)?.start.algorithm))?;
    let store = service.0.clone();
    let commit = move |received: Received| {
        let Received { size, md5, checksum, segments, names } = received;
        let etag = Etag { md5, parts: 0 };
        let part = Part { size, etag, modified: store.clock.now(), checksum: checksum.clone(), segments };
        store.put_part(&bucket, &key, &upload_id, number, (part, names))?;
        Ok((etag, checksum))
    };
    let (etag, checksum) = receive(&service.0.files, body, announced, commit).await?;
    let mut response = S3Response::new(UploadPartOutput { e_tag: Some(etag.into()), ..Default::default() });
    add_checksum(&mut response.headers, checksum.as_ref());
    Ok(response)
}

pub(super) fn number(number: i32) -> S3Result<u16> {
    let number = u16::try_from(number).ok().filter(|number| NUMBERS.contains(number));
    number.ok_or_else(|| s3_error!(InvalidArgument, "Part number must be an integer between 1 and 10000, inclusive"))
}

pub(super) async fn complete(
    service: &Service,
    input: CompleteMultipartUploadInput,
) -> Answer<CompleteMultipartUploadOutput> {
    let location = format!("/{}/{}", input.bucket, input.key);
    let (bucket, key) = (input.bucket.clone(), input.key.clone());
    let (etag, checksum) = service.blocking(move |store| finish(store, input)).await?;
    let mut output = CompleteMultipartUploadOutput {
        bucket: Some(bucket),
        key: Some(key),
        location: Some(location),
        e_tag: Some(etag.into()),
        checksum_type: checksum.as_ref().map(|it| kind(&it.value).to_owned().into()),
        ..Default::default()
    };
    set_checksum!(output, &checksum);
    Ok(S3Response::new(output))
}

fn finish(store: &Store, input: CompleteMultipartUploadInput) -> S3Result<(Etag, Option<Checksum>)> {
    let named = input.multipart_upload.and_then(|it| it.parts).unwrap_or_default();
    let condition =
        WriteCondition { if_match: input.if_match, if_none_match: input.if_none_match, ..WriteCondition::default() };
    let sent = [
        (Algorithm::Crc32, input.checksum_crc32),
        (Algorithm::Crc32c, input.checksum_crc32c),
        (Algorithm::Crc64Nvme, input.checksum_crc64nvme),
        (Algorithm::Sha1, input.checksum_sha1),
        (Algorithm::Sha256, input.checksum_sha256),
    ];
    let now = store.clock.now();
    let place = (input.bucket.as_str(), input.key.as_str(), input.upload_id.as_str());
    let done = store.complete_upload(place, &condition, |upload| {
        let chosen = choose(upload, &named)?;
        let object = assemble(upload, &chosen, now)?;
        let kind = if upload.start.full { ChecksumType::FULL_OBJECT } else { ChecksumType::COMPOSITE };
        if upload.start.algorithm.is_some() && input.checksum_type.as_ref().is_some_and(|it| it.as_str() != kind) {
            let message = "The upload was created with another checksum type. The complete request must use the same.";
            return Err(s3_error!(InvalidRequest, "{message}"));
        }
        if input.mpu_object_size.is_some_and(|size| u64::try_from(size) != Ok(object.size)) {
            let message = "The provided 'x-amz-mp-object-size' header does not match the size of the object";
            return Err(s3_error!(InvalidRequest, "{message}"));
        }
        for (algorithm, value) in &sent {
            let Some(value) = value else { continue };
            // Composite values may come without the number of parts.
            let known = object.checksum.as_ref().filter(|it| it.algorithm == *algorithm).map(|it| it.value.as_str());
            if known.is_none_or(|known| known.split('-').next() != value.split('-').next()) {
                let name = algorithm.name();
                return Err(s3_error!(BadDigest, "The {name} you specified did not match the calculated checksum."));
            }
        }
        Ok(object)
    });
    match done {
        // A client that did not get the answer asks again.
        Err(error) if *error.code() == S3ErrorCode::NoSuchUpload => {
            let (bucket, key, id) = place;
            store.read(|index| etag_of(&named).and_then(|etag| index.completed(bucket, key, id, etag)).ok_or(error))
        }
        other => other,
    }
}

/// The ETag of the object that these parts make.
fn etag_of(named: &[CompletedPart]) -> Option<Etag> {
    let mut md5 = Md5::new();
    for part in named {
        md5.update(hex::decode(part.e_tag.as_ref()?.value()).ok()?);
    }
    Some(Etag { md5: md5.finalize().into(), parts: u16::try_from(named.len()).ok()? })
}

/// The parts that the client names, if it names them rightly.
fn choose<'a>(upload: &'a Upload, named: &[CompletedPart]) -> S3Result<Vec<(u16, &'a Part)>> {
    if named.is_empty() {
        return Err(s3_error!(MalformedXML, "The XML you provided was not well-formed or did not validate"));
    }
    let mut chosen: Vec<(u16, &Part)> = Vec::with_capacity(named.len());
    for wanted in named {
        let missing = || {
            let message = "One or more of the specified parts could not be found. The part may not have been uploaded, \
                           or the specified entity tag may not match the part's entity tag.";
            s3_error!(InvalidPart, "{message}")
        };
        let number = number(wanted.part_number.unwrap_or(0))?;
        if chosen.last().is_some_and(|(last, _)| *last >= number) {
            return Err(s3_error!(InvalidPartOrder, "The list of parts was not in ascending order"));
        }
        let part = upload.parts.get(&number).ok_or_else(missing)?;
        if wanted.e_tag.as_ref().is_none_or(|etag| etag.value() != part.etag.to_string()) {
            return Err(missing());
        }
        let sums = s3s::dto::Checksum {
            checksum_crc32: wanted.checksum_crc32.clone(),
            checksum_crc32c: wanted.checksum_crc32c.clone(),
            checksum_crc64nvme: wanted.checksum_crc64nvme.clone(),
            checksum_sha1: wanted.checksum_sha1.clone(),
            checksum_sha256: wanted.checksum_sha256.clone(),
            checksum_type: None,
        };
        if let Some(known) = &part.checksum
            && value(&sums, known.algorithm).is_some_and(|sent| sent != known.value)
        {
            return Err(missing());
        }
        chosen.push((number, part));
    }
    let all_but_last = &chosen[..chosen.len() - 1];
    if all_but_last.iter().any(|(_, part)| part.size < SMALLEST_PART) {
        return Err(s3_error!(EntityTooSmall, "Your proposed upload is smaller than the minimum allowed object size."));
    }
    Ok(chosen)
}

fn assemble(upload: &Upload, chosen: &[(u16, &Part)], now: i64) -> S3Result<Object> {
    let mut md5 = Md5::new();
    let (mut size, mut segments) = (0_u64, Vec::with_capacity(chosen.len()));
    for (_, part) in chosen {
        md5.update(part.etag.md5);
        size = size.saturating_add(part.size);
        segments.extend_from_slice(&part.segments);
    }
    if size > LARGEST_OBJECT {
        return Err(s3_error!(EntityTooLarge, "Your proposed upload exceeds the maximum allowed object size."));
    }
    let start = &upload.start;
    Ok(Object {
        bucket: start.bucket.clone(),
        key: start.key.clone(),
        size,
        etag: Etag { md5: md5.finalize().into(), parts: u16::try_from(chosen.len()).unwrap_or(u16::MAX) },
        modified: now,
        class: start.class,
        headers: start.headers.clone(),
        checksum: start.algorithm.and_then(|algorithm| combine(algorithm, start.full, chosen)),
        segments,
        upload: None,
    })
}

/// The checksum of the whole from those of the parts: of their values one after the other, or for a CRC of the bytes.
fn combine(algorithm: Algorithm, full: bool, chosen: &[(u16, &Part)]) -> Option<Checksum> {
    let mut parts = Vec::with_capacity(chosen.len());
    for (_, part) in chosen {
        let known = part.checksum.as_ref().filter(|it| it.algorithm == algorithm)?;
        parts.push((BASE64_STANDARD.decode(&known.value).ok()?, part.size));
    }
    if full {
        return join(algorithm, &parts).map(|value| Checksum { algorithm, value });
    }
    let mut hasher = ChecksumHasher::default();
    enable(&mut hasher, algorithm);
    for (value, _) in &parts {
        hasher.update(value);
    }
    let sums = hasher.finalize();
    let value = format!("{}-{}", value(&sums, algorithm)?, parts.len());
    Some(Checksum { algorithm, value })
}

/// The CRC of the parts' bytes together, from the CRC and the length of each.
fn join(algorithm: Algorithm, parts: &[(Vec<u8>, u64)]) -> Option<String> {
    let kind = match algorithm {
        Algorithm::Crc32 => CrcAlgorithm::Crc32IsoHdlc,
        Algorithm::Crc32c => CrcAlgorithm::Crc32Iscsi,
        Algorithm::Crc64Nvme => CrcAlgorithm::Crc64Nvme,
        Algorithm::Sha1 | Algorithm::Sha256 => return None,
    };
    let number = |bytes: &[u8]| bytes.iter().fold(0, |sum, byte| sum << 8 | u64::from(*byte));
    let mut parts = parts.iter();
    let (first, _) = parts.next()?;
    let sum = parts.fold(number(first), |sum, (next, length)| checksum_combine(kind, sum, number(next), *length));
    Some(BASE64_STANDARD.encode(&sum.to_be_bytes()[8 - first.len()..]))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_crc_of_parts_is_that_of_the_whole() {
        let (one, two, three) = (vec![1; 100], b"two".to_vec(), vec![0; 5000]);
        for algorithm in [Algorithm::Crc32, Algorithm::Crc32c, Algorithm::Crc64Nvme] {
            let sum = |bytes: &[u8]| {
                let mut hasher = ChecksumHasher::default();
                enable(&mut hasher, algorithm);
                hasher.update(bytes);
                value(&hasher.finalize(), algorithm).unwrap().to_owned()
            };
            let parts: Vec<(Vec<u8>, u64)> = [&one, &two, &three]
                .map(|bytes| (BASE64_STANDARD.decode(sum(bytes)).unwrap(), bytes.len() as u64))
                .to_vec();
            assert_eq!(join(algorithm, &parts), Some(sum(&[one.clone(), two.clone(), three.clone()].concat())));
        }
    }
}
