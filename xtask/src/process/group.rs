//! What the processes of a group are at, as proc(5) tells it.

/// A process of these groups runs. Zombies do not count: who should take note of them may never do so. Systems without
/// `/proc` are taken at their word that the signals arrived.
pub(super) fn is_alive(pids: &[u32]) -> bool {
    members(pids).any(|member| !matches!(member.state, 'Z' | 'X'))
}

/// A process of these groups reads from the terminal, which stops it: the terminal is this process's.
pub(super) fn waits_for_terminal(pids: &[u32]) -> bool {
    members(pids).any(|member| member.state == 'T' && member.terminal != 0)
}

/// What proc(5) tells of a process in `stat`.
struct Member {
    state: char,
    /// 0: none.
    terminal: i32,
}

/// The processes of these groups.
fn members(pids: &[u32]) -> impl Iterator<Item = Member> {
    let processes = std::fs::read_dir("/proc").into_iter().flatten().flatten();
    let lines = processes.filter_map(|process| std::fs::read_to_string(process.path().join("stat")).ok());
    lines.filter_map(|line| {
        let fields: Vec<&str> = line.rsplit_once(") ")?.1.split(' ').take(5).collect();
        let [state, _, group, _, terminal] = fields.as_slice() else { return None };
        let group: u32 = group.parse().ok()?;
        pids.contains(&group).then_some(Member { state: state.chars().next()?, terminal: terminal.parse().ok()? })
    })
}
