//! The parser against any bytes, cut anywhere; `seeds.txt` keeps the inputs that once mattered.

use proptest::prelude::*;

use super::*;

type Requests = Vec<Vec<Vec<u8>>>;

/// What a server would read if the bytes came in pieces of these lengths, the last one repeated.
fn read(bytes: &[u8], pieces: &[usize], sender: Sender) -> (Requests, Option<String>) {
    let (mut parser, mut buffer, mut requests) = (Parser::default(), Vec::new(), Vec::new());
    let (mut rest, mut pieces) = (bytes, pieces.iter().chain(std::iter::repeat(pieces.last().unwrap())));
    while !rest.is_empty() {
        let (piece, tail) = rest.split_at((*pieces.next().unwrap()).clamp(1, rest.len()));
        buffer.extend_from_slice(piece);
        rest = tail;
        loop {
            match parser.advance(&buffer, sender) {
                Ok(Some(length)) => {
                    requests.push(parser.arguments().iter().map(|range| buffer[range.clone()].to_vec()).collect());
                    buffer.drain(..length);
                }
                Ok(None) => break,
                Err(failure) => return (requests, Some(failure.0.into_owned())),
            }
        }
        // What is kept is bounded by what came.
        assert!(parser.arguments.capacity() <= ARGUMENTS_KEPT.max(bytes.len()));
    }
    (requests, None)
}

fn written(requests: &[Vec<Vec<u8>>]) -> Vec<u8> {
    let mut bytes = Vec::new();
    for request in requests {
        bytes.extend(format!("*{}\r\n", request.len()).bytes());
        for argument in request {
            bytes.extend(format!("${}\r\n", argument.len()).bytes());
            bytes.extend_from_slice(argument);
            bytes.extend(b"\r\n");
        }
    }
    bytes
}

/// The lines of `seeds.txt`, their escapes replaced.
fn seeds() -> Vec<Vec<u8>> {
    let unescape = |line: &str| {
        let mut parts = line.split('\\');
        let mut bytes = parts.next().unwrap().as_bytes().to_vec();
        for part in parts {
            let (byte, rest) = match part.as_bytes()[0] {
                b'r' => (b'\r', &part[1..]),
                b'n' => (b'\n', &part[1..]),
                b'x' => (u8::from_str_radix(&part[1..3], 16).unwrap(), &part[3..]),
                other => panic!("seeds.txt: \\{}", other.escape_ascii()),
            };
            bytes.push(byte);
            bytes.extend_from_slice(rest.as_bytes());
        }
        bytes
    };
    include_str!("seeds.txt").lines().map(unescape).collect()
}

fn requests() -> impl Strategy<Value = Requests> {
    let argument = prop::collection::vec(any::<u8>(), 0..40);
    prop::collection::vec(prop::collection::vec(argument, 1..8), 1..6)
}

/// Bytes that come near to requests: pieces of the grammar in any order.
fn noise() -> impl Strategy<Value = Vec<u8>> {
    let token = prop_oneof![
        4 => prop::sample::select(vec!["*", "$", "\r\n", "\r", "\n", "-1", "0", "1", "2", "3", "00", "a", ":", "%", "~"])
            .prop_map(|token| token.as_bytes().to_vec()),
        1 => prop::sample::select(vec!["1048576", "1048577", "536870912", "536870913", "4294967296", "18446744073709551616"])
            .prop_map(|token| token.as_bytes().to_vec()),
        1 => prop::collection::vec(any::<u8>(), 0..80),
    ];
    prop::collection::vec(token, 0..40).prop_map(|tokens| tokens.concat())
}

proptest! {
    #[test]
    fn requests_are_read_wherever_they_are_cut(
        requests in requests(),
        pieces in prop::collection::vec(1..50_usize, 1..20),
    ) {
        prop_assert_eq!(read(&written(&requests), &pieces, Sender::Known), (requests, None));
    }

    #[test]
    fn any_bytes_read_the_same_wherever_they_are_cut(
        bytes in prop_oneof![noise(), prop::collection::vec(any::<u8>(), 0..200)],
        pieces in prop::collection::vec(1..50_usize, 1..20),
    ) {
        for sender in [Sender::Known, Sender::Stranger] {
            let whole = read(&bytes, &[usize::MAX], sender);
            prop_assert_eq!(read(&bytes, &pieces, sender), whole);
        }
    }

    #[test]
    fn a_changed_byte_of_a_seed_does_no_harm(seed in prop::sample::select(seeds()), at in any::<prop::sample::Index>(), to: u8) {
        let mut bytes = seed;
        let at = at.index(bytes.len());
        bytes[at] = to;
        let whole = read(&bytes, &[usize::MAX], Sender::Known);
        prop_assert_eq!(read(&bytes, &[1], Sender::Known), whole);
    }
}

#[test]
fn every_seed_reads_the_same_cut_at_every_byte() {
    for seed in seeds() {
        let whole = read(&seed, &[usize::MAX], Sender::Known);
        for cut in 1..seed.len() {
            assert_eq!(read(&seed, &[cut, usize::MAX], Sender::Known), whole, "{}", seed.escape_ascii());
        }
    }
}

#[test]
fn what_breaks_the_rules_is_named() {
    let long = format!("*{}", "1".repeat(65));
    let long_bulk = format!("*1\r\n${}", "1".repeat(65));
    let known = [
        ("PING\r\n", "expected '*', got 'P'"),
        ("*a\r\n", "invalid multibulk length"),
        ("*\r\n", "invalid multibulk length"),
        ("*1048577\r\n", "invalid multibulk length"),
        ("*4294967296\r\n", "invalid multibulk length"),
        ("*99999999999999999999\r\n", "invalid multibulk length"),
        ("*1\r\n*1\r\n", "expected '$', got '*'"),
        ("*1\r\n:1\r\n", "expected '$', got ':'"),
        ("*1\r\n$-1\r\n", "invalid bulk length"),
        ("*1\r\n$536870913\r\n", "invalid bulk length"),
        ("*1\r\n$4294967296\r\n", "invalid bulk length"),
        ("*1\r\n$a\r\n", "invalid bulk length"),
        ("*1\r\n$1\r\nab\r\n", "a bulk string is longer than its length says"),
        ("*1\rX", "a carriage return without a line feed"),
        (&long, "too big mbulk count string"),
        (&long_bulk, "too big bulk count string"),
    ];
    let stranger =
        [("*11\r\n", "unauthenticated multibulk length"), ("*1\r\n$16385\r\n", "unauthenticated bulk length")];
    for (sender, table) in [(Sender::Known, &known[..]), (Sender::Stranger, &stranger[..])] {
        for (bytes, expected) in table {
            let (_, error) = read(bytes.as_bytes(), &[usize::MAX], sender);
            assert_eq!(error, Some(format!("ERR Protocol error: {expected}")), "{}", bytes.escape_default());
        }
    }
}

#[test]
fn the_largest_announcements_allocate_nothing() {
    let mut parser = Parser::default();
    assert!(parser.advance(b"*1048576\r\n$536870912\r\nx", Sender::Known).unwrap().is_none());
    assert_eq!(parser.arguments.capacity(), 0);
}

#[test]
fn an_empty_array_is_no_request_and_no_error() {
    let expected = (vec![vec![], vec![], vec![b"PING".to_vec()]], None);
    assert_eq!(read(b"*0\r\n*-1\r\n*1\r\n$4\r\nPING\r\n", &[1], Sender::Known), expected);
}
