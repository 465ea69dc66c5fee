//! Questions to the person at the terminal. Without one nothing is asked, and what needed an answer is refused.

use std::io::{self, BufRead, IsTerminal};

use xtask::ui::{Ui, emit};

/// Somebody can answer.
pub(crate) fn can_ask() -> bool {
    io::stdin().is_terminal() && io::stderr().is_terminal()
}

/// Asks, and waits for a line. The waiting thread is left behind when a signal comes first; it ends with the process.
pub(crate) async fn ask(question: &str, ui: &Ui) -> String {
    ui.say("");
    // Where nobody reads, nobody answers: that is seen below.
    let _ = emit(&mut io::stderr(), question);
    let (sender, answer) = tokio::sync::oneshot::channel();
    std::thread::spawn(move || {
        let mut line = String::new();
        // No line means that the terminal went away, which is no consent.
        let _ = io::stdin().lock().read_line(&mut line);
        let _ = sender.send(line.trim().to_owned());
    });
    answer.await.unwrap_or_default()
}

/// A y/N question; no is the default.
pub(crate) async fn agrees(question: &str, ui: &Ui) -> bool {
    matches!(ask(&format!("{question} [y/N]"), ui).await.as_str(), "y" | "Y" | "yes")
}
