//! The smallest ZIP and OLE2 files that hold given files.

/// A file's path and content.
type Files<'a> = [(&'a str, Vec<u8>)];

/// Nothing is packed.
pub(super) fn zip(files: &Files<'_>) -> Vec<u8> {
    let mut archive = Vec::new();
    let mut directory = Vec::new();
    for (path, content) in files {
        let mut crc = flate2::Crc::new();
        crc.update(content);
        let mut fields = Vec::new();
        put16(&mut fields, &[20, 0, 0, 0, 0x21]);
        put32(&mut fields, &[crc.sum(), number(content.len()), number(content.len()), number(path.len())]);
        put32(&mut directory, &[0x0201_4B50]);
        put16(&mut directory, &[20]);
        directory.extend_from_slice(&fields);
        put16(&mut directory, &[0, 0, 0]);
        put32(&mut directory, &[0, number(archive.len())]);
        directory.extend_from_slice(path.as_bytes());
        put32(&mut archive, &[0x0403_4B50]);
        archive.extend_from_slice(&fields);
        archive.extend_from_slice(path.as_bytes());
        archive.extend_from_slice(content);
    }
    let start = number(archive.len());
    let count = u16::try_from(files.len()).unwrap_or(u16::MAX);
    archive.extend_from_slice(&directory);
    put32(&mut archive, &[0x0605_4B50]);
    put16(&mut archive, &[0, 0, count, count]);
    put32(&mut archive, &[number(directory.len()), start]);
    put16(&mut archive, &[0]);
    archive
}

const SECTOR: usize = 512;
const SHORT_SECTOR: usize = 64;
/// Shorter streams are in the stream of the root.
const SHORT: usize = 4096;
const END_OF_CHAIN: u32 = 0xFFFF_FFFE;
const ALLOCATION: u32 = 0xFFFF_FFFD;
const NONE: u32 = 0xFFFF_FFFF;

pub(super) fn ole2(files: &Files<'_>) -> Vec<u8> {
    let mut entries = vec![Entry::new("Root Entry", 5)];
    let (mut sectors, mut table) = (Vec::new(), Vec::new());
    let (mut short_sectors, mut short_table) = (Vec::new(), Vec::new());
    for (path, content) in files {
        let mut parent = 0;
        let mut steps = path.split('/').peekable();
        while let Some(step) = steps.next() {
            let kind = if steps.peek().is_some() { 1 } else { 2 };
            parent = child(&mut entries, parent, step, kind);
        }
        entries[parent].size = number(content.len());
        entries[parent].start = if content.len() < SHORT {
            chain(&mut short_sectors, &mut short_table, content, SHORT_SECTOR)
        } else {
            chain(&mut sectors, &mut table, content, SECTOR)
        };
    }
    entries[0].size = number(short_sectors.len());
    entries[0].start = chain(&mut sectors, &mut table, &short_sectors, SECTOR);
    let mut short_bytes = Vec::new();
    put32(&mut short_bytes, &short_table);
    let short_count = number(short_bytes.len().div_ceil(SECTOR));
    short_bytes.resize(short_bytes.len().next_multiple_of(SECTOR), 0xFF);
    let short_start = chain(&mut sectors, &mut table, &short_bytes, SECTOR);
    let directory: Vec<u8> = entries.iter().flat_map(Entry::bytes).collect();
    let directory_start = chain(&mut sectors, &mut table, &directory, SECTOR);

    // The table has room for its own sectors too.
    let per_sector = SECTOR / 4;
    let own = table.len().div_ceil(per_sector - 1).max(1);
    let first = table.len();
    table.resize(first + own, ALLOCATION);
    table.resize(own * per_sector, NONE);
    let mut file = vec![0xD0, 0xCF, 0x11, 0xE0, 0xA1, 0xB1, 0x1A, 0xE1];
    file.resize(24, 0);
    put16(&mut file, &[0x3E, 3, 0xFFFE, 9, 6, 0, 0, 0]);
    put32(&mut file, &[0, number(own), directory_start, 0, number(SHORT)]);
    put32(&mut file, &[short_start, short_count, END_OF_CHAIN, 0]);
    for index in 0..109 {
        put32(&mut file, &[if index < own { number(first + index) } else { NONE }]);
    }
    file.extend_from_slice(&sectors);
    put32(&mut file, &table);
    file
}

/// Adds bytes to sectors and their chain to the table, and returns where they start.
fn chain(sectors: &mut Vec<u8>, table: &mut Vec<u32>, bytes: &[u8], sector: usize) -> u32 {
    if bytes.is_empty() {
        return END_OF_CHAIN;
    }
    let start = number(table.len());
    for _ in 1..bytes.len().div_ceil(sector) {
        table.push(number(table.len() + 1));
    }
    table.push(END_OF_CHAIN);
    sectors.extend_from_slice(bytes);
    sectors.resize(table.len() * sector, 0);
    start
}

struct Entry {
    name: String,
    kind: u8,
    /// Siblings are a list: each is the right one of that before.
    right: u32,
    child: u32,
    start: u32,
    size: u32,
}

impl Entry {
    fn new(name: &str, kind: u8) -> Self {
        Entry { name: name.to_owned(), kind, right: NONE, child: NONE, start: 0, size: 0 }
    }

    fn bytes(&self) -> Vec<u8> {
        let mut bytes = Vec::new();
        let units: Vec<u16> = self.name.encode_utf16().take(31).collect();
        put16(&mut bytes, &units);
        bytes.resize(64, 0);
        put16(&mut bytes, &[u16::try_from(units.len() * 2 + 2).unwrap_or(64)]);
        bytes.extend_from_slice(&[self.kind, 1]);
        put32(&mut bytes, &[NONE, self.right, self.child]);
        bytes.resize(116, 0);
        put32(&mut bytes, &[self.start, self.size, 0]);
        bytes
    }
}

/// The entry of that name in a storage, made if there is none.
fn child(entries: &mut Vec<Entry>, parent: usize, name: &str, kind: u8) -> usize {
    let mut at = entries[parent].child;
    while at != NONE {
        let entry = &entries[at as usize];
        if entry.name == name && entry.kind == kind {
            return at as usize;
        }
        at = entry.right;
    }
    let mut entry = Entry::new(name, kind);
    entry.right = entries[parent].child;
    entries[parent].child = number(entries.len());
    entries.push(entry);
    entries.len() - 1
}

/// Specimens are small.
fn number(length: usize) -> u32 {
    u32::try_from(length).unwrap_or(u32::MAX)
}

fn put16(bytes: &mut Vec<u8>, values: &[u16]) {
    bytes.extend(values.iter().flat_map(|value| value.to_le_bytes()));
}

fn put32(bytes: &mut Vec<u8>, values: &[u32]) {
    bytes.extend(values.iter().flat_map(|value| value.to_le_bytes()));
}
