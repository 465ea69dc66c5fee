//! What the buttons do: a form into an action, by the role of the user on whose behalf it was sent. Then the browser is
//! sent to the page that shows the result, so that reloading repeats nothing.

use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::Response;

use super::guard::{self, Form};
use super::{Pages, Problem};
use crate::registry::store::{GenericFile, IntellectualObject, Subject, User};
use crate::registry::vocabulary::role;

/// What a page says after the change that its address names.
pub(super) fn notice(done: &str) -> &'static str {
    match done {
        "requeued" => "The work item was requeued and published.",
        "cancelled" => "The work item was cancelled.",
        "restoring" => "The restoration was requested: this is its work item.",
        "requested" => "The deletion was requested. An administrator of the institution has to approve it.",
        "approved" => "The deletion was approved; its work items were published.",
        "turned_down" => "The deletion request was cancelled.",
        _ => "",
    }
}

pub(super) async fn change(
    pages: &Pages,
    headers: &HeaderMap,
    segments: &[&str],
    form: &Form,
) -> Result<Response, Problem> {
    let acting = guard::acting(headers);
    let people = pages.actions.blocking(guard::people).await?;
    if let ["act_as"] = *segments {
        let id = form.value("user").parse().ok();
        let user = people.iter().find(|user| Some(user.id) == id).ok_or_else(Problem::not_found)?;
        let mut response = redirect(own_path(form.value("back")))?;
        let cookie = format!("{}={}; Path=/; HttpOnly; SameSite=Strict", guard::COOKIE, user.id);
        response.headers_mut().insert(header::SET_COOKIE, value(&cookie)?);
        return Ok(response);
    }
    let user = guard::chosen(&people, acting).cloned().ok_or_else(denied)?;
    let actions = &pages.actions;
    let [section, id, verb] = *segments else { return Err(Problem::not_found()) };
    let id: i64 = id.parse().map_err(|_| Problem::not_found())?;
    let to = match (section, verb) {
        ("work_items", "requeue") => {
            administrator(&user)?;
            actions.requeue(id, form.value("stage")).await?;
            format!("/work_items/{id}?done=requeued")
        }
        ("work_items", "cancel") => {
            administrator(&user)?;
            actions.cancel(id, user).await?;
            format!("/work_items/{id}?done=cancelled")
        }
        ("objects", "restore") => {
            let object = move |store: &crate::registry::Store| store.find::<IntellectualObject>(id);
            let object = actions.blocking(object).await?.ok_or_else(Problem::not_found)?;
            own(&user, object.institution_id)?;
            let item = actions.request_object_restore(id, user).await?;
            format!("/work_items/{}?done=restoring", item.id)
        }
        ("files", "restore") => {
            let file = move |store: &crate::registry::Store| store.find::<GenericFile>(id);
            let file = actions.blocking(file).await?.ok_or_else(Problem::not_found)?;
            own(&user, file.institution_id)?;
            let item = actions.request_file_restore(id, user).await?;
            format!("/work_items/{}?done=restoring", item.id)
        }
        ("objects" | "files", "request_deletion") => {
            let subject = if section == "files" { Subject::File(id) } else { Subject::Object(id) };
            let request = actions.request_deletion(subject, user, pages.url.clone()).await?;
            format!("/deletions/{}?done=requested", request.id)
        }
        ("deletions", "approve") => {
            actions.approve_deletion(id, user, form.value("token").to_owned()).await?;
            format!("/deletions/{id}?done=approved")
        }
        ("deletions", "cancel") => {
            actions.cancel_deletion(id, user, form.value("token").to_owned()).await?;
            format!("/deletions/{id}?done=turned_down")
        }
        _ => return Err(Problem::not_found()),
    };
    redirect(&to)
}

fn administrator(user: &User) -> Result<(), Problem> {
    if user.role == role::ADMIN { Ok(()) } else { Err(denied()) }
}

/// Whether a user may ask for something of an institution's to be restored.
pub(super) fn may_restore(user: &User, institution: i64) -> bool {
    user.role == role::ADMIN || user.institution_id == institution
}

fn own(user: &User, institution: i64) -> Result<(), Problem> {
    if may_restore(user, institution) { Ok(()) } else { Err(denied()) }
}

fn denied() -> Problem {
    Problem::new(StatusCode::FORBIDDEN, "The user you act as may not do this.")
}

/// A path of ours. Two slashes, or a slash and a backslash, would be the name of another host.
fn own_path(path: &str) -> &str {
    let foreign = !path.starts_with('/') || path[1..].starts_with(['/', '\\']) || path.contains(char::is_control);
    if foreign { "/" } else { path }
}

fn redirect(to: &str) -> Result<Response, Problem> {
    let mut response = super::respond(StatusCode::SEE_OTHER, String::new());
    response.headers_mut().insert(header::LOCATION, value(to)?);
    Ok(response)
}

fn value(text: &str) -> Result<HeaderValue, Problem> {
    HeaderValue::from_str(text).map_err(|_| Problem::new(StatusCode::BAD_REQUEST, "This address is not well-formed."))
}

#[cfg(test)]
mod tests {
    use super::own_path;

    #[test]
    fn a_path_of_ours_leads_to_no_other_host() {
        assert_eq!(own_path("/files?page=2&name=a%20b"), "/files?page=2&name=a%20b");
        for foreign in ["", "//evil.example", "/\\evil.example", "https://evil.example", "javascript:x", "/a\r\nb: c"] {
            assert_eq!(own_path(foreign), "/", "{foreign}");
        }
    }
}
