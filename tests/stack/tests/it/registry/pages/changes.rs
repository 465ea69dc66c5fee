//! What the buttons do, and for whom.

use reqwest::StatusCode;
use stack::nsq::{self, Nsqd};
use stack::registry::store::{DeletionRequest, WorkItem};
use stack::registry::vocabulary::role;
use stack::registry::{Fixtures, Options};

use super::super::{Peer, start_with};
use super::{Browser, between};

/// With an nsqd of our own.
async fn start() -> (Peer, Nsqd) {
    let nsqd = Nsqd::start(nsq::Options::default()).await.unwrap();
    let options = Options { nsqd: Some(nsqd.http()), fixtures: Fixtures::Upstream, ..Options::default() };
    (start_with(options), nsqd)
}

/// How many messages a topic has taken.
async fn published(nsqd: &Nsqd, topic: &str) -> u64 {
    let url = format!("http://{}/stats?format=json&topic={topic}", nsqd.http());
    let text = crate::support::http_client().get(url).send().await.unwrap().text().await.unwrap();
    let stats: serde_json::Value = serde_json::from_str(&text).unwrap();
    stats["topics"][0]["message_count"].as_u64().unwrap_or(0)
}

fn item(peer: &Peer, id: i64) -> WorkItem {
    peer.registry.store().find(id).unwrap().unwrap()
}

#[tokio::test]
async fn requeueing_publishes() {
    let (peer, nsqd) = start().await;
    let browser = Browser::new(&peer, 1);
    let page = browser.page("/work_items/28").await;
    let form = between(&page, "action=\"/work_items/28/requeue\">", "</form>");
    assert!(
        form.contains("<option value=\"Copy To Staging\">") && form.contains("<option value=\"Cleanup\" selected>")
    );
    let shown = browser.post("/work_items/28/requeue", &[("stage", "Copy To Staging")]).await;
    assert_eq!((shown.status, shown.location.as_str()), (StatusCode::SEE_OTHER, "/work_items/28?done=requeued"));
    assert_eq!(published(&nsqd, "ingest04_staging").await, 1);
    assert_eq!((&*item(&peer, 28).stage, &*item(&peer, 28).note), ("Copy To Staging", "Requeued for Copy To Staging"));
    let page = browser.page(&shown.location).await;
    assert!(page.contains("was requeued and published") && page.contains("Requeued for Copy To Staging"));
    for stage in ["Package", ""] {
        let shown = browser.post("/work_items/28/requeue", &[("stage", stage)]).await;
        assert_eq!(shown.status, 500);
        assert!(shown.text.contains("item cannot be requeued to the specified stage"));
    }
    assert_eq!(browser.post("/work_items/999/requeue", &[("stage", "Record")]).await.status, 404);
    assert_eq!(Browser::new(&peer, 8).post("/work_items/28/requeue", &[("stage", "Record")]).await.status, 403);
}

#[tokio::test]
async fn without_nsqd_requeueing_says_so() {
    let peer = super::start();
    let shown = Browser::new(&peer, 1).post("/work_items/28/requeue", &[("stage", "Record")]).await;
    assert_eq!(shown.status, 500);
    assert!(shown.text.contains("Nsqd returned an error when queuing data"), "{}", shown.text);
}

#[tokio::test]
async fn cancelling_ends_an_item_once() {
    let (peer, _nsqd) = start().await;
    let browser = Browser::new(&peer, 1);
    assert_eq!(Browser::new(&peer, 2).post("/work_items/1/cancel", &[]).await.status, 403);
    let shown = browser.post("/work_items/1/cancel", &[]).await;
    assert_eq!(shown.location, "/work_items/1?done=cancelled");
    let cancelled = item(&peer, 1);
    assert_eq!(
        (&*cancelled.status, &*cancelled.note, cancelled.retry),
        ("Cancelled", "Cancelled by system@aptrust.org", false)
    );
    let again = browser.post("/work_items/1/cancel", &[]).await;
    assert_eq!(again.status, 409);
    assert!(again.text.contains("409 Conflict") && again.text.contains("completed already"));
    assert!(!browser.page("/work_items/1").await.contains("/work_items/1/cancel"));
}

#[tokio::test]
async fn restoring_makes_an_item_and_publishes_it() {
    let (peer, nsqd) = start().await;
    let browser = Browser::new(&peer, 3);
    let shown = browser.post("/objects/2/restore", &[]).await;
    assert_eq!(shown.status, 303, "{}", shown.text);
    let page = browser.page(&shown.location).await;
    assert!(page.contains("The restoration was requested") && page.contains("Restore Object"), "{page}");
    assert_eq!(published(&nsqd, "restore_object").await, 1);
    let again = browser.post("/objects/2/restore", &[]).await;
    assert_eq!(again.status, 409);
    let shown = Browser::new(&peer, 9).post("/files/24/restore", &[]).await;
    assert_eq!(shown.status, 303, "{}", shown.text);
    assert_eq!(published(&nsqd, "restore_file").await, 1);
    // Of another institution.
    for path in ["/objects/7/restore", "/files/24/restore"] {
        assert_eq!(browser.post(path, &[]).await.status, 403, "{path}");
    }
    assert!(browser.page("/objects/7").await.contains("Only a user of test.edu may do this."));
    assert_eq!(browser.post("/objects/999/restore", &[]).await.status, 404);
}

#[tokio::test]
async fn a_deletion_is_requested_and_approved_with_the_token_of_the_alert() {
    let (peer, nsqd) = start().await;
    let browser = Browser::new(&peer, 8);
    let shown = browser.post("/files/24/request_deletion", &[]).await;
    assert_eq!(shown.location, "/deletions/4?done=requested");
    // Neither who may not decide nor who was told nothing is shown the token.
    for user in [1, 2, 9] {
        let page = Browser::new(&peer, user).page("/deletions/4").await;
        assert!(!page.contains("name=\"token\""), "{user}: {page}");
    }
    let page = browser.page(&shown.location).await;
    let form = between(&page, "action=\"/deletions/4/approve\">", "</form>");
    let token = between(form, "<input type=\"hidden\" name=\"token\" value=\"", "\"").to_owned();
    assert_eq!(token.len(), 32);
    assert_eq!(browser.post("/deletions/4/approve", &[("token", "wrong")]).await.status, 400);
    for user in [1, 2, 9] {
        let refused = Browser::new(&peer, user).post("/deletions/4/approve", &[("token", &token)]).await;
        assert_eq!(refused.status, 400, "{user}: {}", refused.text);
    }
    let shown = browser.post("/deletions/4/approve", &[("token", &token)]).await;
    assert_eq!(shown.location, "/deletions/4?done=approved", "{}", shown.text);
    assert_eq!(published(&nsqd, "delete_item").await, 1);
    assert!(browser.page("/deletions/4").await.contains("Approved by"));
    for verb in ["approve", "cancel"] {
        let again = browser.post(&format!("/deletions/4/{verb}"), &[("token", &token)]).await;
        assert_eq!(again.status, 409, "{verb}");
    }
}

#[tokio::test]
async fn where_there_are_two_administrators_the_other_one_approves() {
    let nsqd = Nsqd::start(nsq::Options::default()).await.unwrap();
    let options = Options { nsqd: Some(nsqd.http()), fixtures: Fixtures::Upstream, ..Options::default() };
    let peer = start_with(options);
    peer.registry.store().set_role(9, role::INSTITUTIONAL_ADMIN).unwrap();
    let (one, other) = (Browser::new(&peer, 8), Browser::new(&peer, 9));
    one.post("/objects/7/request_deletion", &[]).await;
    let token = async |browser: &Browser| {
        let page = browser.page("/deletions/4").await;
        between(&page, "<input type=\"hidden\" name=\"token\" value=\"", "\"").to_owned()
    };
    let refused = one.post("/deletions/4/approve", &[("token", &token(&one).await)]).await;
    assert_eq!(refused.status, 400);
    assert!(refused.text.contains("This must be approved by a second admin."), "{}", refused.text);
    assert_eq!(published(&nsqd, "delete_item").await, 0);
    let approved = other.post("/deletions/4/approve", &[("token", &token(&other).await)]).await;
    assert_eq!(approved.location, "/deletions/4?done=approved", "{}", approved.text);
    assert_eq!(published(&nsqd, "delete_item").await, 1);
}

#[tokio::test]
async fn a_request_of_before_is_cancelled_with_a_token_typed_in() {
    let (peer, _nsqd) = start().await;
    let browser = Browser::new(&peer, 2);
    assert!(browser.page("/deletions/1").await.contains("<input name=\"token\" value=\"\">"));
    assert!(
        browser.page("/deletions/review/1?token=abc").await.contains("type=\"hidden\" name=\"token\" value=\"abc\"")
    );
    let shown = browser.post("/deletions/1/cancel", &[("token", "ConfirmationToken")]).await;
    assert_eq!(shown.location, "/deletions/1?done=turned_down", "{}", shown.text);
    let request: DeletionRequest = peer.registry.store().find(1).unwrap().unwrap();
    assert_eq!(request.cancelled_by_id, 2);
}

#[tokio::test]
async fn only_the_institutions_administrators_request_deletions() {
    let (peer, _nsqd) = start().await;
    for (user, status) in [(1, 403), (9, 403), (2, 400)] {
        let shown = Browser::new(&peer, user).post("/objects/7/request_deletion", &[]).await;
        assert_eq!(shown.status, status, "{user}: {}", shown.text);
        let page = Browser::new(&peer, user).page("/objects/7").await;
        assert!(page.contains("Only an administrator of test.edu may do this."), "{user}");
    }
    let shown = Browser::new(&peer, 8).post("/objects/7/request_deletion", &[]).await;
    assert_eq!(shown.location, "/deletions/4?done=requested");
}

#[tokio::test]
async fn one_acts_as_any_active_user() {
    let (peer, _nsqd) = start().await;
    let browser = Browser::new(&peer, 1);
    let page = browser.page("/objects").await;
    assert!(page.contains("<option value=\"1\" selected>system@aptrust.org (admin)"));
    assert!(!page.contains("inactive@inst1.edu"));
    let shown = browser.post("/act_as", &[("user", "8"), ("back", "/files?state=A")]).await;
    assert_eq!((shown.status, shown.location.as_str()), (StatusCode::SEE_OTHER, "/files?state=A"));
    for back in ["//evil.example", "https://evil.example", "/\\evil.example"] {
        assert_eq!(browser.post("/act_as", &[("user", "8"), ("back", back)]).await.location, "/", "{back}");
    }
    for user in ["4", "99", "", "x"] {
        assert_eq!(browser.post("/act_as", &[("user", user)]).await.status, 404, "{user}");
    }
    // A cookie for somebody who is not there counts for nothing.
    assert!(Browser::new(&peer, 4).page("/").await.contains("<option value=\"1\" selected>"));
}
