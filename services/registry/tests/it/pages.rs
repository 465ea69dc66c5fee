//! Lists are followed to their end, and only to their end.

use futures_util::{StreamExt as _, TryStreamExt as _};
use model::{GenericFile, WorkItem};
use registry::{Kind, Query};

use super::server::{Answer, Server, ends, reply};

fn page(ids: &[i64], next: &str) -> Answer {
    let results: Vec<String> = ids.iter().map(|id| format!("{{\"id\":{id}}}")).collect();
    let results = results.join(",");
    Answer::Bytes(reply(200, &format!(r#"{{"count":9,"next":"{next}","previous":"","results":[{results}]}}"#)))
}

#[tokio::test]
async fn pages_are_followed_by_the_query_of_the_next() {
    let server = Server::start(|number, _| match number {
        0 => page(&[1, 2], "/admin-api/v3/items?action=Restore+File&page=2&per_page=2"),
        1 => page(&[3, 4], "http://elsewhere.example/x?action=Restore+File&page=3&per_page=2"),
        _ => page(&[5], ""),
    })
    .await;
    let query = Query::new().filter("action", "Restore File").per_page(2);
    let items: Vec<WorkItem> = ends(server.client().all(query).try_collect()).await.unwrap();
    assert_eq!(items.iter().map(|item| item.id).collect::<Vec<_>>(), [1, 2, 3, 4, 5]);
    let expected = [
        "GET /admin-api/v3/items?action=Restore+File&per_page=2",
        "GET /admin-api/v3/items?action=Restore+File&page=2&per_page=2",
        "GET /admin-api/v3/items?action=Restore+File&page=3&per_page=2",
    ];
    assert_eq!(server.lines(), expected, "only the query counts, not the address");
}

#[tokio::test]
async fn a_page_is_fetched_when_it_is_asked_for() {
    let server = Server::start(|number, _| page(&[1], &format!("/x?page={}", number + 2))).await;
    let client = server.client();
    let mut pages = Box::pin(client.pages::<GenericFile>(Query::new()));
    assert_eq!(server.lines().len(), 0);
    ends(pages.next()).await.unwrap().unwrap();
    ends(pages.next()).await.unwrap().unwrap();
    drop(pages);
    assert_eq!(server.lines().len(), 2);
}

#[tokio::test]
async fn an_empty_page_is_the_last_even_if_the_count_says_more() {
    let server = Server::start(|number, _| match number {
        0 => page(&[1], "/x?page=2"),
        _ => page(&[], "/x?page=3"),
    })
    .await;
    let files: Vec<GenericFile> = ends(server.client().all(Query::new()).try_collect()).await.unwrap();
    assert_eq!((files.len(), server.lines().len()), (1, 2));
}

#[tokio::test]
async fn a_server_that_leads_in_a_circle_is_found_out() {
    for next in ["/x?page=1", "/x?page=0", "/x?per_page=20", "/x?page=two", "/x?page=-5"] {
        let server = Server::always(page(&[1], next)).await;
        let result: Result<Vec<GenericFile>, _> = ends(server.client().all(Query::new()).try_collect()).await;
        let error = result.unwrap_err();
        assert!(matches!(error.kind(), Kind::BadAnswer { .. }), "{next}: {error}");
        assert!(error.to_string().contains("/admin-api/v3/files: after page 1 the Registry leads to "), "{error}");
    }
    let server = Server::start(|number, _| page(&[1], if number % 2 == 0 { "/x?page=2" } else { "/x?page=1" })).await;
    let result: Result<Vec<GenericFile>, _> = ends(server.client().all(Query::new()).try_collect()).await;
    assert!(result.is_err());
    assert_eq!(server.lines().len(), 2);
}

#[tokio::test]
async fn an_error_ends_the_pages() {
    let server = Server::start(|number, _| match number {
        0 => page(&[1], "/x?page=2"),
        _ => Answer::Bytes(reply(400, "no")),
    })
    .await;
    let results: Vec<_> = ends(server.client().all::<GenericFile>(Query::new()).collect()).await;
    assert_eq!(results.iter().map(Result::is_ok).collect::<Vec<_>>(), [true, false]);
}
