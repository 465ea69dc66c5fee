//! The names of the settings of S3. What a value must look like is decided where it is read, in `settings.rs`.

use worker::settings::names::Spellings;

/// S3 for receiving, staging and restoration buckets and for the buckets in AWS, `host` or `host:port`.
pub const S3_AWS_HOST: &str = "S3_AWS_HOST";
/// Access key of that S3; unset together with the secret, the task's role is used. Secret.
pub const S3_AWS_KEY: &str = "S3_AWS_KEY";
/// Secret key of that S3. Secret.
pub const S3_AWS_SECRET: &str = "S3_AWS_SECRET";

/// Wasabi's S3 host of each region, in both spellings that are in use.
pub const S3_WASABI_HOST_OR: Spellings = Spellings("S3_WASABI_HOST_OR", "S3_NEWSTORAGEOPTION_HOST_OR");
pub const S3_WASABI_HOST_TX: Spellings = Spellings("S3_WASABI_HOST_TX", "S3_NEWSTORAGEOPTION_HOST_TX");
pub const S3_WASABI_HOST_VA: Spellings = Spellings("S3_WASABI_HOST_VA", "S3_NEWSTORAGEOPTION_HOST_VA");
/// Wasabi's access key, for all regions. Secret.
pub const S3_WASABI_KEY: Spellings = Spellings("S3_WASABI_KEY", "S3_NEWSTORAGEOPTION_KEY");
/// Wasabi's secret key, for all regions. Secret.
pub const S3_WASABI_SECRET: Spellings = Spellings("S3_WASABI_SECRET", "S3_NEWSTORAGEOPTION_SECRET");

/// Where files wait between receiving and preservation. The name must contain `staging`.
pub const STAGING_BUCKET: &str = "STAGING_BUCKET";

/// The preservation buckets, by storage option and region: Ohio, Oregon, Texas, Virginia.
pub const BUCKET_STANDARD_OR: &str = "BUCKET_STANDARD_OR";
pub const BUCKET_STANDARD_VA: &str = "BUCKET_STANDARD_VA";
pub const BUCKET_GLACIER_OH: &str = "BUCKET_GLACIER_OH";
pub const BUCKET_GLACIER_OR: &str = "BUCKET_GLACIER_OR";
pub const BUCKET_GLACIER_VA: &str = "BUCKET_GLACIER_VA";
pub const BUCKET_GLACIER_DEEP_OH: &str = "BUCKET_GLACIER_DEEP_OH";
pub const BUCKET_GLACIER_DEEP_OR: &str = "BUCKET_GLACIER_DEEP_OR";
pub const BUCKET_GLACIER_DEEP_VA: &str = "BUCKET_GLACIER_DEEP_VA";
pub const BUCKET_WASABI_OR: Spellings = Spellings("BUCKET_WASABI_OR", "BUCKET_NEWSTORAGEOPTION_OR");
pub const BUCKET_WASABI_TX: Spellings = Spellings("BUCKET_WASABI_TX", "BUCKET_NEWSTORAGEOPTION_TX");
pub const BUCKET_WASABI_VA: Spellings = Spellings("BUCKET_WASABI_VA", "BUCKET_NEWSTORAGEOPTION_VA");
