//! The dialect of settings files, which is that of gotenv 1.6.0: upstream reads the same files with it (01-contracts 2.1), so
//! a line gives the same value here or is refused. Which file is read, and which of two values wins, is for the sources.

#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::ffi::OsStr;

/// The settings of a file. `$NAME` and `${NAME}` stand for a variable that `outside` knows, empty or not, or else for the
/// last value above them in the file, or else for nothing. Later lines win over earlier ones.
pub(super) fn parse<'o>(
    file: &[u8],
    outside: impl Fn(&str) -> Option<&'o OsStr>,
) -> Result<BTreeMap<String, String>, Refused> {
    let text = decode(file)?;
    let mut settings = BTreeMap::new();
    let mut lines = text.split('\n').zip(1..);
    while let Some((line, number)) = lines.next() {
        let mut entry = line.trim().to_owned();
        if entry.is_empty() || entry.starts_with('#') {
            continue;
        }
        if let Some(quote) = left_open(&entry) {
            loop {
                let (line, _) = lines.next().ok_or(Refused::Unclosed(number))?;
                entry.push('\n');
                entry.push_str(line);
                if closes(line, quote) {
                    break;
                }
            }
        }
        let (name, value) = split(&entry).ok_or(Refused::Form(number))?;
        let value = evaluate(value.trim(), |name| match outside(name) {
            Some(value) => value.to_str().ok_or_else(|| Refused::Reference { line: number, name: name.to_owned() }),
            None => Ok(settings.get(name).map_or("", String::as_str)),
        })?;
        settings.insert(name.to_owned(), value);
    }
    Ok(settings)
}

/// Why a file cannot be used. The line itself is left out: it may hold a secret.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum Refused {
    #[error("is UTF-16; save it as UTF-8")]
    Utf16,
    #[error("line {0} is not UTF-8; save the file as UTF-8")]
    NotUtf8(usize),
    #[error(
        "line {0} is neither `NAME=value`, `NAME: value` nor a comment; a name has letters, digits, `_` and `.`, and a \
         value of several lines has nothing but a comment behind its closing quote"
    )]
    Form(usize),
    #[error("line {0} opens a quote that no later line closes; close it")]
    Unclosed(usize),
    #[error("line {line} refers to {name}, whose value in the environment is not UTF-8; set it anew")]
    Reference { line: usize, name: String },
}

/// The text without its byte order mark, each line ended by one line feed.
fn decode(file: &[u8]) -> Result<String, Refused> {
    if file.starts_with(b"\xff\xfe") || file.starts_with(b"\xfe\xff") {
        return Err(Refused::Utf16);
    }
    let whole = |text: &str| text.replace("\r\n", "\n").replace('\r', "\n");
    let file = file.strip_prefix(b"\xef\xbb\xbf").unwrap_or(file);
    match file.utf8_chunks().next() {
        Some(chunk) if !chunk.invalid().is_empty() => Err(Refused::NotUtf8(whole(chunk.valid()).split('\n').count())),
        Some(chunk) => Ok(whole(chunk.valid())),
        None => Ok(String::new()),
    }
}

/// The quote of a value that goes on in the next line.
fn left_open(line: &str) -> Option<char> {
    let separator = line.find('=').or_else(|| line.find(':')).filter(|at| *at > 0)?;
    let value = line[separator + 1..].trim();
    let quote = value.chars().next().filter(|first| matches!(first, '\'' | '"'))?;
    match value[1..].trim().rfind(quote) {
        // Of the whole value, as upstream looks: with blanks behind the opening quote that is not the byte before the last one.
        Some(last) if value.as_bytes()[last] != b'\\' => None,
        _ => Some(quote),
    }
}

fn closes(line: &str, quote: char) -> bool {
    line.rfind(quote).is_some_and(|last| !line[..last].ends_with('\\'))
}

/// Name and value of an entry, the value with its quotes and without the comment behind it.
fn split(entry: &str) -> Option<(&str, &str)> {
    let exported = entry.strip_prefix("export").filter(|rest| rest.starts_with(is_blank)).map(skip_blanks);
    // A name may be `export` itself.
    exported.and_then(assignment).or_else(|| assignment(entry))
}

fn assignment(text: &str) -> Option<(&str, &str)> {
    let end = text.find(|c: char| !c.is_ascii_alphanumeric() && !matches!(c, '_' | '.')).filter(|end| *end > 0)?;
    let (name, rest) = text.split_at(end);
    if let Some(rest) = skip_blanks(rest).strip_prefix('=') {
        return Some((name, value(skip_blanks(rest))?));
    }
    let rest = rest.strip_prefix(':')?;
    // One blank belongs to the colon, the others to the value unless there is none with them: a quote behind two blanks
    // does not protect a `#`.
    let blanks = rest.len() - skip_blanks(rest).len();
    (1..=blanks).find_map(|taken| value(&rest[taken..])).map(|value| (name, value))
}

fn value(text: &str) -> Option<&str> {
    let quoted = |quote| {
        let inner = text.strip_prefix(quote)?;
        // The last quote that may be the closing one: `'it''s'` is one value.
        let ends = inner.rmatch_indices(quote).map(|(at, _)| at + 2);
        ends.map(|end| text.split_at(end)).find(|(_, rest)| is_comment_or_nothing(rest)).map(|(value, _)| value)
    };
    let plain = || {
        // Without quotes `#` begins a comment wherever it stands.
        let (value, rest) = text.split_at(text.find(['#', '\n']).unwrap_or(text.len()));
        is_comment_or_nothing(rest).then_some(value)
    };
    quoted('\'').or_else(|| quoted('"')).or_else(plain)
}

fn is_comment_or_nothing(text: &str) -> bool {
    let text = skip_blanks(text);
    text.is_empty() || (text.starts_with('#') && !text.contains('\n'))
}

fn skip_blanks(text: &str) -> &str {
    text.trim_start_matches(is_blank)
}

/// Between the parts of an entry. Around lines and values every white space of Unicode is.
fn is_blank(c: char) -> bool {
    matches!(c, ' ' | '\t' | '\n' | '\x0c' | '\r')
}

/// Takes off the quotes and does what they ask for.
fn evaluate<'v>(value: &str, look_up: impl Fn(&str) -> Result<&'v str, Refused>) -> Result<String, Refused> {
    let within = |quote| value.strip_prefix(quote)?.strip_suffix(quote);
    match (within('\''), within('"')) {
        (Some(literal), _) => Ok(literal.to_owned()),
        (None, Some(escaped)) => expand(&unescape(escaped), look_up),
        (None, None) => expand(value, look_up),
    }
}

/// Line breaks come first, so that `\\n` is one too.
fn unescape(text: &str) -> String {
    let text = text.replace("\\n", "\n").replace("\\r", "\r");
    let mut plain = String::with_capacity(text.len());
    let mut chars = text.chars().peekable();
    while let Some(c) = chars.next() {
        // `\$` is for `expand`.
        let escaped = if c == '\\' { chars.next_if(|next| *next != '$') } else { None };
        plain.push(escaped.unwrap_or(c));
    }
    plain
}

/// A dollar sign that no name of capitals follows stands for itself.
fn expand<'v>(text: &str, look_up: impl Fn(&str) -> Result<&'v str, Refused>) -> Result<String, Refused> {
    let mut expanded = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find('$') {
        let (before, dollar) = rest.split_at(at);
        let name = dollar.strip_prefix("${").unwrap_or(&dollar[1..]);
        let (name, after) =
            name.split_at(name.find(|c| !matches!(c, 'A'..='Z' | '0'..='9' | '_')).unwrap_or(name.len()));
        rest = after.strip_prefix('}').unwrap_or(after);
        let reference = &dollar[..dollar.len() - rest.len()];
        let (before, value) = match before.strip_suffix('\\') {
            Some(before) => (before, reference),
            None if name.is_empty() => (before, reference),
            None => (before, look_up(name)?),
        };
        expanded.push_str(before);
        expanded.push_str(value);
    }
    expanded.push_str(rest);
    Ok(expanded)
}
