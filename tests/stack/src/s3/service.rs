//! The operations of S3 as s3s hands them over, each one line: where it is done. What is missing here answers NotImplemented.

mod copies;
mod lists;
mod multipart;
mod objects;

use std::sync::Arc;

use async_trait::async_trait;
use hyper::HeaderMap;
use hyper::header::HeaderValue;
use s3s::dto::{
    AbortMultipartUploadInput, AbortMultipartUploadOutput, ChecksumType, CompleteMultipartUploadInput,
    CompleteMultipartUploadOutput, CopyObjectInput, CopyObjectOutput, CreateBucketInput, CreateBucketOutput,
    CreateMultipartUploadInput, CreateMultipartUploadOutput, DeleteBucketInput, DeleteBucketOutput, DeleteObjectInput,
    DeleteObjectOutput, DeleteObjectsInput, DeleteObjectsOutput, GetBucketLocationInput, GetBucketLocationOutput,
    GetBucketVersioningInput, GetBucketVersioningOutput, GetObjectInput, GetObjectOutput, HeadBucketInput,
    HeadBucketOutput, HeadObjectInput, HeadObjectOutput, ListBucketsInput, ListBucketsOutput,
    ListMultipartUploadsInput, ListMultipartUploadsOutput, ListObjectVersionsInput, ListObjectVersionsOutput,
    ListObjectsInput, ListObjectsOutput, ListObjectsV2Input, ListObjectsV2Output, ListPartsInput, ListPartsOutput,
    PostObjectInput, PostObjectOutput, PutObjectInput, PutObjectOutput, RestoreObjectInput, RestoreObjectOutput,
    UploadPartCopyInput, UploadPartCopyOutput, UploadPartInput, UploadPartOutput,
};
use s3s::{S3, S3Error, S3Request, S3Response, S3Result, s3_error};
use tokio::task::spawn_blocking;

use super::model::{Algorithm, timestamp};
use super::store::Store;

/// Whom everything belongs to.
const OWNER: &str = "preserv";

/// The region of buckets that were created without one.
pub(crate) const REGION: &str = "us-east-1";

#[derive(Clone, Debug)]
pub(crate) struct Service(pub(crate) Arc<Store>);

/// Sets the field of a checksum in one of the many types that have them all.
macro_rules! set_checksum {
    ($target:expr, $checksum:expr) => {
        if let Some(checksum) = $checksum {
            let value = Some(checksum.value.clone());
            match checksum.algorithm {
                $crate::s3::model::Algorithm::Crc32 => $target.checksum_crc32 = value,
                $crate::s3::model::Algorithm::Crc32c => $target.checksum_crc32c = value,
                $crate::s3::model::Algorithm::Crc64Nvme => $target.checksum_crc64nvme = value,
                $crate::s3::model::Algorithm::Sha1 => $target.checksum_sha1 = value,
                $crate::s3::model::Algorithm::Sha256 => $target.checksum_sha256 = value,
            }
        }
    };
}
pub(crate) use set_checksum;

type Answer<T> = S3Result<S3Response<T>>;

#[async_trait]
impl S3 for Service {
    async fn list_buckets(&self, request: S3Request<ListBucketsInput>) -> Answer<ListBucketsOutput> {
        lists::buckets(&self.0, &request.input)
    }

    async fn create_bucket(&self, request: S3Request<CreateBucketInput>) -> Answer<CreateBucketOutput> {
        let CreateBucketInput { bucket, create_bucket_configuration, .. } = request.input;
        let region = create_bucket_configuration.and_then(|it| it.location_constraint);
        let location = format!("/{bucket}");
        let region = region.map_or_else(|| REGION.to_owned(), |it| it.as_str().to_owned());
        self.blocking(move |store| store.create_bucket(&bucket, &region)).await?;
        Ok(S3Response::new(CreateBucketOutput { location: Some(location) }))
    }

    async fn delete_bucket(&self, request: S3Request<DeleteBucketInput>) -> Answer<DeleteBucketOutput> {
        self.blocking(move |store| store.delete_bucket(&request.input.bucket)).await?;
        Ok(S3Response::new(DeleteBucketOutput::default()))
    }

    async fn head_bucket(&self, request: S3Request<HeadBucketInput>) -> Answer<HeadBucketOutput> {
        let region = self.0.read(|index| Ok(index.bucket(&request.input.bucket)?.region.clone()))?;
        Ok(S3Response::new(HeadBucketOutput { bucket_region: Some(region), ..Default::default() }))
    }

    async fn get_bucket_location(&self, request: S3Request<GetBucketLocationInput>) -> Answer<GetBucketLocationOutput> {
        let region = self.0.read(|index| Ok(index.bucket(&request.input.bucket)?.region.clone()))?;
        // S3 leaves its first region unnamed.
        let location_constraint = (region != REGION).then(|| region.into());
        Ok(S3Response::new(GetBucketLocationOutput { location_constraint }))
    }

    async fn get_bucket_versioning(
        &self,
        request: S3Request<GetBucketVersioningInput>,
    ) -> Answer<GetBucketVersioningOutput> {
        self.0.read(|index| index.bucket(&request.input.bucket).map(|_| ()))?;
        Ok(S3Response::new(GetBucketVersioningOutput::default()))
    }

    async fn list_objects(&self, request: S3Request<ListObjectsInput>) -> Answer<ListObjectsOutput> {
        lists::objects(&self.0, request.input)
    }

    async fn list_objects_v2(&self, request: S3Request<ListObjectsV2Input>) -> Answer<ListObjectsV2Output> {
        lists::objects_v2(&self.0, request.input)
    }

    async fn list_object_versions(
        &self,
        request: S3Request<ListObjectVersionsInput>,
    ) -> Answer<ListObjectVersionsOutput> {
        lists::versions(&self.0, request.input)
    }

    async fn list_parts(&self, request: S3Request<ListPartsInput>) -> Answer<ListPartsOutput> {
        lists::parts(&self.0, &request.input)
    }

    async fn list_multipart_uploads(
        &self,
        request: S3Request<ListMultipartUploadsInput>,
    ) -> Answer<ListMultipartUploadsOutput> {
        lists::uploads(&self.0, request.input)
    }

    async fn put_object(&self, request: S3Request<PutObjectInput>) -> Answer<PutObjectOutput> {
        objects::put(self, request).await
    }

    async fn get_object(&self, request: S3Request<GetObjectInput>) -> Answer<GetObjectOutput> {
        objects::get(self, request).await
    }

    async fn head_object(&self, request: S3Request<HeadObjectInput>) -> Answer<HeadObjectOutput> {
        objects::head(self, request).await
    }

    async fn delete_object(&self, request: S3Request<DeleteObjectInput>) -> Answer<DeleteObjectOutput> {
        objects::delete(self, request.input).await
    }

    async fn delete_objects(&self, request: S3Request<DeleteObjectsInput>) -> Answer<DeleteObjectsOutput> {
        objects::delete_many(self, request.input).await
    }

    async fn restore_object(&self, request: S3Request<RestoreObjectInput>) -> Answer<RestoreObjectOutput> {
        objects::restore(self, request.input).await
    }

    async fn copy_object(&self, request: S3Request<CopyObjectInput>) -> Answer<CopyObjectOutput> {
        copies::object(self, request).await
    }

    async fn upload_part_copy(&self, request: S3Request<UploadPartCopyInput>) -> Answer<UploadPartCopyOutput> {
        copies::part(self, request).await
    }

    async fn create_multipart_upload(
        &self,
        request: S3Request<CreateMultipartUploadInput>,
    ) -> Answer<CreateMultipartUploadOutput> {
        multipart::create(self, request).await
    }

    async fn upload_part(&self, request: S3Request<UploadPartInput>) -> Answer<UploadPartOutput> {
        multipart::part(self, request).await
    }

    async fn complete_multipart_upload(
        &self,
        request: S3Request<CompleteMultipartUploadInput>,
    ) -> Answer<CompleteMultipartUploadOutput> {
        multipart::complete(self, request.input).await
    }

    async fn abort_multipart_upload(
        &self,
        request: S3Request<AbortMultipartUploadInput>,
    ) -> Answer<AbortMultipartUploadOutput> {
        let AbortMultipartUploadInput { bucket, key, upload_id, if_match_initiated_time: started, .. } = request.input;
        self.blocking(move |store| store.abort_upload(&bucket, &key, &upload_id, started.as_ref())).await?;
        Ok(S3Response::new(AbortMultipartUploadOutput::default()))
    }

    /// Forms of browsers. The default of s3s would take them for PutObject.
    async fn post_object(&self, _: S3Request<PostObjectInput>) -> Answer<PostObjectOutput> {
        Err(s3_error!(NotImplemented, "Uploads by form are not implemented"))
    }
}

impl Service {
    /// Does what may wait for the disk.
    async fn blocking<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Store) -> S3Result<T> + Send + 'static,
    ) -> S3Result<T> {
        let store = self.0.clone();
        spawn_blocking(move || work(&store)).await.map_err(S3Error::internal_error)?
    }
}

/// Headers that ask for what this server does not do. Silence about them would be believed.
fn refuse_unsupported(headers: &HeaderMap) -> S3Result<()> {
    const UNSUPPORTED: [&str; 6] = [
        "x-amz-object-lock-",
        "x-amz-server-side-encryption-aws-kms",
        "x-amz-server-side-encryption-customer",
        "x-amz-tagging",
        "x-amz-website-redirect",
        "x-amz-write-offset",
    ];
    match headers.keys().find(|name| UNSUPPORTED.iter().any(|prefix| name.as_str().starts_with(prefix))) {
        Some(name) => Err(s3_error!(NotImplemented, "The header {name} implies functionality that is not implemented")),
        None => Ok(()),
    }
}

/// The version of an object in a bucket that never had versions.
const NULL: &str = "null";

fn refuse_version(version: Option<&str>) -> S3Result<()> {
    match version {
        None | Some(NULL) => Ok(()),
        Some(_) => Err(s3_error!(InvalidArgument, "Invalid version id specified")),
    }
}

fn add_checksum(headers: &mut HeaderMap, checksum: Option<&super::model::Checksum>) {
    let Some(checksum) = checksum else { return };
    let Ok(value) = HeaderValue::from_str(&checksum.value) else { return };
    headers.insert(checksum.algorithm.header(), value);
    headers.insert("x-amz-checksum-type", HeaderValue::from_static(kind(&checksum.value)));
}

/// S3's name for what a checksum is over.
fn kind(value: &str) -> &'static str {
    if value.contains('-') { ChecksumType::COMPOSITE } else { ChecksumType::FULL_OBJECT }
}
