//! Preservation buckets: which storage option keeps its copies where, by which settings they are named, and how URLs and keys
//! belong together. The one table of it (specification 01 §6.4): settings, clients and stages iterate it.

use crate::{Provider, StorageClass, StorageOption};

/// A row of the table: one copy that a storage option keeps.
#[derive(Debug)]
pub struct Row {
    pub option: StorageOption,
    /// The setting that names the bucket.
    pub bucket: Setting,
    pub site: &'static Site,
    pub region: &'static str,
    /// Where to restore from: the lowest first.
    pub restore_priority: u8,
    /// A description, never sent to S3: lifecycle rules move objects to Glacier.
    pub class: StorageClass,
    /// The bucket's name in production: an example for who has to set it.
    pub production: &'static str,
}

/// A host with its credentials, on which some of the buckets are.
#[derive(Debug)]
pub struct Site {
    pub provider: Provider,
    /// The setting that names the host; with a port, if it has one.
    pub host: Setting,
    /// The settings of the access key and its secret: both or neither.
    pub key: Setting,
    pub secret: Setting,
    /// The host in production: an example for who has to set it.
    pub production: &'static str,
}

/// The name of a setting: the documentation's, and the one that the templates in use supply, where they differ (ruling H.49).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Setting {
    pub name: &'static str,
    pub other: Option<&'static str>,
}

const fn one(name: &'static str) -> Setting {
    Setting { name, other: None }
}

const fn both(name: &'static str, other: &'static str) -> Setting {
    Setting { name, other: Some(other) }
}

/// Amazon, which also has the receiving, staging and restoration buckets.
pub static AWS: Site = Site {
    provider: Provider::Aws,
    host: one("S3_AWS_HOST"),
    key: one("S3_AWS_KEY"),
    secret: one("S3_AWS_SECRET"),
    production: "s3.amazonaws.com",
};
pub static WASABI_OR: Site = Site {
    provider: Provider::WasabiOr,
    host: both("S3_WASABI_HOST_OR", "S3_NEWSTORAGEOPTION_HOST_OR"),
    key: WASABI_KEY,
    secret: WASABI_SECRET,
    production: "s3.us-west-1.wasabisys.com",
};
pub static WASABI_TX: Site = Site {
    provider: Provider::WasabiTx,
    host: both("S3_WASABI_HOST_TX", "S3_NEWSTORAGEOPTION_HOST_TX"),
    key: WASABI_KEY,
    secret: WASABI_SECRET,
    production: "s3.us-central-1.wasabisys.com",
};
pub static WASABI_VA: Site = Site {
    provider: Provider::WasabiVa,
    host: both("S3_WASABI_HOST_VA", "S3_NEWSTORAGEOPTION_HOST_VA"),
    key: WASABI_KEY,
    secret: WASABI_SECRET,
    production: "s3.us-east-1.wasabisys.com",
};

/// Wasabi's regions share their credentials.
const WASABI_KEY: Setting = both("S3_WASABI_KEY", "S3_NEWSTORAGEOPTION_KEY");
const WASABI_SECRET: Setting = both("S3_WASABI_SECRET", "S3_NEWSTORAGEOPTION_SECRET");

/// All hosts, each once.
pub static SITES: [&Site; 4] = [&AWS, &WASABI_OR, &WASABI_TX, &WASABI_VA];

/// All preservation buckets. The order matters: the first copy of `Standard` is the primary one.
#[rustfmt::skip]
pub static TABLE: [Row; 11] = {
    use StorageClass as Class;
    use StorageOption as Option;
    [
        Row { option: Option::Standard, bucket: one("BUCKET_STANDARD_VA"), site: &AWS, region: "us-east-1", restore_priority: 1, class: Class::Standard, production: "aptrust.preservation.storage" },
        Row { option: Option::Standard, bucket: one("BUCKET_STANDARD_OR"), site: &AWS, region: "us-west-2", restore_priority: 5, class: Class::Glacier, production: "aptrust.preservation.oregon" },
        Row { option: Option::GlacierOh, bucket: one("BUCKET_GLACIER_OH"), site: &AWS, region: "us-east-2", restore_priority: 7, class: Class::Glacier, production: "aptrust.preservation.glacier.oh" },
        Row { option: Option::GlacierOr, bucket: one("BUCKET_GLACIER_OR"), site: &AWS, region: "us-west-2", restore_priority: 8, class: Class::Glacier, production: "aptrust.preservation.glacier.or" },
        Row { option: Option::GlacierVa, bucket: one("BUCKET_GLACIER_VA"), site: &AWS, region: "us-east-1", restore_priority: 6, class: Class::Glacier, production: "aptrust.preservation.glacier.va" },
        Row { option: Option::GlacierDeepOh, bucket: one("BUCKET_GLACIER_DEEP_OH"), site: &AWS, region: "us-east-2", restore_priority: 10, class: Class::GlacierDeepArchive, production: "aptrust.preservation.glacier-deep.oh" },
        Row { option: Option::GlacierDeepOr, bucket: one("BUCKET_GLACIER_DEEP_OR"), site: &AWS, region: "us-west-2", restore_priority: 11, class: Class::GlacierDeepArchive, production: "aptrust.preservation.glacier-deep.or" },
        Row { option: Option::GlacierDeepVa, bucket: one("BUCKET_GLACIER_DEEP_VA"), site: &AWS, region: "us-east-1", restore_priority: 9, class: Class::GlacierDeepArchive, production: "aptrust.preservation.glacier-deep.va" },
        Row { option: Option::WasabiOr, bucket: both("BUCKET_WASABI_OR", "BUCKET_NEWSTORAGEOPTION_OR"), site: &WASABI_OR, region: "us-west-1", restore_priority: 3, class: Class::Wasabi, production: "aptrust-production-wasabi-or" },
        Row { option: Option::WasabiTx, bucket: both("BUCKET_WASABI_TX", "BUCKET_NEWSTORAGEOPTION_TX"), site: &WASABI_TX, region: "us-central-1", restore_priority: 4, class: Class::Wasabi, production: "aptrust-production-wasabi-tx" },
        Row { option: Option::WasabiVa, bucket: both("BUCKET_WASABI_VA", "BUCKET_NEWSTORAGEOPTION_VA"), site: &WASABI_VA, region: "us-east-1", restore_priority: 2, class: Class::Wasabi, production: "aptrust-production-wasabi-va" },
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

impl FromIterator<PreservationBucket> for PreservationBuckets {
    fn from_iter<I: IntoIterator<Item = PreservationBucket>>(buckets: I) -> Self {
        Self(buckets.into_iter().collect())
    }
}

impl PreservationBucket {
    /// With what the settings say of it: its name, and the host of its site.
    pub fn new(row: &'static Row, name: impl Into<String>, host: impl Into<String>) -> Self {
        Self { row, name: name.into(), host: host.into() }
    }

    /// As in production.
    pub fn in_production(row: &'static Row) -> Self {
        Self::new(row, row.production, row.site.production)
    }

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
        self.row.site.provider == Provider::Aws && self.row.region == "us-east-1"
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
        let bucket = |row: &'static Row| {
            let name = row.bucket.name.trim_start_matches("BUCKET_").replace("STANDARD", "preservation");
            let host = if row.site.provider == Provider::Aws { aws } else { wasabi };
            PreservationBucket::new(row, name.replace('_', "-").to_lowercase(), host)
        };
        TABLE.iter().map(bucket).collect()
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
    fn every_bucket_and_host_has_settings_of_its_own() {
        let all = TABLE.iter().map(|row| row.bucket).chain(SITES.iter().map(|site| site.host));
        let mut names: Vec<&str> = all.flat_map(|setting| [Some(setting.name), setting.other]).flatten().collect();
        let count = names.len();
        names.sort_unstable();
        names.dedup();
        assert_eq!((names.len(), count), (11 + 4 + 3 + 3, count));
        for row in &TABLE {
            assert!(SITES.iter().any(|site| std::ptr::eq(*site, row.site)), "{}", row.bucket.name);
            // A new spelling says what the old one says.
            if let Some(other) = row.bucket.other {
                assert_eq!(other.replace("NEWSTORAGEOPTION", "WASABI"), row.bucket.name);
            }
        }
    }

    #[test]
    fn production_is_where_its_urls_say() {
        let buckets: PreservationBuckets = TABLE.iter().map(PreservationBucket::in_production).collect();
        for bucket in buckets.iter() {
            let (found, key) =
                buckets.locate(&bucket.url("1234")).map(|(found, key)| (found.name(), key.to_owned())).unwrap();
            assert_eq!((found, key.as_str()), (bucket.name(), "1234"));
            assert!(bucket.host_with_region().contains(bucket.row().region), "{}", bucket.host_with_region());
        }
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
            let bucket = PreservationBucket::new(&TABLE[row], "b", host);
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
