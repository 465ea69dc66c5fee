//! From a method and a path to what is asked, with the pattern that the real server names in its refusals. A record's
//! id is read here and looked up by those who answer.

use axum::http::Method;

/// A record by id, or by an identifier that may hold slashes.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Key {
    Id(i64),
    Identifier(String),
}

/// Which of the two faces of the API.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Face {
    Admin,
    Member,
}

#[derive(Debug, Clone, PartialEq)]
pub(super) enum Call {
    List(List),
    Show(Show, Key),
    ShowAlert(i64, i64),
    FailedFixityAlerts,
    /// The number is the institution's.
    CreateObject(i64),
    UpdateObject(i64),
    DeleteObject(i64),
    RestoreObject(i64),
    BatchDelete,
    CreateFile(i64),
    CreateFiles(i64),
    UpdateFile(i64),
    DeleteFile(i64),
    CreateChecksum(i64),
    CreateStorageRecord(i64),
    CreateEvent,
    CreateItem(i64),
    UpdateItem(i64),
    Requeue(i64),
    RedisDelete(i64),
    PrepareFileDelete(i64),
    PrepareObjectDelete(i64),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum List {
    Institutions,
    Objects,
    Files,
    Checksums,
    StorageRecords,
    Events,
    Items,
    Deletions,
    Alerts,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Show {
    Institution,
    Object,
    File,
    Checksum,
    StorageRecord,
    Event,
    Item,
    Deletion,
}

impl Call {
    /// Whether the answer depends on a body.
    pub(super) fn has_body(&self) -> bool {
        !matches!(
            self,
            Self::List(_)
                | Self::Show(..)
                | Self::ShowAlert(..)
                | Self::FailedFixityAlerts
                | Self::DeleteObject(_)
                | Self::RestoreObject(_)
                | Self::DeleteFile(_)
                | Self::RedisDelete(_)
                | Self::PrepareFileDelete(_)
                | Self::PrepareObjectDelete(_)
        )
    }
}

#[derive(Debug, Clone, PartialEq)]
pub(super) struct Route {
    pub(super) face: Face,
    pub(super) call: Call,
    pub(super) pattern: String,
}

/// Where a path that ends in a slash is sent, before anybody asks who is there: to the list of that name.
pub(super) fn redirect(method: &Method, path: &str) -> Option<String> {
    let name = path.strip_suffix('/')?;
    let list = matches!(find(method, name), Some(Route { call: Call::List(_), .. }));
    list.then(|| name.to_owned())
}

/// What a decoded path asks for, if there is such a thing.
pub(super) fn find(method: &Method, path: &str) -> Option<Route> {
    let (face, prefix, rest) = [(Face::Admin, "/admin-api/v3/"), (Face::Member, "/member-api/v3/")]
        .into_iter()
        .find_map(|(face, prefix)| path.strip_prefix(prefix).map(|rest| (face, prefix, rest)))?;
    let (call, pattern) = call(method, rest)?;
    let readable = match &call {
        Call::List(list) => !matches!(list, List::Institutions | List::StorageRecords),
        Call::Show(show, _) => !matches!(show, Show::Institution | Show::StorageRecord),
        Call::ShowAlert(..) => true,
        _ => false,
    };
    (face == Face::Admin || readable).then(|| Route { face, call, pattern: format!("{prefix}{pattern}") })
}

fn call(method: &Method, path: &str) -> Option<(Call, &'static str)> {
    if method == Method::GET { read(path) } else { write(method, path) }
}

fn read(path: &str) -> Option<(Call, &'static str)> {
    let lists = [
        ("institutions", List::Institutions),
        ("objects", List::Objects),
        ("files", List::Files),
        ("checksums", List::Checksums),
        ("storage_records", List::StorageRecords),
        ("events", List::Events),
        ("items", List::Items),
        ("deletions", List::Deletions),
        ("alerts", List::Alerts),
    ];
    if let Some((name, list)) = lists.into_iter().find(|(known, _)| *known == path) {
        return Some((Call::List(list), name));
    }
    // By id or identifier, then by id alone.
    let any = [
        ("institutions/show/", Show::Institution, "institutions/show/:id"),
        ("objects/show/", Show::Object, "objects/show/*id"),
        ("files/show/", Show::File, "files/show/*id"),
        ("events/show/", Show::Event, "events/show/*id"),
    ];
    if let Some((rest, show, pattern)) =
        any.into_iter().find_map(|(prefix, show, pattern)| Some((path.strip_prefix(prefix)?, show, pattern)))
    {
        let key = match rest.parse::<i64>() {
            Ok(id) if id != 0 => Key::Id(id),
            _ => Key::Identifier(rest.to_owned()),
        };
        return Some((Call::Show(show, key), pattern));
    }
    let ids = [
        ("checksums/show/", Show::Checksum, "checksums/show/:id"),
        ("storage_records/show/", Show::StorageRecord, "storage_records/show/:id"),
        ("items/show/", Show::Item, "items/show/:id"),
        ("deletions/show/", Show::Deletion, "deletions/show/:id"),
    ];
    if let Some((rest, show, pattern)) =
        ids.into_iter().find_map(|(prefix, show, pattern)| Some((path.strip_prefix(prefix)?, show, pattern)))
    {
        return Some((Call::Show(show, Key::Id(rest.parse().ok()?)), pattern));
    }
    let (alert, user) = path.strip_prefix("alerts/show/")?.split_once('/')?;
    Some((Call::ShowAlert(alert.parse().ok()?, user.parse().ok()?), "alerts/show/:id/:user_id"))
}

fn write(method: &Method, path: &str) -> Option<(Call, &'static str)> {
    match (method.as_str(), path) {
        ("POST", "objects/init_batch_delete") => return Some((Call::BatchDelete, "objects/init_batch_delete")),
        ("POST", "events/create") => return Some((Call::CreateEvent, "events/create")),
        ("POST", "alerts/generate_failed_fixity_alerts") => {
            return Some((Call::FailedFixityAlerts, "alerts/generate_failed_fixity_alerts"));
        }
        _ => {}
    }
    let (name, id) = path.rsplit_once('/')?;
    let id: i64 = id.parse().ok()?;
    let found = match (method.as_str(), name) {
        ("POST", "objects/create") => (Call::CreateObject(id), "objects/create/:institution_id"),
        ("PUT", "objects/update") => (Call::UpdateObject(id), "objects/update/:id"),
        ("DELETE", "objects/delete") => (Call::DeleteObject(id), "objects/delete/:id"),
        ("POST", "objects/init_restore") => (Call::RestoreObject(id), "objects/init_restore/:id"),
        ("POST", "files/create") => (Call::CreateFile(id), "files/create/:institution_id"),
        ("POST", "files/create_batch") => (Call::CreateFiles(id), "files/create_batch/:institution_id"),
        ("PUT", "files/update") => (Call::UpdateFile(id), "files/update/:id"),
        ("DELETE", "files/delete") => (Call::DeleteFile(id), "files/delete/:id"),
        ("POST", "checksums/create") => (Call::CreateChecksum(id), "checksums/create/:institution_id"),
        ("POST", "storage_records/create") => (Call::CreateStorageRecord(id), "storage_records/create/:institution_id"),
        ("POST", "items/create") => (Call::CreateItem(id), "items/create/:institution_id"),
        ("PUT", "items/update") => (Call::UpdateItem(id), "items/update/:id"),
        ("PUT", "items/requeue") => (Call::Requeue(id), "items/requeue/:id"),
        ("DELETE", "items/redis_delete") => (Call::RedisDelete(id), "items/redis_delete/:id"),
        ("POST", "prepare_file_delete") => (Call::PrepareFileDelete(id), "prepare_file_delete/:id"),
        ("POST", "prepare_object_delete") => (Call::PrepareObjectDelete(id), "prepare_object_delete/:id"),
        _ => return None,
    };
    Some(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(path: &str) -> Key {
        match find(&Method::GET, path).unwrap().call {
            Call::Show(_, key) => key,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn the_last_part_is_an_id_or_an_identifier() {
        assert_eq!(key("/admin-api/v3/objects/show/7"), Key::Id(7));
        assert_eq!(key("/admin-api/v3/objects/show/0"), Key::Identifier("0".into()));
        assert_eq!(key("/admin-api/v3/objects/show/"), Key::Identifier(String::new()));
        assert_eq!(key("/admin-api/v3/files/show/a.edu/b/data/7"), Key::Identifier("a.edu/b/data/7".into()));
    }

    #[test]
    fn what_is_not_there_is_not_found() {
        for (method, path) in [
            (Method::GET, "/admin-api/v3/items/show/x"),
            (Method::GET, "/admin-api/v3/items/create/2"),
            (Method::POST, "/member-api/v3/items/create/2"),
            (Method::GET, "/member-api/v3/storage_records"),
            (Method::GET, "/admin-api/v2/items"),
            (Method::HEAD, "/admin-api/v3/items"),
        ] {
            assert_eq!(find(&method, path), None, "{method} {path}");
        }
    }
}
