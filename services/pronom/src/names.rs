//! What the name of a file suggests.

use std::collections::HashMap;

use crate::data::Format;
use crate::report::Basis;

/// The extensions of all formats.
#[derive(Debug)]
pub(crate) struct Names {
    /// In lower case.
    extensions: HashMap<String, Vec<u16>>,
    /// Extensions of several parts, such as `src.rpm`, in the order of the data.
    endings: Vec<(String, Vec<u16>)>,
}

/// Schemes of addresses whose query is no part of the name; web archives are full of them.
const SCHEMES: [&str; 7] = ["http", "https", "ftp", "mailto", "file", "data", "irc"];

impl Names {
    pub(crate) fn new(formats: &[Format]) -> Self {
        let mut names = Names { extensions: HashMap::new(), endings: Vec::new() };
        for (format, number) in formats.iter().zip(0..) {
            for extension in format.extensions.iter().filter(|extension| !extension.is_empty()) {
                if !extension.contains('.') {
                    names.extensions.entry(extension.to_lowercase()).or_default().push(number);
                } else if let Some((_, owners)) = names.endings.iter_mut().find(|(ending, _)| ending == extension) {
                    owners.push(number);
                } else {
                    names.endings.push((extension.clone(), vec![number]));
                }
            }
        }
        names
    }

    /// Formats that have this extension, in the order of the data.
    pub(crate) fn suggest(&self, name: &str) -> Vec<(u16, Basis)> {
        let base = base(name);
        let mut found = Vec::new();
        if let Some(extension) = extension(base).map(str::to_lowercase)
            && let Some(formats) = self.extensions.get(&extension)
        {
            found.extend(formats.iter().map(|format| (*format, Basis::Extension(extension.clone()))));
        }
        let ends_with = |ending: &str| base.strip_suffix(ending).is_some_and(|before| before.ends_with('.'));
        if let Some((ending, formats)) = self.endings.iter().find(|(ending, _)| ends_with(ending)) {
            found.extend(formats.iter().map(|format| (*format, Basis::Name(format!("*.{ending}")))));
        }
        found
    }
}

/// From the last dot on, without it.
pub(crate) fn extension(name: &str) -> Option<&str> {
    base(name).rsplit_once('.').map(|(_, extension)| extension)
}

/// The last part of a path of Unix or Windows, or of an address.
fn base(name: &str) -> &str {
    let mut path = name;
    if let Some((before, after)) = name.split_once("://") {
        let scheme = before.rsplit(|c: char| !c.is_ascii_alphabetic()).next().unwrap_or_default();
        if SCHEMES.contains(&scheme) {
            path = after.split(['?', '#']).next().unwrap_or_default();
            path = path.find('/').map_or("", |start| &path[start..]);
        }
    }
    path.trim_end_matches(['/', '\\']).rsplit(['/', '\\']).next().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_extension_is_what_follows_the_last_dot_of_the_last_part() {
        for (name, wanted) in [
            ("a.txt", Some("txt")),
            ("a.tar.gz", Some("gz")),
            (".bashrc", Some("bashrc")),
            ("a.b/c", None),
            ("a\\b.DOC", Some("DOC")),
            ("a.txt/", Some("txt")),
            ("", None),
            ("a.", Some("")),
            ("http://example.org/a/b.html?c=d.pdf#e.f", Some("html")),
            ("http://example.org", None),
        ] {
            assert_eq!(extension(name), wanted, "{name}");
        }
    }
}
