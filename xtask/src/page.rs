//! One page about a release or an environment, for people who have neither this checkout nor an account: HTML that stands by itself,
//! without scripts and without anything that is fetched. `release` writes it beside its manifest, `status --html` for what runs.

use std::fmt::Write as _;
use std::path::Path;

use anyhow::Result;

use crate::files::write_atomic;
use crate::markup::escaped;
use crate::ui::megabytes;

/// What the page says. Every text is taken as it is, and escaped here.
#[derive(Clone, Debug, Default)]
pub struct Page {
    pub title: String,
    /// Facts about the whole, by name.
    pub facts: Vec<(String, String)>,
    pub services: Vec<Service>,
}

/// One service's line; what is not known is empty.
#[derive(Clone, Debug, Default)]
pub struct Service {
    pub name: String,
    pub tag: String,
    /// `sha256:…`.
    pub digest: String,
    /// Compressed bytes of the image.
    pub bytes: Option<u64>,
    /// The full commit id.
    pub commit: String,
    /// Where it runs, and how that stands.
    pub runs: String,
    pub state: State,
    /// Since when, RFC 3339.
    pub since: String,
}

/// How it stands, for a mark beside it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum State {
    #[default]
    Unknown,
    Good,
    /// A person should look at it.
    Odd,
}

impl Page {
    /// Writes the page.
    ///
    /// # Errors
    /// When the file cannot be written; then the one of before stays.
    pub fn write(&self, path: &Path) -> Result<()> {
        write_atomic(path, self.html().as_bytes())
    }

    fn html(&self) -> String {
        let mut html = String::from(HEAD);
        let title = escaped(&self.title);
        let _ =
            write!(html, "<title>{title}</title>\n<style>{STYLE}</style>\n</head>\n<body>\n<h1>{title}</h1>\n<dl>\n");
        for (name, value) in &self.facts {
            let _ = writeln!(html, "<div><dt>{}</dt><dd>{}</dd></div>", escaped(name), escaped(value));
        }
        html.push_str("</dl>\n<table>\n<thead><tr>");
        for column in COLUMNS {
            let _ = write!(html, "<th scope=\"col\">{column}</th>");
        }
        html.push_str("</tr></thead>\n<tbody>\n");
        for service in &self.services {
            service.row(&mut html);
        }
        html.push_str("</tbody>\n</table>\n</body>\n</html>\n");
        html
    }
}

const COLUMNS: [&str; 7] = ["Service", "Tag", "Digest", "Size", "Built from", "Runs", "Since"];

impl Service {
    fn row(&self, html: &mut String) {
        let mark = match self.state {
            State::Unknown => "",
            State::Good => "<span class=\"good\" title=\"as it should be\">●</span> ",
            State::Odd => "<span class=\"odd\" title=\"look at it\">▲</span> ",
        };
        let code = |text: &str, shown: &str| match text {
            "" => String::new(),
            _ => format!("<code title=\"{}\">{}</code>", escaped(text), escaped(shown)),
        };
        let short = self.commit.get(..10).unwrap_or(&self.commit);
        let cells = [
            code(&self.tag, &self.tag),
            code(&self.digest, &self.digest),
            self.bytes.map(megabytes).unwrap_or_default(),
            code(&self.commit, short),
            format!("{mark}{}", escaped(&self.runs)),
            format!("<time>{}</time>", escaped(&self.since)),
        ];
        let _ = write!(html, "<tr><th scope=\"row\">{}</th>", escaped(&self.name));
        for (column, cell) in COLUMNS[1..].iter().zip(cells) {
            let _ = write!(html, "<td data-name=\"{column}\">{cell}</td>");
        }
        html.push_str("</tr>\n");
    }
}

const HEAD: &str = "<!DOCTYPE html>
<html lang=\"en\">
<head>
<meta charset=\"utf-8\">
<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">
";

/// Below 60 em each service becomes a card, whose cells name themselves.
const STYLE: &str = "
:root { color-scheme: light dark; --line: color-mix(in srgb, currentColor 18%, transparent); }
body { font: 15px/1.45 system-ui, sans-serif; margin: 2rem auto; max-width: 90rem; padding: 0 1.5rem; }
h1 { font-size: 1.5rem; margin: 0 0 1rem; }
dl { display: grid; grid-template-columns: repeat(auto-fit, minmax(16rem, 1fr)); gap: .75rem 2rem; margin: 0 0 1.5rem; }
dt { font-size: .8rem; opacity: .7; }
dd { margin: 0; overflow-wrap: anywhere; }
table { border-collapse: collapse; width: 100%; }
th, td { text-align: left; vertical-align: top; padding: .45rem .75rem .45rem 0; border-bottom: 1px solid var(--line); }
thead th { font-size: .8rem; font-weight: 600; opacity: .7; }
tbody th { font-weight: 600; white-space: nowrap; }
td[data-name=Tag], td[data-name='Built from'], td[data-name=Size], td[data-name=Since] { white-space: nowrap; font-variant-numeric: tabular-nums; }
code { font: .85em ui-monospace, monospace; }
td[data-name=Digest] { overflow-wrap: anywhere; }
.good { color: #1a8f3c; } .odd { color: #c2410c; }
@media (max-width: 60em) {
  thead { display: none; }
  tbody tr { display: block; padding: .75rem 0; border-bottom: 1px solid var(--line); }
  tbody th, td { display: block; border: 0; padding: .1rem 0; white-space: normal; }
  td:empty { display: none; }
  td::before { content: attr(data-name) ': '; font-size: .8rem; opacity: .7; }
}
@media print { body { margin: 0; max-width: none; font-size: 9pt; } tr { break-inside: avoid; } }
";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_stands_by_itself_and_takes_no_text_for_markup() {
        let service = Service {
            name: "apt_delete".to_owned(),
            tag: "1a2b3c4-<main>".to_owned(),
            digest: "sha256:ab".to_owned(),
            bytes: Some(1_250_000),
            commit: "1a2b3c4d5e6f7".to_owned(),
            runs: "1 of 1 \"tasks\" & more".to_owned(),
            state: State::Good,
            since: "2026-01-02T03:04:05Z".to_owned(),
        };
        let page = Page {
            title: "release <1>".to_owned(),
            facts: vec![("commit".to_owned(), "1a2b3c4d5e6f7".to_owned())],
            services: vec![service, Service { name: "apt_queue".to_owned(), ..Service::default() }],
        };
        let html = page.html();
        for text in [
            "<title>release &lt;1&gt;</title>",
            "1a2b3c4-&lt;main&gt;",
            "1 of 1 &quot;tasks&quot; &amp; more",
            ">1.2 MB<",
            "<code title=\"1a2b3c4d5e6f7\">1a2b3c4d5e</code>",
            "<th scope=\"row\">apt_queue</th>",
        ] {
            assert!(html.contains(text), "{text} is not in {html}");
        }
        for outside in ["src=", "href=", "url(", "@import", "<script"] {
            assert!(!html.contains(outside), "{outside}");
        }
    }
}
