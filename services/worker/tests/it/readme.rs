//! The table in `services/README.md` tells what the files in `services/apps/src/bin` declare.

use std::collections::BTreeMap;
use std::fs;
use std::path::PathBuf;

#[test]
fn the_table_of_services_is_what_the_files_declare() {
    let services = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("..");
    let readme = fs::read_to_string(services.join("README.md")).unwrap();
    let table = readme
        .lines()
        .skip_while(|line| !line.starts_with("| Service |"))
        .skip(2)
        .take_while(|line| line.starts_with('|'));
    let rows = table.map(|row| {
        let row = row.strip_prefix("| `").unwrap_or_else(|| panic!("a row without a service: {row}"));
        let cells: Vec<&str> = row.trim_end_matches(" |").split(" | ").collect();
        let [name, waits_for, _, _, settings] = cells[..] else { panic!("not five cells: {row}") };
        (name.trim_end_matches('`').to_owned(), (waits_for.to_owned(), settings.to_owned()))
    });
    let files = fs::read_dir(services.join("apps/src/bin")).unwrap().map(|entry| {
        let path = entry.unwrap().path();
        let text = fs::read_to_string(&path).unwrap();
        let name = path.file_stem().unwrap().to_str().unwrap().to_owned();
        (name, declaration(&text).unwrap_or_else(|| panic!("{} declares no program", path.display())))
    });
    assert_eq!(rows.collect::<BTreeMap<_, _>>(), files.collect());
}

/// What the program waits for and the sections that it reads beyond what its kind does, as the table has them.
fn declaration(text: &str) -> Option<(String, String)> {
    let topic = model::Topic::ALL.into_iter().find(|topic| {
        [")", ","].iter().any(|end| text.contains(&format!("Topic::{topic:?}{end}")))
            || *topic == model::Topic::DeleteItem && text.contains("Rules::deletion()")
    });
    let topic = topic.map(|topic| format!("topic `{topic}`"));
    let waits_for = topic.or_else(|| between(text, "Scanner::every(names::", ")").map(|name| format!("`{name}`")))?;
    let kinds = ["ItemWorker", "QueueWorker", "Scanner"];
    let settings = between(text, "type Settings = ", ";")
        .or_else(|| kinds.iter().find_map(|kind| between(text, &format!("Program<{kind}, "), "> =")))?;
    let settings = settings.trim_start_matches('(').trim_end_matches(')');
    Some((waits_for, if settings.is_empty() { "-" } else { settings }.to_owned()))
}

fn between<'a>(text: &'a str, before: &str, after: &str) -> Option<&'a str> {
    let (_, rest) = text.split_once(before)?;
    rest.split_once(after).map(|(found, _)| found)
}
