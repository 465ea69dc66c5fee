//! Whether a deletion may begin: all that the Registry would ask when the bytes are gone is asked before (03 D4). Nothing here speaks
//! to S3.

use std::time::Duration;

use model::{Action, GenericFile, IntellectualObject, State, Status, StorageOption, Time, WorkItem, note};
use registry::Query;
use time::OffsetDateTime;
use worker::settings::Retention;
use worker::{Stop, Task};

/// When a deletion looks again that waits for other work on its object.
const RECHECK: Duration = Duration::from_mins(1);

/// What is to be deleted.
#[derive(Debug)]
pub(crate) enum Subject {
    /// With the copies that the Registry knows of.
    File(Box<GenericFile>),
    Object(Box<IntellectualObject>),
}

impl Subject {
    /// What the item names, as the Registry has it now. Items for files carry both ids.
    pub(crate) async fn of(task: &Task) -> Result<Self, Stop> {
        let (item, registry) = (&task.item, &task.registry);
        match (item.generic_file_id, item.intellectual_object_id) {
            (0, 0) => Err(Stop::fatal(&item.name, format!("WorkItem {} names neither a file nor an object", item.id))),
            (0, object) => Ok(Self::Object(Box::new(registry.object(object).await?))),
            (file, _) => Ok(Self::File(Box::new(registry.file(file).await?))),
        }
    }

    pub(crate) fn identifier(&self) -> &str {
        match self {
            Self::File(file) => &file.identifier,
            Self::Object(object) => &object.identifier,
        }
    }

    /// By an earlier run whose last word was lost, or by another item (03 D20).
    pub(crate) fn is_deleted(&self) -> bool {
        let state = match self {
            Self::File(file) => &file.state,
            Self::Object(object) => &object.state,
        };
        *state == State::Deleted
    }

    fn object_id(&self) -> i64 {
        match self {
            Self::File(file) => file.intellectual_object_id,
            Self::Object(object) => object.id,
        }
    }
}

/// Everything that must hold before the first byte goes.
pub(crate) async fn ask(task: &Task, subject: &Subject, retention: Retention) -> Result<(), Stop> {
    approved(task, subject).await?;
    retained(task, subject, retention).await?;
    alone(task, subject).await
}

/// Both names on the item, and a request in the Registry that says the same of this very file or object.
async fn approved(task: &Task, subject: &Subject) -> Result<(), Stop> {
    let item = &task.item;
    let refused = |text: String| Err(Stop::fatal(subject.identifier(), text));
    if item.user.is_empty() || item.inst_approver.is_empty() {
        return refused(note::DELETION_WITHOUT_APPROVAL.to_owned());
    }
    // The Registry accepts the report of a deletion for an item that is `Started` only (03 D21).
    let current = task.registry.work_item(item.id).await?;
    if current.status != Status::Started {
        let text = format!("WorkItem {} is {} in Registry and not Started", item.id, current.status);
        return Err(Stop::failed(subject.identifier(), text));
    }
    let unknown = format!("No deletion request for work item {}", item.id);
    if item.deletion_request_id == 0 {
        return refused(unknown);
    }
    let request = match task.registry.deletion_request(item.deletion_request_id).await {
        Ok(request) => request,
        Err(error) if error.is_not_found() => return refused(unknown),
        Err(error) => return Err(error.into()),
    };
    let id = request.id;
    if request.requested_by.id == 0 {
        return refused(format!("Deletion request {id} has no requestor"));
    }
    if request.confirmed_by.id == 0 || !request.confirmed_at.is_set() {
        return refused(format!("Deletion request {id} has no approver"));
    }
    if request.cancelled_at.is_set() {
        return refused(format!("Deletion request {id} was cancelled"));
    }
    let (named, wanted) = match subject {
        Subject::File(file) => (&request.generic_files, file.id),
        Subject::Object(object) => (&request.intellectual_objects, object.id),
    };
    if !named.iter().any(|named| named.id == wanted) {
        return refused(format!("Deletion request {id} does not name {}", subject.identifier()));
    }
    Ok(())
}

/// An object's files have periods of their own: the youngest of each storage option speaks for all of them.
async fn retained(task: &Task, subject: &Subject, retention: Retention) -> Result<(), Stop> {
    match subject {
        Subject::File(file) => passed(retention, &file.storage_option, file.created_at, "File", &file.identifier),
        Subject::Object(object) => {
            passed(retention, &object.storage_option, object.created_at, "Object", &object.identifier)?;
            for option in StorageOption::KNOWN.iter().filter(|option| days(retention, option) > 0) {
                let youngest = active(object.id).filter("storage_option", option).sort("created_at__desc").per_page(1);
                let youngest = task.registry.list::<GenericFile>(&youngest).await?;
                for file in &youngest.results {
                    passed(retention, option, file.created_at, "File", &file.identifier)?;
                }
            }
            Ok(())
        }
    }
}

fn passed(
    retention: Retention,
    option: &StorageOption,
    created: Time,
    what: &str,
    identifier: &str,
) -> Result<(), Stop> {
    let days = days(retention, option);
    if created.inner() + time::Duration::days(days.into()) < OffsetDateTime::now_utc() {
        return Ok(());
    }
    let text =
        format!("{what} has not passed minimum retention period of {days} days for {option}, counted from {created}");
    Err(Stop::fatal(identifier, text))
}

/// As the Registry counts (03 §5.3): nothing for Wasabi in Texas.
fn days(retention: Retention, option: &StorageOption) -> u32 {
    match option {
        StorageOption::Standard => retention.standard,
        StorageOption::GlacierOh | StorageOption::GlacierOr | StorageOption::GlacierVa => retention.glacier,
        StorageOption::GlacierDeepOh | StorageOption::GlacierDeepOr | StorageOption::GlacierDeepVa => {
            retention.glacier_deep
        }
        StorageOption::WasabiOr | StorageOption::WasabiVa => retention.wasabi,
        _ => 0,
    }
}

/// The files of an object that are not deleted yet.
pub(crate) fn active(object: i64) -> Query {
    Query::new().filter("intellectual_object_id", object).filter("state", State::Active)
}

/// Other work on the object goes first (03 D25): what is ingested or restored. Deletions only take turns, by the lock on the object. An item
/// that is not to be tried again waits for a person, and nothing waits for it.
async fn alone(task: &Task, subject: &Subject) -> Result<(), Stop> {
    let item = &task.item;
    let unfinished = || {
        let actions = [Action::Ingest, Action::RestoreObject, Action::RestoreFile, Action::GlacierRestore];
        let statuses = [Status::Pending, Status::Started];
        Query::new().any_of("action", actions).any_of("status", statuses).filter("retry", true).sort("id").per_page(1)
    };
    // An ingest has no object before it is recorded: it is known by the name of its bag.
    let of_object = unfinished().filter("intellectual_object_id", subject.object_id());
    let of_bag = unfinished().filter("institution_id", item.institution_id).filter("name", &item.name);
    for query in [of_object, of_bag] {
        let page = task.registry.list::<WorkItem>(&query).await?;
        if let Some(other) = page.results.first() {
            let note = format!("Waiting for WorkItem {} ({}) on the same object", other.id, other.action);
            return Err(Stop::Waiting { note, delay: RECHECK });
        }
    }
    Ok(())
}
