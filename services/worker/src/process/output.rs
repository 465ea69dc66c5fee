//! What a program says other than through its log: answers, and complaints while there is no log.

use std::io::{self, Write as _};
use std::time::Duration;

use crate::process::lines::Lines;

/// How long a process that ends waits for whoever reads what it says.
pub(crate) const PATIENCE: Duration = Duration::from_secs(2);

/// An answer to a question on the command line.
pub(crate) fn answer(text: &str) {
    // Whoever closed the pipe does not want the rest.
    let _ = writeln!(io::stdout().lock(), "{}", text.trim_end());
}

/// One line on stderr that begins with the program's name. Comes back although nobody reads stderr.
pub(crate) fn complain(program: &str, text: &str) {
    // Without a thread there is no way to say it.
    if let Ok(lines) = Lines::start("stderr", io::stderr(), |_| {}) {
        lines.push(format!("{program}: {text}\n").as_bytes());
        lines.end(PATIENCE);
    }
}
