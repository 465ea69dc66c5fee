//! A YAML text as a graph of nodes, each of which knows where in the bytes it stands.
//!
//! Nothing is interpreted: scalars keep their text, short tags their name, and an alias is the node that it stands for.
//! The parser counts characters; everything that leaves this file counts bytes.

use std::collections::HashMap;
use std::ops::Range;

use saphyr_parser::{Event, Parser, ScalarStyle, Tag};

/// The place of a node in [`Yaml::nodes`].
pub(super) type NodeId = usize;

/// A parsed text.
#[derive(Debug)]
pub(super) struct Yaml {
    nodes: Vec<Node>,
    documents: Vec<NodeId>,
    comments: Vec<Comment>,
    expanded: u64,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Node {
    /// Counted from 1.
    pub(super) line: usize,
    /// `Sub` for `!Sub`. Other tags than such short ones are spelled out, YAML's own (`!!str`) are left out.
    pub(super) tag: Option<String>,
    pub(super) kind: Kind,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Scalar(Scalar),
    Sequence(Vec<NodeId>),
    Mapping(Vec<(NodeId, NodeId)>),
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Scalar {
    pub(super) text: String,
    pub(super) style: ScalarStyle,
    /// Where in the source the content ends: before the closing quote, the spaces and line breaks after it, and a comment.
    pub(super) end: usize,
}

/// A comment, without its `#`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Comment {
    pub(super) line: usize,
    pub(super) text: String,
}

impl Yaml {
    /// Parses all documents of a text; the error says what is wrong and where.
    pub(super) fn parse(source: &str) -> Result<Self, String> {
        let mut builder = Builder::new(source);
        for event in Parser::new_from_str(source) {
            let (event, span) = event.map_err(|error| {
                format!("line {}, column {}: {}", error.marker().line(), error.marker().col() + 1, error.info())
            })?;
            let bytes = builder.bytes(span.start.index(), span.end.index());
            builder.take(event, bytes, span.start.line())?;
        }
        let comments = builder.comments();
        let expanded = builder.documents.iter().fold(0, |sum: u64, id| sum.saturating_add(builder.sizes[*id]));
        Ok(Self { nodes: builder.nodes, documents: builder.documents, comments, expanded })
    }

    pub(super) fn node(&self, id: NodeId) -> &Node {
        &self.nodes[id]
    }

    /// All nodes, in the order of the text.
    pub(super) fn nodes(&self) -> &[Node] {
        &self.nodes
    }

    /// How many nodes there are where each alias counts as all that it stands for.
    pub(super) fn expanded(&self) -> u64 {
        self.expanded
    }

    /// The root of each document that is not empty.
    pub(super) fn documents(&self) -> &[NodeId] {
        &self.documents
    }

    pub(super) fn comments(&self) -> &[Comment] {
        &self.comments
    }

    /// The text of a scalar.
    pub(super) fn text(&self, id: NodeId) -> Option<&str> {
        match &self.nodes[id].kind {
            Kind::Scalar(scalar) => Some(&scalar.text),
            _ => None,
        }
    }

    /// The elements of a sequence; none for anything else.
    pub(super) fn elements(&self, id: NodeId) -> &[NodeId] {
        match &self.nodes[id].kind {
            Kind::Sequence(elements) => elements,
            _ => &[],
        }
    }

    /// The entries of a mapping; none for anything else.
    pub(super) fn entries(&self, id: NodeId) -> &[(NodeId, NodeId)] {
        match &self.nodes[id].kind {
            Kind::Mapping(entries) => entries,
            _ => &[],
        }
    }

    /// The value of a mapping's key.
    pub(super) fn get(&self, id: NodeId, key: &str) -> Option<NodeId> {
        self.entries(id).iter().find(|(found, _)| self.text(*found) == Some(key)).map(|(_, value)| *value)
    }

    /// A key that stands twice in one mapping: it, and the two lines.
    pub(super) fn repeated_key(&self) -> Option<(&str, usize, usize)> {
        self.nodes.iter().find_map(|node| {
            let Kind::Mapping(entries) = &node.kind else { return None };
            let mut seen: HashMap<&str, usize> = HashMap::new();
            entries.iter().find_map(|(key, _)| {
                let text = self.text(*key)?;
                let line = self.nodes[*key].line;
                seen.insert(text, line).map(|first| (text, first, line))
            })
        })
    }
}

/// Puts events together.
struct Builder<'a> {
    source: &'a str,
    /// The byte of each character, and the end.
    offsets: Vec<usize>,
    nodes: Vec<Node>,
    /// Of each node, with all below it; of one that is still open, too many.
    sizes: Vec<u64>,
    documents: Vec<NodeId>,
    anchors: HashMap<usize, NodeId>,
    /// The collections that are open, with their children so far.
    open: Vec<(NodeId, Vec<NodeId>)>,
    /// The scalars, tags and quotes included: where no comment can be.
    scalars: Vec<Range<usize>>,
}

impl<'a> Builder<'a> {
    fn new(source: &'a str) -> Self {
        let offsets = source.char_indices().map(|(offset, _)| offset).chain([source.len()]).collect();
        Self {
            source,
            offsets,
            nodes: Vec::new(),
            sizes: Vec::new(),
            documents: Vec::new(),
            anchors: HashMap::new(),
            open: Vec::new(),
            scalars: Vec::new(),
        }
    }

    fn bytes(&self, start: usize, end: usize) -> Range<usize> {
        let byte = |index: usize| self.offsets.get(index).copied().unwrap_or(self.source.len());
        byte(start)..byte(end).max(byte(start))
    }

    fn take(&mut self, event: Event<'_>, bytes: Range<usize>, line: usize) -> Result<(), String> {
        match event {
            Event::Scalar(text, style, anchor, tag) => {
                let end = bytes.start + content_end(&self.source[bytes.clone()], style);
                self.scalars.push(bytes.start..end);
                let scalar = Scalar { text: text.into_owned(), style, end };
                let id = self.add(Kind::Scalar(scalar), tag.as_deref(), anchor, line);
                self.attach(id);
            }
            Event::SequenceStart(anchor, tag) => {
                let id = self.add(Kind::Sequence(Vec::new()), tag.as_deref(), anchor, line);
                self.open.push((id, Vec::new()));
            }
            Event::MappingStart(anchor, tag) => {
                let id = self.add(Kind::Mapping(Vec::new()), tag.as_deref(), anchor, line);
                self.open.push((id, Vec::new()));
            }
            Event::SequenceEnd | Event::MappingEnd => {
                if let Some((id, children)) = self.open.pop() {
                    let sizes = children.iter().map(|child| self.sizes[*child]);
                    self.sizes[id] = sizes.fold(1, u64::saturating_add);
                    match &mut self.nodes[id].kind {
                        Kind::Mapping(entries) => {
                            *entries = children.chunks_exact(2).map(|pair| (pair[0], pair[1])).collect();
                        }
                        Kind::Sequence(elements) => *elements = children,
                        Kind::Scalar(_) => {}
                    }
                    self.attach(id);
                }
            }
            Event::Alias(anchor) => {
                let id = *self.anchors.get(&anchor).ok_or_else(|| format!("line {line}: an alias of nothing"))?;
                self.attach(id);
            }
            Event::DocumentStart(_) => self.anchors.clear(),
            Event::Nothing | Event::StreamStart | Event::StreamEnd | Event::DocumentEnd => {}
        }
        Ok(())
    }

    fn add(&mut self, kind: Kind, tag: Option<&Tag>, anchor: usize, line: usize) -> NodeId {
        let id = self.nodes.len();
        let tag = tag.filter(|tag| !tag.is_yaml_core_schema()).map(|tag| match tag.handle.as_str() {
            "!" => tag.suffix.clone(),
            _ => tag.to_string(),
        });
        self.sizes.push(if matches!(kind, Kind::Scalar(_)) { 1 } else { u64::MAX });
        self.nodes.push(Node { line, tag, kind });
        if anchor != 0 {
            self.anchors.insert(anchor, id);
        }
        id
    }

    fn attach(&mut self, id: NodeId) {
        match self.open.last_mut() {
            Some((_, children)) => children.push(id),
            None => self.documents.push(id),
        }
    }

    /// What stands between the scalars, after a `#`, to the end of the line.
    fn comments(&self) -> Vec<Comment> {
        let mut comments = Vec::new();
        let (mut from, mut line) = (0, 1);
        let end = self.source.len()..self.source.len();
        for scalar in self.scalars.iter().chain([&end]) {
            let gap = self.source.get(from..scalar.start).unwrap_or_default();
            for (index, text) in gap.split('\n').enumerate() {
                line += usize::from(index > 0);
                // At the start of a line, or after a space: `a#b` is no comment.
                let at_start = index > 0 || from == 0;
                let begins = |at: usize| (at == 0 && at_start) || text[..at].ends_with([' ', '\t', '\u{feff}']);
                if let Some((at, _)) = text.match_indices('#').find(|(at, _)| begins(*at)) {
                    comments.push(Comment { line, text: text[at..].trim_start_matches('#').trim().to_owned() });
                }
            }
            let until = scalar.end.max(from);
            line += self.source.get(scalar.start.max(from)..until).unwrap_or_default().matches('\n').count();
            from = until;
        }
        comments
    }
}

/// Where in the source of a scalar its content ends. The parser's span begins with tag and anchor and, for quoted scalars,
/// runs on to the end of the line.
fn content_end(raw: &str, style: ScalarStyle) -> usize {
    let quote = match style {
        ScalarStyle::Plain | ScalarStyle::Literal | ScalarStyle::Folded => return raw.trim_end().len(),
        ScalarStyle::SingleQuoted => b'\'',
        ScalarStyle::DoubleQuoted => b'"',
    };
    let bytes = raw.as_bytes();
    let mut at = bytes.iter().position(|byte| *byte == quote).map_or(raw.len(), |opening| opening + 1);
    while let Some(byte) = bytes.get(at) {
        match *byte {
            b'\\' if quote == b'"' => at += 2,
            b'\'' if quote == b'\'' && bytes.get(at + 1) == Some(&b'\'') => at += 2,
            byte if byte == quote => return at,
            _ => at += 1,
        }
    }
    raw.len()
}
