//! The table that `--check-settings` prints: one row per setting that the program reads, its name in the first column.

use super::reader::{Entry, Report};

impl Report {
    /// Aligned columns under a lower-case heading, so that a line that begins with a capital letter is a setting.
    pub(crate) fn table(&self) -> String {
        let heading = ["setting", "need", "kind", "source", "value"].map(str::to_owned);
        let rows: Vec<[String; 5]> = std::iter::once(heading).chain(self.entries.iter().map(row)).collect();
        let width = |column: usize| rows.iter().map(|row| row[column].chars().count()).max().unwrap_or_default();
        let widths: Vec<usize> = (0..4).map(width).collect();
        let line = |row: &[String; 5]| {
            let cells = row.iter().zip(&widths).map(|(cell, width)| format!("{cell:width$}  "));
            cells.chain([row[4].clone()]).collect::<String>() + "\n"
        };
        rows.iter().map(line).collect()
    }
}

fn row(entry: &Entry) -> [String; 5] {
    let Entry { name, need, kind, source, value } = entry;
    [name.clone(), (*need).to_owned(), (*kind).to_owned(), source.clone(), value.clone()]
}
