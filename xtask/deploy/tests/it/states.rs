//! What deploy does with a stack in each state (14).

use serde_json::{Value, json};

use crate::stand::{Stand, empty, template, with_stack};

fn in_state(status: &str, more: Value) -> Stand {
    let mut stack = json!({ "status": status, "status_reason": "as the test wants it" });
    if let (Some(stack), Value::Object(more)) = (stack.as_object_mut(), more) {
        stack.extend(more);
    }
    Stand::new(&with_stack("staging", &template('1'), stack))
}

#[test]
fn every_state_has_its_exit_code_and_its_next_step() {
    let table = [
        ("CREATE_COMPLETE", 0, "Only their image changes"),
        ("UPDATE_COMPLETE", 0, "Only their image changes"),
        ("IMPORT_COMPLETE", 0, "Only their image changes"),
        ("UPDATE_ROLLBACK_COMPLETE", 0, "the last operation ended in UPDATE_ROLLBACK_COMPLETE"),
        ("IMPORT_ROLLBACK_COMPLETE", 0, "the last operation ended in IMPORT_ROLLBACK_COMPLETE"),
        ("CREATE_IN_PROGRESS", 8, "--attach"),
        ("DELETE_IN_PROGRESS", 8, "--attach"),
        ("IMPORT_IN_PROGRESS", 8, "--attach"),
        ("IMPORT_ROLLBACK_IN_PROGRESS", 8, "--attach"),
        ("ROLLBACK_IN_PROGRESS", 8, "--attach"),
        ("UPDATE_IN_PROGRESS", 8, "--attach"),
        ("UPDATE_COMPLETE_CLEANUP_IN_PROGRESS", 8, "--attach"),
        ("UPDATE_ROLLBACK_IN_PROGRESS", 8, "--attach"),
        ("UPDATE_ROLLBACK_COMPLETE_CLEANUP_IN_PROGRESS", 8, "--attach"),
        ("REVIEW_IN_PROGRESS", 3, "was never created"),
        ("ROLLBACK_COMPLETE", 6, "can only be deleted"),
        ("CREATE_FAILED", 6, "delete the stack in the console"),
        ("ROLLBACK_FAILED", 6, "delete the stack in the console"),
        ("DELETE_FAILED", 6, "delete the stack in the console"),
        ("IMPORT_ROLLBACK_FAILED", 6, "delete the stack in the console"),
        ("UPDATE_FAILED", 6, "rollback disabled"),
        ("UPDATE_ROLLBACK_FAILED", 6, "--continue-rollback"),
        ("DELETE_COMPLETE", 3, "there is no stack preserv-services-staging"),
    ];
    for (status, code, text) in table {
        let stand = in_state(status, json!({}));
        stand.deploy(&["staging", "--preview"]).ends(code).says(text);
        if code != 0 {
            assert_eq!(stand.writes(), Vec::<String>::new(), "{status}");
        }
    }
}

#[test]
fn a_stack_that_is_not_there_is_not_created_by_accident() {
    let stand = Stand::new(&empty("staging", json!({})));
    stand.deploy(&["staging"]).ends(3).says("--create --parameters");
    assert_eq!(stand.writes(), Vec::<String>::new());
}

#[test]
fn what_failed_in_a_rollback_is_named() {
    let stand = in_state("UPDATE_ROLLBACK_FAILED", json!({ "resource_status": { "AlphaService": "UPDATE_FAILED" } }));
    stand.deploy(&["staging"]).ends(6).says("AlphaService").says("--skip");
}
