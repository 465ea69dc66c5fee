//! Preservation buckets: which storage option keeps its copies where, and how URLs and keys belong together. The names of
//! buckets and hosts come from the settings; the rest of the table is fixed.

use crate::{Provider, StorageClass, StorageOption};

/// A row of the table: one copy that a storage option keeps.
#[derive(Debug)]
pub struct Row {
    pub option: StorageOption,
    /// The setting that names the bucket.
    pub bucket_setting: &'static str,
    pub provider: Provider,
    /// The setting that names the host.
    pub host_setting: &'static str,
    pub region: &'static str,
    /// Where to restore from: the lowest first.
    pub restore_priority: u8,
    /// A description, never sent to S3: lifecycle rules move objects to Glacier.
    pub class: StorageClass,
}

/// All preservation buckets. The order matters: the first copy of `Standard` is the primary one.
#[rustfmt::skip]
pub static TABLE: [Row; 11] = {
    use Provider::{Aws, WasabiOr, WasabiTx, WasabiVa};
    use StorageClass as Class;
    use StorageOption as Option;
    const AWS: &str = "S3_AWS_HOST";
    [
        Row { option: Option::Standard, bucket_setting: "BUCKET_STANDARD_VA", provider: Aws, host_setting: AWS, region: "us-east-1", restore_priority: 1, class: Class::Standard },
        Row { option: Option::Standard, bucket_setting: "BUCKET_STANDARD_OR", provider: Aws, host_setting: AWS, region: "us-west-2", restore_priority: 5, class: Class::Glacier },
        Row { option: Option::GlacierOh, bucket_setting: "BUCKET_GLACIER_OH", provider: Aws, host_setting: AWS, region: "us-east-2", restore_priority: 7, class: Class::Glacier },
        Row { option: Option::GlacierOr, bucket_setting: "BUCKET_GLACIER_OR", provider: Aws, host_setting: AWS, region: "us-west-2", restore_priority: 8, class: Class::Glacier },
        Row { option: Option::GlacierVa, bucket_setting: "BUCKET_GLACIER_VA", provider: Aws, host_setting: AWS, region: "us-east-1", restore_priority: 6, class: Class::Glacier },
        Row { option: Option::GlacierDeepOh, bucket_setting: "BUCKET_GLACIER_DEEP_OH", provider: Aws, host_setting: AWS, region: "us-east-2", restore_priority: 10, class: Class::GlacierDeepArchive },
        Row { option: Option::GlacierDeepOr, bucket_setting: "BUCKET_GLACIER_DEEP_OR", provider: Aws, host_setting: AWS, region: "us-west-2", restore_priority: 11, class: Class::GlacierDeepArchive },
        Row { option: Option::GlacierDeepVa, bucket_setting: "BUCKET_GLACIER_DEEP_VA", provider: Aws, host_setting: AWS, region: "us-east-1", restore_priority: 9, class: Class::GlacierDeepArchive },
        Row { option: Option::WasabiOr, bucket_setting: "BUCKET_WASABI_OR", provider: WasabiOr, host_setting: "S3_NEWSTORAGEOPTION_HOST_OR", region: "us-west-1", restore_priority: 3, class: Class::Wasabi },
        Row { option: Option::WasabiTx, bucket_setting: "BUCKET_WASABI_TX", provider: WasabiTx, host_setting: "S3_NEWSTORAGEOPTION_HOST_TX", region: "us-central-1", restore_priority: 4, class: Class::Wasabi },
        Row { option: Option::WasabiVa, bucket_setting: "BUCKET_WASABI_VA", provider: WasabiVa, host_setting: "S3_NEWSTORAGEOPTION_HOST_VA", region: "us-east-1", restore_priority: 2, class: Class::Wasabi },
    ]
};

/// A preservation bucket of this installation.
#[derive(Debug, Clone)]
pub struct PreservationBucket {
    row: &'static Row,
    name: String,
    host: String,
}

/// The preservation buckets of this installation, in the order of the table.
#[derive(Debug, Clone)]
pub struct PreservationBuckets(Vec<PreservationBucket>);

/// A URL names no copy of ours. The texts reach WorkItems.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum UrlError {
    #[error("Cannot determine provider for URL {0}")]
    Unknown(String),
    #[error("URL {0} is missing key")]
    NoKey(String),
}

impl PreservationBuckets {
    /// With the values of the settings that [`TABLE`] names. The first one that cannot be had is the error.
    pub fn new<E>(mut setting: impl FnMut(&'static str) -> Result<String, E>) -> Result<Self, E> {
        let bucket = |row: &'static Row| {
            Ok(PreservationBucket { row, name: setting(row.bucket_setting)?, host: setting(row.host_setting)? })
        };
        TABLE.iter().map(bucket).collect::<Result<_, E>>().map(Self)
    }

    /// All of them.
    pub fn iter(&self) -> impl Iterator<Item = &PreservationBucket> {
        self.0.iter()
    }

    /// Where an option keeps its copies. None at all is an error of the caller's: such an object would be kept nowhere.
    pub fn of(&self, option: &StorageOption) -> Vec<&PreservationBucket> {
        self.iter().filter(|bucket| bucket.row.option == *option).collect()
    }

    /// The bucket and the key in it that a URL names. Where several buckets could be meant, the last of the table is.
    pub fn locate<'a, 'u>(&'a self, url: &'u str) -> Result<(&'a PreservationBucket, &'u str), UrlError> {
        let hosts = self.iter().filter_map(|bucket| Some((bucket, bucket.key_of(url)?)));
        match hosts.last() {
            None => Err(UrlError::Unknown(url.into())),
            Some((_, "")) => Err(UrlError::NoKey(url.into())),
            Some(found) => Ok(found),
        }
    }

    /// The bucket that a Glacier request for this URL goes to: the first whose name is a segment of it.
    pub fn in_path(&self, url: &str) -> Option<&PreservationBucket> {
        self.iter().find(|bucket| url.contains(&format!("/{}/", bucket.name)))
    }

    /// Of these copies the one that is best restored from, with its bucket; copies that no bucket hosts do not count.
    pub fn best_copy<'u>(&self, urls: impl IntoIterator<Item = &'u str>) -> Option<(&PreservationBucket, &'u str)> {
        let hosted = urls.into_iter().flat_map(|url| {
            self.iter().filter(move |bucket| bucket.key_of(url).is_some()).map(move |bucket| (bucket, url))
        });
        hosted.min_by_key(|(bucket, _)| bucket.row.restore_priority)
    }
}

impl PreservationBucket {
    /// What is fixed about it.
    pub fn row(&self) -> &'static Row {
        self.row
    }

    /// Its name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The host as the settings have it.
    pub fn host(&self) -> &str {
        &self.host
    }

    /// The host as it stands in the URLs of copies: `s3.amazonaws.com` becomes `s3.us-east-1.amazonaws.com`. One that names
    /// a region already stays.
    pub fn host_with_region(&self) -> String {
        let host = self.host.to_lowercase();
        if names_region(&host) {
            return host;
        }
        format!("s3.{}.{}", self.row.region, host.strip_prefix("s3.").unwrap_or(&host))
    }

    /// The URL of a copy. Always https, whatever it was sent through.
    pub fn url(&self, key: &str) -> String {
        format!("https://{}/{}/{key}", self.host_with_region(), self.name)
    }

    /// The key that a URL names, if this bucket hosts it: with the region in the host, or without, as in old records.
    pub fn key_of<'u>(&self, url: &'u str) -> Option<&'u str> {
        let key = |host: &str| url.strip_prefix("https://")?.strip_prefix(host)?.strip_prefix('/');
        let path = key(&self.host_with_region()).or_else(|| key(&self.host))?;
        path.strip_prefix(self.name.as_str())?.strip_prefix('/')
    }

    /// Whether the copy can be made by the server, from the staging bucket in the same region.
    pub fn is_near_staging(&self) -> bool {
        self.row.provider == Provider::Aws && self.row.region == "us-east-1"
    }
}

/// `s3.us-west-1.…`: two word characters, a word, a digit.
fn names_region(host: &str) -> bool {
    let Some((region, _)) = host.strip_prefix("s3.").and_then(|rest| rest.split_once('.')) else { return false };
    let word = |text: &str| text.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_');
    let parts: Vec<&str> = region.split('-').collect();
    let [country, place, digit] = parts[..] else { return false };
    word(country)
        && country.len() == 2
        && word(place)
        && !place.is_empty()
        && digit.len() == 1
        && digit.bytes().all(|b| b.is_ascii_digit())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn with_hosts(aws: &str, wasabi: &str) -> PreservationBuckets {
        let setting = |name: &'static str| -> Result<String, std::convert::Infallible> {
            Ok(match name {
                "S3_AWS_HOST" => aws.into(),
                name if name.starts_with("S3_") => wasabi.into(),
                name => name
                    .trim_start_matches("BUCKET_")
                    .replace("STANDARD", "preservation")
                    .replace('_', "-")
                    .to_lowercase(),
            })
        };
        PreservationBuckets::new(setting).unwrap()
    }

    fn local() -> PreservationBuckets {
        with_hosts("localhost:9899", "localhost:9899")
    }

    #[test]
    fn each_option_has_its_buckets_and_priorities_are_unique() {
        let buckets = local();
        let names = |option: &StorageOption| -> Vec<String> {
            buckets.of(option).iter().map(|bucket| bucket.name().to_owned()).collect()
        };
        assert_eq!(names(&StorageOption::Standard), ["preservation-va", "preservation-or"]);
        assert_eq!(names(&StorageOption::WasabiVa), ["wasabi-va"]);
        assert!(StorageOption::KNOWN.iter().all(|option| !names(option).is_empty()));
        assert!(names(&"Attic".into()).is_empty());
        let mut priorities: Vec<u8> = TABLE.iter().map(|row| row.restore_priority).collect();
        priorities.sort_unstable();
        assert_eq!(priorities, (1..=11).collect::<Vec<u8>>());
        let near: Vec<&str> = buckets.iter().filter(|b| b.is_near_staging()).map(PreservationBucket::name).collect();
        assert_eq!(near, ["preservation-va", "glacier-va", "glacier-deep-va"]);
    }

    #[test]
    fn a_missing_setting_is_named() {
        let error =
            PreservationBuckets::new(|name| if name == "BUCKET_GLACIER_OR" { Err(name) } else { Ok(String::new()) });
        assert_eq!(error.unwrap_err(), "BUCKET_GLACIER_OR");
    }

    #[test]
    fn the_region_is_in_the_host_once() {
        for (host, row, expected) in [
            ("s3.amazonaws.com", 0, "s3.us-east-1.amazonaws.com"),
            ("S3.AmazonAWS.com", 0, "s3.us-east-1.amazonaws.com"),
            ("amazonaws.com", 1, "s3.us-west-2.amazonaws.com"),
            ("s3.us-west-1.amazonaws.com", 0, "s3.us-west-1.amazonaws.com"),
            ("s3.us-west-1.wasabisys.com", 8, "s3.us-west-1.wasabisys.com"),
            ("wasabisys.com", 9, "s3.us-central-1.wasabisys.com"),
            ("localhost:9899", 0, "s3.us-east-1.localhost:9899"),
            ("s3.usa-west-1.x.com", 0, "s3.us-east-1.usa-west-1.x.com"),
            ("s3.us-west-12.x.com", 0, "s3.us-east-1.us-west-12.x.com"),
            ("s3.us-gov-west-1.x.com", 0, "s3.us-east-1.us-gov-west-1.x.com"),
        ] {
            let bucket = PreservationBucket { row: &TABLE[row], name: "b".into(), host: host.into() };
            assert_eq!(bucket.host_with_region(), expected);
            assert_eq!(bucket.url("k"), format!("https://{expected}/b/k"));
            assert_eq!(bucket.key_of(&bucket.url("k")), Some("k"));
        }
    }

    #[test]
    fn urls_lead_to_buckets_and_keys() {
        let buckets = local();
        for (url, name, key) in [
            ("https://s3.us-west-1.localhost:9899/wasabi-or/1234", "wasabi-or", "1234"),
            (
                "https://s3.us-east-1.localhost:9899/glacier-deep-va/nested/key/5678",
                "glacier-deep-va",
                "nested/key/5678",
            ),
            (
                "https://s3.us-east-1.localhost:9899/preservation-va/nested/key/5678",
                "preservation-va",
                "nested/key/5678",
            ),
            ("https://localhost:9899/preservation-or/1", "preservation-or", "1"),
        ] {
            let (bucket, found) = buckets.locate(url).unwrap();
            assert_eq!((bucket.name(), found), (name, key));
        }
        let unknown = |url: &str| assert_eq!(buckets.locate(url).unwrap_err(), UrlError::Unknown(url.into()));
        unknown("https://localhost:9899/");
        unknown("https://s3.us-east-2.localhost:9899/preservation-va/1");
        unknown("http://localhost:9899/preservation-va/1");
        unknown("https://localhost:9899/preservation-vax/1");
        unknown("https://example.com/preservation-va/1");
        unknown("");
        let error = buckets.locate("https://localhost:9899/wasabi-or/").unwrap_err();
        assert_eq!(error.to_string(), "URL https://localhost:9899/wasabi-or/ is missing key");
    }

    #[test]
    fn a_glacier_request_goes_by_the_buckets_name_alone() {
        let buckets = local();
        let found = buckets.in_path("https://example.com/glacier-deep-oh/1").map(PreservationBucket::name);
        assert_eq!(found, Some("glacier-deep-oh"));
        assert!(buckets.in_path("https://example.com/attic/1").is_none());
    }

    #[test]
    fn the_best_copy_has_the_lowest_priority() {
        let buckets = with_hosts("s3.amazonaws.com", "wasabisys.com");
        let (standard_or, glacier) =
            ("https://s3.us-west-2.amazonaws.com/preservation-or/U", "https://s3.amazonaws.com/glacier-oh/U");
        let standard_va = "https://s3.amazonaws.com/preservation-va/U";
        let best = |urls: &[&'static str]| {
            buckets.best_copy(urls.iter().copied()).map(|(bucket, url)| (bucket.name().to_owned(), url))
        };
        assert_eq!(best(&[standard_or, standard_va]), Some(("preservation-va".into(), standard_va)));
        assert_eq!(best(&[glacier, standard_or]), Some(("preservation-or".into(), standard_or)));
        assert_eq!(best(&["https://elsewhere.org/x/U"]), None);
        assert_eq!(best(&[]), None);
    }
}
