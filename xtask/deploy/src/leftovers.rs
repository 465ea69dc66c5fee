//! What a run made in AWS and takes away again when it ends before it executes it.

use std::cell::RefCell;

use anyhow::Result;
use xtask::exit::Exit;

use crate::aws::Trouble;
use crate::change_set;
use crate::session::Session;
use crate::stack;
use crate::state::{self, Before};

/// What this run made in AWS and must take away unless it is executed or wanted. Noted before it is made: the answer to the
/// request may get lost.
#[derive(Debug, Default)]
pub(crate) struct Leftovers {
    change_set: RefCell<Option<(String, String)>>,
    stack: RefCell<Option<String>>,
}

impl Leftovers {
    pub(crate) async fn remove(&self, session: &Session<'_>) -> Result<()> {
        let (set, stack) = (self.change_set.take(), self.stack.take());
        if set.is_none() && stack.is_none() {
            return Ok(());
        }
        session.aws.begin_phase(session.aws.timing.patience() * 2);
        if let Some((stack, name)) = set {
            change_set::delete(&session.aws, &stack, &name).await.map_err(|trouble| {
                Exit::Failed.stop(
                    format!("the change set {name} could not be deleted: {trouble}"),
                    format!(
                        "delete it: aws cloudformation delete-change-set --stack-name {stack} --change-set-name {name}"
                    ),
                )
            })?;
            session.ui.say(&format!("  change set {name} deleted"));
        }
        if let Some(stack) = stack {
            delete_review_stack(session, &stack).await?;
        }
        Ok(())
    }

    pub(crate) fn note_change_set(&self, stack: &str, name: &str) {
        self.change_set.replace(Some((stack.to_owned(), name.to_owned())));
    }

    pub(crate) fn note_stack(&self, stack: &str) {
        self.stack.replace(Some(stack.to_owned()));
    }

    pub(crate) fn keep(&self) {
        self.change_set.take();
        self.stack.take();
    }
}

/// Deletes a stack of this run's making that is nothing but a change set; the only stack that this program ever deletes.
async fn delete_review_stack(session: &Session<'_>, name: &str) -> Result<()> {
    let aws = &session.aws;
    let found = stack::describe(aws, name).await.map_err(Trouble::stop)?;
    let Some(stack) = found.filter(|stack| state::before(Some(&stack.status)) == Before::InReview) else {
        return Ok(());
    };
    let others = aws
        .call("listing change sets", async || aws.cloudformation.list_change_sets().stack_name(&stack.id).send().await)
        .await?;
    if !others.summaries().is_empty() {
        // A colleague prepared one meanwhile.
        return Ok(());
    }
    aws.call("deleting the empty stack", async || aws.cloudformation.delete_stack().stack_name(&stack.id).send().await)
        .await?;
    session.ui.say(&format!("  {name}, which had nothing but that change set, deleted"));
    Ok(())
}
