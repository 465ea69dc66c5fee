//! The copies of files in preservation storage: where they are, how they go, and the proof that they are gone.

use std::collections::BTreeMap;

use failing::chain;
use futures_util::stream::{self, StreamExt as _};
use model::bucket::PreservationBuckets;
use model::{GenericFile, Provider, note};
use storage::{Bucket, Deletions, Error, Kind, Storage};

/// Requests for single objects under way at a time.
const IN_FLIGHT: usize = 64;

/// Why a file's copies are not all gone.
#[derive(Debug, Clone)]
pub(crate) enum Left {
    /// The same may work later, and the other files would fare alike.
    System(String),
    Failed(String),
}

/// One copy of the file with this place in the batch.
#[derive(Debug)]
struct Copy {
    file: usize,
    bucket: Bucket,
    key: String,
}

/// Removes all copies of some files and says for each what is left of it, in their order.
pub(crate) async fn remove(
    storage: &Storage,
    buckets: &PreservationBuckets,
    files: &[GenericFile],
) -> Vec<Result<(), Left>> {
    let mut outcomes: Vec<Result<(), Left>> = vec![Ok(()); files.len()];
    // Providers may have buckets of one name.
    let mut by_bucket: BTreeMap<(String, String), Vec<Copy>> = BTreeMap::new();
    for (number, file) in files.iter().enumerate() {
        match copies(storage, buckets, file) {
            Ok(found) => {
                for (bucket, key) in found {
                    let copies =
                        by_bucket.entry((bucket.provider().as_str().to_owned(), bucket.name().to_owned())).or_default();
                    copies.push(Copy { file: number, bucket, key });
                }
            }
            // Its other copies stay as well: what cannot be deleted whole is left whole.
            Err(text) => outcomes[number] = Err(Left::Failed(text)),
        }
    }
    let copies: Vec<Vec<Copy>> = by_bucket.into_values().collect();
    let left = stream::iter(copies).map(empty).buffer_unordered(IN_FLIGHT).collect::<Vec<_>>().await;
    for (file, left) in left.into_iter().flatten() {
        // That the system failed says more than what failed in one of the places.
        if !matches!(outcomes[file], Err(Left::System(_))) {
            outcomes[file] = Err(left);
        }
    }
    outcomes
}

/// By the URLs of the Registry. Where it names none, the copies that the storage option has may still be there.
fn copies(
    storage: &Storage,
    buckets: &PreservationBuckets,
    file: &GenericFile,
) -> Result<Vec<(Bucket, String)>, String> {
    let urls: Vec<String> = if file.storage_records.is_empty() && !file.uuid.is_empty() {
        buckets.of(&file.storage_option).into_iter().map(|bucket| bucket.url(&file.uuid)).collect()
    } else {
        file.storage_records.iter().map(|record| record.url.clone()).collect()
    };
    let found = urls.iter().map(|url| {
        let (bucket, key) = buckets.locate(url).map_err(|error| error.to_string())?;
        let client = storage.bucket(&bucket.row().site.provider, bucket.name());
        Ok((client.map_err(|error| chain(&error).to_string())?, key.to_owned()))
    });
    found.collect()
}

/// Deletes copies of one bucket, in batches where there are several, and asks for each whether it is gone.
async fn empty(copies: Vec<Copy>) -> Vec<(usize, Left)> {
    let Some(bucket) = copies.first().map(|copy| copy.bucket.clone()) else { return Vec::new() };
    let refused = if copies.len() > 1 { in_batches(&bucket, &copies).await } else { None };
    let refused = match refused {
        Some(refused) => refused,
        None => one_by_one(&copies).await,
    };
    let proofs = stream::iter(copies).map(|copy| {
        let reason = refused.get(&copy.key).cloned();
        async move {
            let left = match (copy.bucket.find(&copy.key).await, reason) {
                (Ok(None), _) => return None,
                (_, Some(reason)) => reason,
                (Ok(Some(_)), None) => {
                    Left::Failed(format!("{}/{} is still there after its deletion", copy.bucket.name(), copy.key))
                }
                (Err(error), None) => left(&copy.bucket, &error),
            };
            Some((copy.file, left))
        }
    });
    proofs.buffer_unordered(IN_FLIGHT).filter_map(std::future::ready).collect().await
}

/// `None` where the provider does not take batches.
async fn in_batches(bucket: &Bucket, copies: &[Copy]) -> Option<BTreeMap<String, Left>> {
    let keys: Vec<String> = copies.iter().map(|copy| copy.key.clone()).collect();
    let Deletions { failed, rest } = bucket.delete_many(&keys).await;
    let mut refused = BTreeMap::new();
    for error in &failed {
        if let Some(key) = error.key() {
            refused.insert(key.to_owned(), left(bucket, error));
        }
    }
    if let Some(rest) = rest {
        if matches!(rest.error.status(), Some(405 | 501)) {
            return None;
        }
        let reason = left(bucket, &rest.error);
        let unknown = &keys[keys.len().saturating_sub(rest.count)..];
        refused.extend(unknown.iter().map(|key| (key.clone(), reason.clone())));
    }
    Some(refused)
}

async fn one_by_one(copies: &[Copy]) -> BTreeMap<String, Left> {
    let deletions = copies.iter().map(|copy| async move {
        let error = copy.bucket.delete(&copy.key).await.err()?;
        Some((copy.key.clone(), left(&copy.bucket, &error)))
    });
    // Collected: a closure in the stream would keep the future from being sent to another thread.
    let deletions: Vec<_> = deletions.collect();
    stream::iter(deletions).buffer_unordered(IN_FLIGHT).filter_map(std::future::ready).collect().await
}

fn left(bucket: &Bucket, error: &Error) -> Left {
    let text = chain(error).to_string();
    let is_wasabi = matches!(bucket.provider(), Provider::WasabiOr | Provider::WasabiTx | Provider::WasabiVa);
    match error.kind() {
        Kind::Denied if is_wasabi => Left::Failed(format!("{} ({text})", note::WASABI_DENIED)),
        _ if error.is_transient() => Left::System(text),
        _ => Left::Failed(text),
    }
}
