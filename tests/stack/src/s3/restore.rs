//! Archived objects: how long a restoration takes, and when the temporary copy goes.
//!
//! Amazon S3 User Guide, "Understanding archive retrieval options": the times here are the longest that it gives for each.

use s3s::dto::{RestoreRequest, Tier};
use s3s::{S3Result, s3_error};
use time::format_description::BorrowedFormatItem;
use time::macros::format_description;

use super::model::{Class, Restore, date};

const MINUTE: i64 = 60 * 1000;
const HOUR: i64 = 60 * MINUTE;
const DAY: i64 = 24 * HOUR;

/// How S3 answers a request that it takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Answer {
    /// 202: the restoration has begun, or goes on faster.
    Accepted,
    /// 200: there is a copy already, and it stays longer.
    Extended,
}

/// What RestoreObject does to an object of this class that has, or is getting, this copy.
pub(crate) fn decide(
    class: Class,
    present: Option<Restore>,
    request: Option<&RestoreRequest>,
    now: i64,
) -> S3Result<(Restore, Answer)> {
    let malformed = || s3_error!(MalformedXML, "The XML you provided was not well-formed or did not validate");
    let request = request.ok_or_else(malformed)?;
    if request.select_parameters.is_some() || request.output_location.is_some() || request.type_.is_some() {
        return Err(s3_error!(NotImplemented, "Only restorations in place are implemented"));
    }
    let days = request.days.ok_or_else(malformed)?;
    if days < 1 {
        return Err(s3_error!(InvalidArgument, "restoration days should be at least 1"));
    }
    if !class.is_archive() {
        let message = "Restore is not allowed for the object's current storage class";
        return Err(s3_error!(InvalidObjectState, "{message}"));
    }
    let tier = request.glacier_job_parameters.as_ref().map(|it| &it.tier).or(request.tier.as_ref());
    let takes = duration(class, tier.map_or(Tier::STANDARD, Tier::as_str))?;
    let restore = |ready: i64| Restore { ready, expires: expiry(ready.max(now), days) };
    match present {
        None => Ok((restore(now + takes), Answer::Accepted)),
        Some(present) if present.ready <= now => Ok((restore(present.ready), Answer::Extended)),
        Some(present) if now + takes < present.ready => Ok((restore(now + takes), Answer::Accepted)),
        Some(_) => Err(s3_error!(RestoreAlreadyInProgress, "Object restore is already in progress")),
    }
}

fn duration(class: Class, tier: &str) -> S3Result<i64> {
    match (class, tier) {
        (Class::DeepArchive, Tier::STANDARD) => Ok(12 * HOUR),
        (Class::DeepArchive, Tier::BULK) => Ok(48 * HOUR),
        (Class::DeepArchive, Tier::EXPEDITED) => {
            Err(s3_error!(InvalidArgument, "Retrieval option is not supported by this storage class"))
        }
        (_, Tier::EXPEDITED) => Ok(5 * MINUTE),
        (_, Tier::STANDARD) => Ok(5 * HOUR),
        (_, Tier::BULK) => Ok(12 * HOUR),
        _ => Err(s3_error!(MalformedXML, "The XML you provided was not well-formed or did not validate")),
    }
}

/// The midnight (UTC) after so many days.
fn expiry(from: i64, days: i32) -> i64 {
    let end = from.saturating_add(i64::from(days) * DAY);
    (end.div_euclid(DAY) + 1).saturating_mul(DAY)
}

/// The value of `x-amz-restore`.
pub(crate) fn header(restore: Restore, now: i64) -> String {
    const HTTP_DATE: &[BorrowedFormatItem<'_>] =
        format_description!("[weekday repr:short], [day] [month repr:short] [year] [hour]:[minute]:[second] GMT");
    if now < restore.ready {
        return "ongoing-request=\"true\"".to_owned();
    }
    let expiry = date(restore.expires).format(HTTP_DATE).unwrap_or_default();
    format!("ongoing-request=\"false\", expiry-date=\"{expiry}\"")
}

#[cfg(test)]
mod tests {
    use s3s::dto::GlacierJobParameters;

    use super::*;

    /// 2026-11-24, noon.
    const NOON: i64 = 1_795_521_600_000;

    fn request(days: i32, tier: &'static str) -> RestoreRequest {
        let tier = Tier::from_static(tier);
        RestoreRequest {
            days: Some(days),
            glacier_job_parameters: Some(GlacierJobParameters { tier }),
            ..Default::default()
        }
    }

    fn code<T>(result: S3Result<T>) -> String {
        result.err().map(|error| error.code().as_str().to_owned()).unwrap_or_default()
    }

    #[test]
    fn a_restoration_takes_its_time_and_expires_at_midnight() {
        let (restore, answer) = decide(Class::Glacier, None, Some(&request(10, "Standard")), NOON).unwrap();
        assert_eq!(answer, Answer::Accepted);
        assert_eq!(restore.ready, NOON + 5 * HOUR);
        assert_eq!(header(restore, NOON), "ongoing-request=\"true\"");
        let shown = header(restore, restore.ready);
        assert_eq!(shown, "ongoing-request=\"false\", expiry-date=\"Sat, 05 Dec 2026 00:00:00 GMT\"");
    }

    #[test]
    fn a_second_request_waits_hastens_or_extends() {
        let (bulk, _) = decide(Class::DeepArchive, None, Some(&request(1, "Bulk")), NOON).unwrap();
        let again = decide(Class::DeepArchive, Some(bulk), Some(&request(1, "Bulk")), NOON + HOUR);
        assert_eq!(code(again), "RestoreAlreadyInProgress");
        let (faster, answer) =
            decide(Class::DeepArchive, Some(bulk), Some(&request(1, "Standard")), NOON + HOUR).unwrap();
        assert_eq!((faster.ready, answer), (NOON + 13 * HOUR, Answer::Accepted));
        let later = NOON + 14 * HOUR;
        let (longer, answer) = decide(Class::DeepArchive, Some(faster), Some(&request(5, "Bulk")), later).unwrap();
        assert_eq!((longer.ready, answer), (faster.ready, Answer::Extended));
        assert!(longer.expires > faster.expires);
    }

    #[test]
    fn what_cannot_be_restored_is_refused() {
        let now = NOON;
        assert_eq!(code(decide(Class::Standard, None, Some(&request(1, "Standard")), now)), "InvalidObjectState");
        assert_eq!(code(decide(Class::GlacierIr, None, Some(&request(1, "Standard")), now)), "InvalidObjectState");
        assert_eq!(code(decide(Class::DeepArchive, None, Some(&request(1, "Expedited")), now)), "InvalidArgument");
        assert_eq!(code(decide(Class::Glacier, None, Some(&request(0, "Standard")), now)), "InvalidArgument");
        assert_eq!(code(decide(Class::Glacier, None, Some(&request(1, "Soon")), now)), "MalformedXML");
        assert_eq!(code(decide(Class::Glacier, None, None, now)), "MalformedXML");
    }
}
