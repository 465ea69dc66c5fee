//! This machine's name, as WorkItems and claims show it.

/// In a container, the container's; it changes with every start.
pub(crate) fn name() -> String {
    rustix::system::uname().nodename().to_string_lossy().into_owned()
}
