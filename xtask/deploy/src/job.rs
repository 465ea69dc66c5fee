//! What is to be deployed, and what is there when nothing but the execution is missing.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

use xtask::cli::deploy::Checks;

use crate::change_set::ChangeSet;
use crate::events::Events;
use crate::gate::Tests;
use crate::observe::Observer;
use crate::record::Record;
use crate::release::Origin;
use crate::template::Template;
use crate::template::facts::Facts;

/// What is to be deployed.
#[derive(Debug)]
pub(crate) struct Job<'a> {
    pub(crate) command: &'static str,
    pub(crate) mode: Mode,
    pub(crate) checks: &'a Checks,
    pub(crate) note: Option<&'a str>,
    /// Text and source of the template; none if the change set brings it.
    pub(crate) template: Option<(String, String)>,
    pub(crate) from: &'a [PathBuf],
    /// What the archive knows of a template that ran before.
    pub(crate) evidence: Option<(Origin, Tests)>,
    /// Values for a creation.
    pub(crate) creation: Option<BTreeMap<String, String>>,
}

/// Which part of the whole is wanted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Mode {
    Whole,
    /// Show the change set, and delete it.
    Preview,
    /// Show the change set, and keep it.
    Prepare,
    /// Everything from a change set that is there.
    Execute(String),
}

/// Everything that the rest needs, when nothing but the execution is missing.
#[derive(Debug)]
pub(crate) struct Ready {
    pub(crate) set: ChangeSet,
    pub(crate) template: Template,
    pub(crate) facts: Facts,
    pub(crate) digests: BTreeMap<String, BTreeSet<String>>,
    pub(crate) events: Events,
    pub(crate) observer: Observer,
    /// When the stack changed last.
    pub(crate) changed: Option<String>,
    pub(crate) record: Record,
}
