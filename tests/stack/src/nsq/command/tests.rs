//! The parser under bytes: seeds from `corpus`, whole, cut, spliced and spoilt, and bytes at random.

use std::fs;
use std::path::Path;
use std::time::Duration;

use proptest::prelude::*;
use proptest::sample::{Index, select};

use super::*;

const LIMITS: Limits =
    Limits { msg_size: 1024, body_size: 4096, rdy_count: 2500, req_timeout: Duration::from_hours(1) };

/// Every stage in which a command can come.
const STAGES: [Stage; 3] = [Stage::Init, Stage::Subscribed, Stage::Closing];

/// One file per seed: a command, or what once was taken for one.
fn corpus() -> Vec<Vec<u8>> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/nsq/command/corpus");
    let seeds: Vec<_> = fs::read_dir(folder).unwrap().map(|file| fs::read(file.unwrap().path()).unwrap()).collect();
    assert!(seeds.len() > 20, "the corpus has gone");
    seeds
}

/// Seeds one after the other, with some bytes changed.
fn spoilt() -> impl Strategy<Value = Vec<u8>> {
    let seeds = prop::collection::vec(select(corpus()), 1..4);
    let changes = prop::collection::vec((any::<Index>(), any::<u8>()), 0..4);
    (seeds, changes, any::<Index>()).prop_map(|(seeds, changes, cut)| {
        let mut bytes = seeds.concat();
        for (place, byte) in changes {
            let place = place.index(bytes.len());
            bytes[place] = byte;
        }
        bytes.truncate(cut.index(bytes.len()) + 1);
        bytes
    })
}

/// What must hold for any bytes: a command takes at least a byte and no more than there are, it depends on no byte
/// after its own, and until its last byte has come the parser waits.
fn check(mut input: &[u8], stage: Stage) {
    loop {
        match parse(input, stage, &LIMITS) {
            Ok(Step::Command(command, used)) => {
                assert!((1..=input.len()).contains(&used));
                assert_eq!(parse(&input[..used], stage, &LIMITS), Ok(Step::Command(command, used)));
                for cut in 0..used {
                    let early = parse(&input[..cut], stage, &LIMITS);
                    assert!(matches!(early, Ok(Step::Incomplete(_))), "{early:?} at {cut}");
                }
                input = &input[used..];
            }
            Ok(Step::Incomplete(missing)) => {
                let _ = missing.map(|missing| missing.frame());
                return;
            }
            Ok(Step::Endless) => {
                assert!(input.len() >= LONGEST_LINE);
                return;
            }
            Err(refusal) => {
                assert!(refusal.is_fatal && refusal.frame().starts_with(b"E_"));
                return;
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 500, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn spoilt_commands(bytes in spoilt(), stage in select(&STAGES[..])) {
        check(&bytes, stage);
    }

    #[test]
    fn random_bytes(bytes in prop::collection::vec(any::<u8>(), 0..200), stage in select(&STAGES[..])) {
        check(&bytes, stage);
    }

    #[test]
    fn random_words(line in "(PUB|DPUB|MPUB|SUB|RDY|FIN|REQ|TOUCH|IDENTIFY|AUTH)( [a-z0-9.#]{0,20}){0,3}\r?\n.{0,8}") {
        for stage in STAGES {
            check(line.as_bytes(), stage);
        }
    }
}

#[test]
fn the_corpus_itself() {
    for seed in corpus() {
        for stage in STAGES {
            check(&seed, stage);
        }
    }
}

#[test]
fn a_line_may_be_long_but_not_endless() {
    let long = vec![b'x'; LONGEST_LINE - 1];
    assert_eq!(parse(&long, Stage::Init, &LIMITS), Ok(Step::Incomplete(None)));
    let longer = vec![b'x'; LONGEST_LINE];
    assert_eq!(parse(&longer, Stage::Init, &LIMITS), Ok(Step::Endless));
}
