//! stub
use crate::{exit::Exit, ui::Ui};
use anyhow::Result;
pub(crate) fn run(_ui: &Ui) -> Result<Exit> {
    Ok(Exit::Done)
}
