//! The settings of S3: hosts, credentials and buckets. What they are called stands in the table of `model::bucket`.

use anyhow::{Context as _, Result};
use model::bucket::{AWS, PreservationBucket, PreservationBuckets, SITES, Setting, Site, TABLE};
use storage::{Budget, Config, Limits, Provider, Region, Scheme, Storage, Tier};
use worker::settings::{Bucket, Host, Reader, Reported, Secret, Section, Sources, Value, names};

/// The S3 of receiving, staging and restoration buckets.
#[derive(Debug, Clone)]
pub struct S3 {
    providers: Vec<Provider>,
    regions: Vec<Region>,
}

/// Where files wait between receiving and preservation.
#[derive(Debug, Clone)]
pub struct Staging {
    pub bucket: String,
}

/// All preservation buckets, with the S3 of the others.
#[derive(Debug, Clone)]
pub struct Preservation {
    pub s3: S3,
    pub buckets: PreservationBuckets,
}

/// Those preservation buckets that Amazon keeps, and can ask Glacier for.
#[derive(Debug, Clone)]
pub struct Glacier {
    pub s3: S3,
    pub buckets: PreservationBuckets,
    pub retrieval: Retrieval,
}

/// How files are asked for that are in Glacier.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Retrieval {
    pub tier: Tier,
    /// How long the copy stays that is made.
    pub days: u16,
}

/// As Preserv has always asked (03 §4.2).
impl Default for Retrieval {
    fn default() -> Self {
        Self { tier: Tier::Standard, days: 10 }
    }
}

impl S3 {
    /// The clients. Nothing is sent before one is used; [`Storage::close`] is called at the program's end.
    pub async fn storage(&self, budget: &Budget) -> Result<Storage> {
        let config =
            Config { providers: self.providers.clone(), regions: self.regions.clone(), limits: Limits::default() };
        Storage::new(&config, budget).await.context("the settings of S3")
    }
}

impl Section for S3 {
    fn read(reader: &mut Reader<'_>) -> Result<Self, Reported> {
        Ok(Self { providers: providers(reader, &[&AWS])?, regions: Vec::new() })
    }
}

impl Section for Staging {
    fn read(reader: &mut Reader<'_>) -> Result<Self, Reported> {
        let bucket = reader.setting::<Bucket>("STAGING_BUCKET").check(named_staging).required()?;
        Ok(Self { bucket: bucket.as_str().to_owned() })
    }
}

impl Section for Preservation {
    fn read(reader: &mut Reader<'_>) -> Result<Self, Reported> {
        let (s3, buckets) = preservation(reader, |_| true)?;
        Ok(Self { s3, buckets })
    }
}

impl Section for Glacier {
    fn read(reader: &mut Reader<'_>) -> Result<Self, Reported> {
        let preservation = preservation(reader, |site| site.provider == AWS.provider);
        let retrieval = Retrieval::read(reader);
        let (s3, buckets) = preservation?;
        Ok(Self { s3, buckets, retrieval: retrieval? })
    }
}

impl Section for Retrieval {
    fn read(reader: &mut Reader<'_>) -> Result<Self, Reported> {
        let usual = Self::default();
        let tier = reader.setting(names::GLACIER_TIER).or(Named(usual.tier));
        let days = reader.setting(names::GLACIER_DAYS).check(some_days).or(u32::from(usual.days));
        Ok(Self { tier: tier?.0, days: u16::try_from(days?).unwrap_or(MOST_DAYS) })
    }
}

/// A copy that is kept for longer costs more than the archive saves.
const MOST_DAYS: u16 = 365;

fn some_days(days: u32) -> Result<u32, String> {
    if (1..=u32::from(MOST_DAYS)).contains(&days) {
        return Ok(days);
    }
    Err(format!("is {days}; set it to a number of days from 1 to {MOST_DAYS}"))
}

/// A tier by S3's name for it.
struct Named(Tier);

impl Value for Named {
    const KIND: &'static str = "tier";
    const ADVICE: &'static str = "set it to `Standard`, `Bulk` or `Expedited`";

    fn parse(text: &str, _: &Sources) -> Result<Self, String> {
        let known = [Tier::Standard, Tier::Bulk, Tier::Expedited].into_iter().find(|tier| tier.as_str() == text);
        known.map(Self).ok_or_else(|| "is no tier of Glacier".to_owned())
    }

    fn show(&self) -> String {
        self.0.as_str().to_owned()
    }
}

/// The buckets of these sites. Everything is asked for before anything is given up on, so that every problem is reported.
fn preservation(reader: &mut Reader<'_>, on: fn(&Site) -> bool) -> Result<(S3, PreservationBuckets), Reported> {
    let sites: Vec<&'static Site> = SITES.into_iter().filter(|site| on(site)).collect();
    let providers = providers(reader, &sites);
    let rows = TABLE.iter().filter(|row| on(row.site));
    let names: Vec<_> = rows.map(|row| (row, required::<Bucket>(reader, row.bucket))).collect();
    let providers = providers?;
    let host = |site: &Site| providers.iter().find(|provider| provider.name == site.provider);
    let mut buckets = Vec::new();
    for (row, name) in names {
        let name = name?;
        buckets.extend(host(row.site).map(|provider| PreservationBucket::new(row, name.as_str(), &*provider.host)));
    }
    let buckets: PreservationBuckets = buckets.into_iter().collect();
    let regions = buckets.iter().map(Region::of).collect();
    Ok((S3 { providers, regions }, buckets))
}

fn providers(reader: &mut Reader<'_>, sites: &[&Site]) -> Result<Vec<Provider>, Reported> {
    let scheme = scheme(reader);
    let mut known: Vec<(Setting, Result<Credentials, Reported>)> = Vec::new();
    let mut providers = Vec::new();
    for site in sites {
        let host = required::<Host>(reader, site.host);
        // Several sites may share theirs; they are asked for once.
        let credentials = if let Some((_, known)) = known.iter().find(|(key, _)| *key == site.key) {
            known.clone()
        } else {
            let credentials = credentials(reader, site);
            known.push((site.key, credentials.clone()));
            credentials
        };
        providers.push((site.provider.clone(), host, credentials));
    }
    let made = providers.into_iter().map(|(name, host, credentials)| {
        let (host, credentials) = (host?.as_str().to_owned(), credentials?);
        let (key, secret) = credentials.unzip();
        Ok(Provider { name, host, scheme, key, secret })
    });
    made.collect()
}

/// Without them, the SDK's own chain finds the task's role.
type Credentials = Option<(String, String)>;

/// Both or neither.
fn credentials(reader: &mut Reader<'_>, site: &Site) -> Result<Credentials, Reported> {
    let key = optional::<Secret>(reader, site.key);
    let secret = optional::<Secret>(reader, site.secret);
    let half = |set: &str, unset: &str| {
        format!("{unset} is not set, but {set} is; set both, or neither to use the task's role")
    };
    match (key?, secret?) {
        (Some(key), Some(secret)) => Ok(Some((key.expose().to_owned(), secret.expose().to_owned()))),
        (None, None) => Ok(None),
        (Some(_), None) => Err(reader.refuse(half(site.key.name, site.secret.name))),
        (None, Some(_)) => Err(reader.refuse(half(site.secret.name, site.key.name))),
    }
}

/// Plain under `APT_ENV=dev` and `test`, whose servers have no certificates.
fn scheme(reader: &Reader<'_>) -> Scheme {
    match reader.environment_name() {
        Some("dev" | "test") => Scheme::Http,
        _ => Scheme::Https,
    }
}

fn required<T: Value>(reader: &mut Reader<'_>, setting: Setting) -> Result<T, Reported> {
    reader.spelled(setting.name, setting.other).required()
}

fn optional<T: Value>(reader: &mut Reader<'_>, setting: Setting) -> Result<Option<T>, Reported> {
    reader.spelled(setting.name, setting.other).optional()
}

fn named_staging(bucket: Bucket) -> Result<Bucket, String> {
    // Cleanup deletes everything of an item in there.
    if bucket.as_str().contains("staging") {
        return Ok(bucket);
    }
    Err("does not contain `staging`; set it to the staging bucket, whose name must say so".to_owned())
}

#[cfg(test)]
mod tests {
    use std::fmt::Debug;
    use std::path::Path;

    use model::StorageOption;

    use super::*;

    fn read<S: Section>(variables: &[(&str, &str)]) -> Result<S, Vec<String>> {
        worker::settings::read(variables.iter().copied().collect(), Path::new("/no such folder"))
    }

    #[test]
    fn sections_refuse_what_makes_no_sense() {
        fn refused<S: Section + Debug>(variables: &[(&str, &str)], said: &str) {
            let problems = read::<S>(variables).unwrap_err();
            assert!(problems.iter().any(|problem| problem.contains(said)), "{said}: {problems:?}");
        }
        refused::<Staging>(&[("STAGING_BUCKET", "aptrust.prod")], "STAGING_BUCKET does not contain `staging`");
        refused::<S3>(&[("S3_AWS_HOST", "s3"), ("S3_AWS_KEY", "k")], "S3_AWS_SECRET is not set, but S3_AWS_KEY is");
        refused::<S3>(&[("S3_AWS_HOST", "s3"), ("S3_AWS_SECRET", "s")], "S3_AWS_KEY is not set, but S3_AWS_SECRET is");
    }

    #[test]
    fn s3_is_spoken_to_plainly_under_dev_and_test_only() {
        for (name, expected) in
            [("dev", Scheme::Http), ("test", Scheme::Http), ("demo", Scheme::Https), ("", Scheme::Https)]
        {
            // Where an environment is named, its file must be there.
            let folder = tempfile::tempdir().unwrap();
            std::fs::write(folder.path().join(format!(".env.{name}")), "").unwrap();
            let variables = [("APT_ENV", name), ("S3_AWS_HOST", "s3.local")];
            let s3: S3 = worker::settings::read(variables.into_iter().collect(), folder.path()).unwrap();
            assert_eq!(s3.providers[0].scheme, expected, "{name}");
        }
    }

    fn complete(host: &str, bucket: &str) -> Vec<(String, String)> {
        let own = TABLE
            .iter()
            .filter(|row| row.bucket.other.is_none())
            .map(|row| (row.bucket.name.to_owned(), "bucket".to_owned()));
        let regions = ["OR", "TX", "VA"].map(|region| {
            [(format!("{host}_{region}"), "h.local".to_owned()), (format!("{bucket}_{region}"), "wasabi".to_owned())]
        });
        let s3 = ("S3_AWS_HOST".to_owned(), "s3.local".to_owned());
        own.chain(regions.into_iter().flatten()).chain([s3]).collect()
    }

    #[test]
    fn either_spelling_will_do() {
        for (host, bucket) in
            [("S3_WASABI_HOST", "BUCKET_NEWSTORAGEOPTION"), ("S3_NEWSTORAGEOPTION_HOST", "BUCKET_WASABI")]
        {
            let variables = complete(host, bucket);
            let variables: Vec<_> = variables.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
            let preservation: Preservation = read(&variables).unwrap();
            let texas = preservation.buckets.of(&StorageOption::WasabiTx);
            assert_eq!((texas[0].name(), texas[0].host()), ("wasabi", "h.local"));
            assert_eq!(preservation.buckets.iter().count(), TABLE.len());
            assert_eq!(preservation.s3.providers.len(), SITES.len());
        }
    }

    #[test]
    fn every_missing_bucket_and_host_is_named_at_once() {
        let problems = read::<Preservation>(&[]).unwrap_err().join("\n");
        for setting in TABLE.iter().flat_map(|row| [row.bucket, row.site.host]) {
            assert!(problems.contains(setting.name), "{}: {problems}", setting.name);
        }
        let problems = read::<Glacier>(&[]).unwrap_err().join("\n");
        assert!(problems.contains("BUCKET_GLACIER_OH") && !problems.contains("WASABI"), "{problems}");
    }

    #[test]
    fn glacier_is_asked_as_ever_unless_settings_say_otherwise() {
        assert_eq!(read::<Retrieval>(&[]).unwrap(), Retrieval { tier: Tier::Standard, days: 10 });
        let set = read::<Retrieval>(&[("GLACIER_TIER", "Bulk"), ("GLACIER_DAYS", "365")]).unwrap();
        assert_eq!(set, Retrieval { tier: Tier::Bulk, days: 365 });
        for (name, value) in [("GLACIER_TIER", "bulk"), ("GLACIER_DAYS", "0"), ("GLACIER_DAYS", "366")] {
            let problems = read::<Retrieval>(&[(name, value)]).unwrap_err().join("\n");
            assert!(problems.contains(name), "{problems}");
        }
    }
}
