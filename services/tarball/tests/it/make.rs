//! Tars by hand, so that they can be wrong on purpose, and a reader of them.

use bytes::Bytes;
use tarball::{Entry, Error, Fault, Limits, Parser, Step};

pub(crate) const END: [u8; 1024] = [0; 1024];

/// 2020-09-13.
pub(crate) const MTIME: i64 = 1_600_000_000;

/// One header block. The fields of size and time are written as they are.
pub(crate) struct Head<'a> {
    pub(crate) name: &'a [u8],
    pub(crate) prefix: &'a [u8],
    pub(crate) type_flag: u8,
    pub(crate) size: Vec<u8>,
    pub(crate) mtime: Vec<u8>,
    pub(crate) magic: &'a [u8; 8],
    pub(crate) sum: Sum,
}

/// How the check sum is made.
#[derive(Clone, Copy)]
pub(crate) enum Sum {
    Unsigned,
    Signed,
    Wrong,
}

pub(crate) const USTAR: &[u8; 8] = b"ustar\x0000";
pub(crate) const GNU: &[u8; 8] = b"ustar  \0";
pub(crate) const V7: &[u8; 8] = &[0; 8];

impl Default for Head<'_> {
    fn default() -> Self {
        Self {
            name: b"bag/data/a",
            prefix: b"",
            type_flag: b'0',
            size: octal(0),
            mtime: octal(MTIME),
            magic: USTAR,
            sum: Sum::Unsigned,
        }
    }
}

impl Head<'_> {
    pub(crate) fn block(&self) -> Vec<u8> {
        let mut block = vec![0; 512];
        for (at, field) in [
            (0, self.name),
            (100, b"0000644\0"),
            (108, b"garbage!"),
            (124, &self.size),
            (136, &self.mtime),
            (148, b"        "),
            (156, &[self.type_flag]),
            (257, self.magic),
            (345, self.prefix),
        ] {
            block[at..at + field.len()].copy_from_slice(field);
        }
        let sum: i64 = match self.sum {
            Sum::Unsigned => block.iter().map(|byte| i64::from(*byte)).sum(),
            Sum::Signed => block.iter().map(|byte| i64::from(byte.cast_signed())).sum(),
            Sum::Wrong => 1,
        };
        block[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
        block
    }

    /// The header, with contents behind it.
    pub(crate) fn with(&self, contents: &[u8]) -> Vec<u8> {
        [self.block(), padded(contents)].concat()
    }
}

pub(crate) fn octal(number: i64) -> Vec<u8> {
    format!("{number:011o}\0").into_bytes()
}

/// A field of twelve bytes in base 256.
pub(crate) fn binary(number: i128) -> Vec<u8> {
    let mut field = number.to_be_bytes()[4..].to_vec();
    field[0] |= 0x80;
    field
}

pub(crate) fn padded(contents: &[u8]) -> Vec<u8> {
    let mut padded = contents.to_vec();
    padded.resize(padded.len().next_multiple_of(512), 0);
    padded
}

pub(crate) fn sized(length: usize) -> Vec<u8> {
    octal(i64::try_from(length).unwrap())
}

pub(crate) fn file(name: &str, contents: &[u8]) -> Vec<u8> {
    Head { name: name.as_bytes(), size: sized(contents.len()), ..Head::default() }.with(contents)
}

/// An extended header of this type with these contents.
pub(crate) fn extension(type_flag: u8, contents: &[u8]) -> Vec<u8> {
    Head { name: b"extension", type_flag, size: sized(contents.len()), ..Head::default() }.with(contents)
}

pub(crate) fn pax(records: &[(&str, &str)]) -> Vec<u8> {
    let record = |(key, value): &(&str, &str)| {
        let rest = format!(" {key}={value}\n");
        let length = rest.len() + (1..8).find(|digits| (rest.len() + digits).to_string().len() == *digits).unwrap();
        format!("{length}{rest}")
    };
    extension(b'x', records.iter().map(record).collect::<String>().as_bytes())
}

pub(crate) fn long_name(name: &str) -> Vec<u8> {
    extension(b'L', format!("{name}\0").as_bytes())
}

pub(crate) fn tar(parts: &[Vec<u8>]) -> Vec<u8> {
    [parts.concat(), END.to_vec()].concat()
}

/// What reading gives: entries with their contents, and how it ends.
pub(crate) type Outcome = (Vec<(Entry, Vec<u8>)>, Result<(), Error>);

/// Reads a tar in chunks of these lengths, in turns.
pub(crate) fn read_in(tar: &[u8], chunks: &[usize], limits: Limits) -> Outcome {
    let mut all = Bytes::copy_from_slice(tar);
    let mut lengths = chunks.iter().cycle();
    let (mut parser, mut input, mut entries) = (Parser::new(limits), Bytes::new(), Vec::new());
    let end = loop {
        match parser.step(&mut input) {
            Ok(Step::Entry(entry)) => entries.push((entry, Vec::new())),
            Ok(Step::Data(data)) => {
                assert!(!data.is_empty());
                entries.last_mut().unwrap().1.extend_from_slice(&data);
            }
            Ok(Step::More) if all.is_empty() => break parser.finish(),
            Ok(Step::More) => input = all.split_to(all.len().min(*lengths.next().unwrap())),
            Ok(Step::End) => break Ok(()),
            Err(error) => break Err(error),
        }
    };
    (entries, end)
}

pub(crate) fn read(tar: &[u8]) -> Outcome {
    read_in(tar, &[usize::MAX], Limits::default())
}

/// A tar that is good: names and contents.
#[track_caller]
pub(crate) fn files(tar: &[u8]) -> Vec<(String, Vec<u8>)> {
    let (entries, end) = read(tar);
    assert_eq!(end, Ok(()));
    entries.into_iter().map(|(entry, contents)| (String::from_utf8(entry.name).unwrap(), contents)).collect()
}

/// A tar that is bad: why, and where.
#[track_caller]
pub(crate) fn fault(tar: &[u8]) -> (Fault, u64) {
    let error = read(tar).1.expect_err("this tar is bad");
    (error.fault, error.offset)
}

/// Something of everything, and after how many bytes of it the tar may end.
pub(crate) fn sample() -> (Vec<u8>, Vec<usize>) {
    let long = format!("bag/{}", "long/".repeat(60));
    let entries = [
        Head { name: b"bag/", type_flag: b'5', ..Head::default() }.block(),
        file("bag/empty", b""),
        file("bag/block", &[b'b'; 512]),
        extension(b'g', b"12 comment=\n"),
        file("bag/hello", b"hello"),
        [pax(&[("path", &format!("{long}x")), ("size", "700"), ("mtime", "-1.5")]), Head::default().with(&[b'p'; 700])]
            .concat(),
        [long_name(&format!("{long}y")), Head { size: sized(3), magic: GNU, ..Head::default() }.with(b"gnu")].concat(),
        [
            pax(&[
                ("GNU.sparse.major", "1"),
                ("GNU.sparse.minor", "0"),
                ("GNU.sparse.realsize", "3000"),
                ("GNU.sparse.name", "bag/sparse"),
            ]),
            Head { size: sized(512 + 600), ..Head::default() }
                .with(&[padded(b"2\n100\n500\n2000\n100\n"), vec![b's'; 600]].concat()),
        ]
        .concat(),
    ];
    let contents = [0_usize, 0, 512, 12, 5, 700, 3, 600];
    let (mut tar, mut ends) = (Vec::new(), vec![0]);
    for (entry, contents) in entries.iter().zip(contents) {
        tar.extend_from_slice(entry);
        let filling = contents.next_multiple_of(512) - contents;
        ends.extend(tar.len() - filling..=tar.len());
    }
    let body = tar.len();
    tar.extend_from_slice(&END);
    ends.extend([body + 512, body + 1024]);
    (tar, ends)
}
