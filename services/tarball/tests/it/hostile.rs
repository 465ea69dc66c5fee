//! Headers that want to confuse, fill the memory or last for ever.

use proptest::prelude::*;
use tarball::{Fault, Limits};

use crate::make::{END, GNU, Head, Sum, binary, extension, fault, file, long_name, pax, read_in, sample, sized, tar};

#[test]
fn bad_headers_are_faults_with_a_place() {
    let good = file("good", b"good");
    let head = |size: Vec<u8>| Head { size, magic: GNU, ..Head::default() }.block();
    let cases = [
        (Head { sum: Sum::Wrong, ..Head::default() }.block(), Fault::CheckSum),
        (vec![b'x'; 512], Fault::CheckSum),
        ([&[0x1f, 0x8b, 8], &[0; 509][..]].concat(), Fault::CheckSum),
        (head(binary(-512)), Fault::Size),
        (head(binary(i128::from(i64::MAX) + 1)), Fault::Size),
        (head(binary(1 << 70)), Fault::Size),
        (head(b"00000000009\0".to_vec()), Fault::Size),
        (head(b"-0000000001\0".to_vec()), Fault::Size),
        (extension(b'x', b"5 a=b\n"), Fault::Record),
        (extension(b'x', b"6 a=b\n\0"), Fault::Record),
        (extension(b'g', b"no record"), Fault::Record),
        (pax(&[("path", "a\0b")]), Fault::Record),
        (pax(&[("size", "-3")]), Fault::RecordSize),
        (pax(&[("size", "9223372036854775808")]), Fault::RecordSize),
        (pax(&[("size", "0x10")]), Fault::RecordSize),
    ];
    for (bad, expected) in cases {
        assert_eq!(fault(&tar(&[good.clone(), bad, good.clone()])), (expected, 1024));
    }
}

#[test]
fn long_extensions_are_not_read() {
    let most = Limits::default().extension;
    for type_flag in *b"xgLK" {
        let announced = |size| Head { type_flag, size: sized(size), ..Head::default() }.block();
        assert_eq!(fault(&announced(most + 1)), (Fault::ExtensionTooLong, 0));
        assert_eq!(fault(&announced(most)), (Fault::Truncated, 512));
    }
    let name = "n".repeat(most - 1);
    assert_eq!(crate::make::files(&tar(&[long_name(&name), file("short", b"")]))[0].0, name);
}

#[test]
fn extensions_belong_to_an_entry() {
    let extensions = [pax(&[("path", "lost")]), long_name("lost"), extension(b'K', b"lost\0")];
    for extension in &extensions {
        for end in [&b""[..], &END[..512], &END] {
            let tar = [&file("a", b""), &extension[..], end].concat();
            assert_eq!(fault(&tar), (Fault::Orphan, 512));
        }
    }
    assert_eq!(fault(&pax(&[("path", "lost")])[..512 + 13]), (Fault::Orphan, 0));
}

#[test]
fn one_block_of_zeros_is_no_end() {
    let tar = [file("a", b""), vec![0; 512], file("b", b"")].concat();
    assert_eq!(fault(&tar), (Fault::LoneZeros, 1024));
    assert_eq!(fault(&END[..600]), (Fault::Truncated, 600));
}

#[test]
fn sizes_in_headers_are_not_believed() {
    let absurd = Head { size: binary(1 << 62), magic: GNU, ..Head::default() }.with(b"x");
    assert_eq!(fault(&absurd), (Fault::Truncated, 1024));
    let header = &Head { size: binary(i128::from(i64::MAX)), magic: GNU, ..Head::default() }.block();
    assert_eq!(fault(header), (Fault::Truncated, 512));
}

#[test]
fn after_a_fault_there_is_nothing() {
    let mut parser = tarball::Parser::new(Limits::default());
    let mut input = bytes::Bytes::from(tar(&[vec![b'x'; 512], file("hidden", b"")]));
    let error = parser.step(&mut input).unwrap_err();
    assert_eq!(parser.step(&mut input), Err(error));
    assert_eq!(parser.finish(), Err(error));
}

/// Tars that are nearly right: the sample with some bytes changed, and the check sums of its headers made good again.
fn nearly_right() -> impl Strategy<Value = Vec<u8>> {
    let changes = prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..6);
    (changes, any::<bool>()).prop_map(|(changes, mend)| {
        let (mut tar, _) = sample();
        for (at, byte) in changes {
            let at = at.index(tar.len());
            tar[at] = byte;
        }
        if mend {
            for block in tar.chunks_exact_mut(512).filter(|block| &block[257..262] == b"ustar") {
                block[148..156].copy_from_slice(b"        ");
                let sum: u32 = block.iter().map(|byte| u32::from(*byte)).sum();
                block[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
            }
        }
        tar
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(500))]

    #[test]
    fn nothing_makes_the_parser_panic_or_depend_on_chunks(tar in nearly_right(), chunk in 1..1500_usize) {
        let limits = Limits { extension: 4096, expanded: 1 << 14 };
        let (entries, end) = read_in(&tar, &[usize::MAX], limits);
        prop_assert_eq!(&(entries.clone(), end), &read_in(&tar, &[chunk], limits));
        for (entry, contents) in &entries {
            prop_assert!(contents.len() as u64 <= entry.size);
        }
        for (entry, contents) in entries.iter().rev().skip(1) {
            prop_assert_eq!(contents.len() as u64, entry.size);
        }
    }
}
