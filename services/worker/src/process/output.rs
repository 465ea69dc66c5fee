//! The only place that writes to stdout and stderr; logging is telemetry's.

use std::io::{self, Write as _};

/// An answer to a question on the command line.
pub(crate) fn answer(text: &str) {
    // Whoever closed the pipe does not want the rest.
    let _ = writeln!(io::stdout().lock(), "{}", text.trim_end());
}

/// One line on stderr that begins with the program's name.
pub(crate) fn complain(program: &str, text: &str) {
    let _ = writeln!(io::stderr().lock(), "{program}: {text}");
}
