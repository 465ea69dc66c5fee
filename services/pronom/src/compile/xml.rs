//! The two XML files that The National Archives publish, as they say it: DROID's signature file and the container signatures.

use quick_xml::Reader;
use quick_xml::events::{BytesStart, Event};

use super::CompileError;

/// DROID's signature file.
#[derive(Debug)]
pub(super) struct SignatureFile {
    pub(super) version: u32,
    /// As in `2026-01-19T10:53:18`.
    pub(super) date: String,
    pub(super) signatures: Vec<(u32, Vec<ByteSequence>)>,
    pub(super) formats: Vec<Format>,
}

#[derive(Debug)]
pub(super) struct Format {
    pub(super) id: u32,
    pub(super) puid: String,
    pub(super) name: String,
    pub(super) version: String,
    pub(super) mime: String,
    pub(super) extensions: Vec<String>,
    pub(super) signatures: Vec<u32>,
    pub(super) inferiors: Vec<u32>,
}

#[derive(Debug)]
pub(super) struct ByteSequence {
    pub(super) reference: Reference,
    pub(super) subsequences: Vec<SubSequence>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Reference {
    Beginning,
    Ending,
    Variable,
}

#[derive(Debug)]
pub(super) struct SubSequence {
    pub(super) position: u32,
    pub(super) min: Option<u32>,
    pub(super) max: Option<u32>,
    pub(super) sequence: String,
    pub(super) left: Vec<Fragment>,
    pub(super) right: Vec<Fragment>,
}

#[derive(Debug)]
pub(super) struct Fragment {
    pub(super) position: u32,
    pub(super) min: Option<u32>,
    pub(super) max: Option<u32>,
    pub(super) value: String,
}

/// The container signatures.
#[derive(Debug)]
pub(super) struct ContainerFile {
    pub(super) version: u32,
    pub(super) signatures: Vec<Container>,
}

#[derive(Debug)]
pub(super) struct Container {
    pub(super) puid: String,
    pub(super) kind: ContainerKind,
    /// Paths within the container, and what their content must match.
    pub(super) parts: Vec<(String, Vec<ByteSequence>)>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum ContainerKind {
    Zip,
    Ole2,
}

pub(super) fn signature_file(xml: &str) -> Result<SignatureFile, CompileError> {
    let root = parse(xml, "FFSignatureFile")?;
    let signatures = root.only("InternalSignatureCollection")?.all("InternalSignature");
    let formats = root.only("FileFormatCollection")?.all("FileFormat");
    Ok(SignatureFile {
        version: root.number("Version")?,
        date: root.attribute("DateCreated")?.to_owned(),
        signatures: signatures
            .map(|signature| Ok((signature.number("ID")?, byte_sequences(signature)?)))
            .collect::<Result<_, CompileError>>()?,
        formats: formats.map(format).collect::<Result<_, _>>()?,
    })
}

fn format(node: &Node) -> Result<Format, CompileError> {
    let numbers = |name| node.all(name).map(Node::text_number).collect::<Result<Vec<u32>, _>>();
    let text = |name| node.get(name).unwrap_or_default().trim().to_owned();
    Ok(Format {
        id: node.number("ID")?,
        puid: node.attribute("PUID")?.to_owned(),
        name: text("Name"),
        version: text("Version"),
        mime: text("MIMEType"),
        extensions: node.all("Extension").map(|extension| extension.text.trim().to_owned()).collect(),
        signatures: numbers("InternalSignatureID")?,
        inferiors: numbers("HasPriorityOverFileFormatID")?,
    })
}

pub(super) fn container_file(xml: &str) -> Result<ContainerFile, CompileError> {
    let root = parse(xml, "ContainerSignatureMapping")?;
    let mappings: Vec<&Node> = root.only("FileFormatMappings")?.all("FileFormatMapping").collect();
    let signatures = root.only("ContainerSignatures")?.all("ContainerSignature");
    let signatures = signatures.map(|node| {
        let id = node.attribute("Id")?;
        // The last one counts where two have the same number.
        let mapping = mappings.iter().rfind(|mapping| mapping.get("signatureId") == Some(id));
        let mapping = mapping.ok_or_else(|| node.missing("a FileFormatMapping"))?;
        let kind = match node.attribute("ContainerType")? {
            "ZIP" => ContainerKind::Zip,
            "OLE2" => ContainerKind::Ole2,
            other => return Err(node.missing(&format!("a kind of container that is known, not `{other}`"))),
        };
        let parts = node.only("Files")?.all("File").map(part).collect::<Result<_, _>>()?;
        Ok(Container { puid: mapping.attribute("Puid")?.to_owned(), kind, parts })
    });
    Ok(ContainerFile { version: root.number("signatureVersion")?, signatures: signatures.collect::<Result<_, _>>()? })
}

fn part(file: &Node) -> Result<(String, Vec<ByteSequence>), CompileError> {
    let path = file.only("Path")?.text.trim().to_owned();
    let mut sequences = Vec::new();
    for signatures in file.all("BinarySignatures") {
        for signature in signatures.only("InternalSignatureCollection")?.all("InternalSignature") {
            sequences.extend(byte_sequences(signature)?);
        }
    }
    Ok((path, sequences))
}

fn byte_sequences(signature: &Node) -> Result<Vec<ByteSequence>, CompileError> {
    let one = |node: &Node| {
        let reference = match node.get("Reference") {
            Some("BOFoffset") => Reference::Beginning,
            Some("EOFoffset") => Reference::Ending,
            None | Some("Variable" | "") => Reference::Variable,
            Some(other) => return Err(node.missing(&format!("a Reference that is known, not `{other}`"))),
        };
        let subsequences = node.all("SubSequence").map(subsequence).collect::<Result<_, _>>()?;
        Ok(ByteSequence { reference, subsequences })
    };
    signature.all("ByteSequence").map(one).collect()
}

fn subsequence(node: &Node) -> Result<SubSequence, CompileError> {
    let fragments = |name| {
        let one = |node: &Node| {
            Ok(Fragment {
                position: node.number("Position")?,
                min: node.optional_number("MinOffset")?,
                max: node.optional_number("MaxOffset")?,
                value: node.text.clone(),
            })
        };
        node.all(name).map(one).collect::<Result<Vec<_>, CompileError>>()
    };
    Ok(SubSequence {
        position: node.optional_number("Position")?.unwrap_or(0),
        min: node.optional_number("SubSeqMinOffset")?,
        max: node.optional_number("SubSeqMaxOffset")?,
        sequence: node.only("Sequence")?.text.clone(),
        left: fragments("LeftFragment")?,
        right: fragments("RightFragment")?,
    })
}

/// An element.
#[derive(Debug, Default)]
struct Node {
    name: String,
    attributes: Vec<(String, String)>,
    text: String,
    children: Vec<Node>,
}

impl Node {
    fn all<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a Node> {
        self.children.iter().filter(move |child| child.name == name)
    }

    fn only(&self, name: &str) -> Result<&Node, CompileError> {
        self.children.iter().find(|child| child.name == name).ok_or_else(|| self.missing(&format!("a <{name}>")))
    }

    fn get(&self, name: &str) -> Option<&str> {
        self.attributes.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str())
    }

    fn attribute(&self, name: &str) -> Result<&str, CompileError> {
        self.get(name).ok_or_else(|| self.missing(&format!("an attribute {name}")))
    }

    fn optional_number(&self, name: &str) -> Result<Option<u32>, CompileError> {
        let Some(text) = self.get(name).map(str::trim).filter(|text| !text.is_empty()) else { return Ok(None) };
        text.parse().map(Some).map_err(|_| self.missing(&format!("a number as {name}, not `{text}`")))
    }

    fn number(&self, name: &str) -> Result<u32, CompileError> {
        self.optional_number(name)?.ok_or_else(|| self.missing(&format!("an attribute {name}")))
    }

    fn text_number(&self) -> Result<u32, CompileError> {
        self.text.trim().parse().map_err(|_| self.missing(&format!("a number, not `{}`", self.text)))
    }

    fn missing(&self, what: &str) -> CompileError {
        CompileError::Missing { element: self.name.clone(), what: what.to_owned() }
    }
}

/// The tree of the elements, without comments and name spaces.
fn parse(xml: &str, root: &str) -> Result<Node, CompileError> {
    let mut reader = Reader::from_str(xml.trim_start_matches('\u{feff}'));
    let mut open = vec![Node::default()];
    loop {
        let event = reader.read_event().map_err(CompileError::Xml)?;
        match event {
            Event::Start(start) => open.push(node(&start)?),
            Event::Empty(start) => {
                let node = node(&start)?;
                top(&mut open).children.push(node);
            }
            Event::End(_) => {
                let node = open.pop().unwrap_or_default();
                top(&mut open).children.push(node);
            }
            Event::Text(text) => {
                let text = text.decode().map_err(|error| CompileError::Xml(error.into()))?;
                top(&mut open).text.push_str(&text);
            }
            Event::GeneralRef(name) => {
                let name = name.decode().map_err(|error| CompileError::Xml(error.into()))?;
                let text = quick_xml::escape::unescape(&format!("&{name};"))
                    .map(std::borrow::Cow::into_owned)
                    .map_err(|error| CompileError::Xml(error.into()))?;
                top(&mut open).text.push_str(&text);
            }
            Event::Eof => break,
            _ => {}
        }
    }
    let children = open.pop().unwrap_or_default().children;
    children
        .into_iter()
        .find(|node| node.name == root)
        .ok_or_else(|| CompileError::Missing { element: "document".to_owned(), what: format!("a <{root}>") })
}

/// There is always one: the document itself is never closed.
fn top(open: &mut Vec<Node>) -> &mut Node {
    if open.is_empty() {
        open.push(Node::default());
    }
    let last = open.len() - 1;
    &mut open[last]
}

fn node(start: &BytesStart<'_>) -> Result<Node, CompileError> {
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    let mut node = Node { name: text(start.local_name().as_ref()), ..Node::default() };
    for attribute in start.attributes() {
        let attribute = attribute.map_err(|error| CompileError::Xml(error.into()))?;
        let raw = text(&attribute.value);
        let value = quick_xml::escape::unescape(&raw).map_err(|error| CompileError::Xml(error.into()))?;
        node.attributes.push((text(attribute.key.local_name().as_ref()), value.into_owned()));
    }
    Ok(node)
}
