//! Files that are empty, damaged, or made to cost time and memory. What bounds the work is a number of steps and of bytes,
//! so that these tests look at what was asked for and said, not at a clock.

use pronom::{Engine, HEAD, Outcome, Seen, TAIL, Trouble};

use super::support::{ask, identify};

const OLE2: [u8; 8] = [0xD0, 0xCF, 0x11, 0xE0, 0xA1, 0xB1, 0x1A, 0xE1];

fn specimen(puid: &str) -> Vec<u8> {
    Engine::builtin().specimens().find(|specimen| specimen.puid == puid).unwrap().content
}

#[test]
fn short_files_are_no_containers() {
    for length in 0..9 {
        for magic in [&b"PK\x03\x04PK\x05\x06"[..], &OLE2, b"\0\0\0\0\0\0\0\0"] {
            let asked = ask("a.zip", &magic[..length.min(8)], HEAD, TAIL);
            assert!(asked.ranges.is_empty());
        }
    }
}

#[test]
fn four_gigabytes_of_one_byte_are_looked_at_only_at_both_ends() {
    for byte in 0..=u8::MAX {
        let (head, tail) = (vec![byte; HEAD], vec![byte; TAIL]);
        let seen = Seen { name: "", size: 4 << 30, head: &head, tail: &tail };
        let Outcome::Done(found) = Engine::builtin().identify(seen) else { panic!("{byte} asks for more") };
        assert_ne!(found.trouble, Some(Trouble::DamagedContainer), "{byte}");
    }
}

#[test]
fn what_one_signature_looks_for_again_and_again_ends() {
    // The beginnings of specimens over and over: anchors everywhere, and all of them may be the right one.
    for specimen in Engine::builtin().specimens().filter(|specimen| !specimen.content.is_empty()).step_by(5) {
        let unit = &specimen.content[..specimen.content.len().min(16)];
        let file: Vec<u8> = unit.iter().copied().cycle().take(HEAD).collect();
        identify("", &file);
    }
}

#[test]
fn a_file_with_forty_signatures_has_one_format() {
    let mut file = vec![b' '; 30_000];
    let specimens = Engine::builtin().specimens().filter(|specimen| specimen.content.len() > 8).step_by(17).take(40);
    for (index, specimen) in specimens.enumerate() {
        let length = specimen.content.len().min(700);
        file[index * 700..][..length].copy_from_slice(&specimen.content[..length]);
    }
    assert!(identify("", &file).is_known());
}

#[test]
fn a_container_that_is_cut_is_what_its_bytes_say() {
    for puid in ["fmt/412", "fmt/40"] {
        let file = specimen(puid);
        for length in (0..file.len()).step_by(7) {
            let found = identify("a", &file[..length]);
            assert!(found.puid != puid || found.trouble.is_none(), "{puid} cut to {length}");
        }
    }
}

/// A directory that promises much: 120 bytes of archive, 4 GB in it.
#[test]
fn sizes_in_a_zip_file_are_not_believed() {
    let mut file = specimen("fmt/412");
    let directory = file.windows(4).position(|bytes| bytes == b"PK\x01\x02").unwrap();
    for at in [18, 22, directory + 20, directory + 24] {
        file[at..at + 4].copy_from_slice(&[0xFE, 0xFF, 0xFF, 0xFF]);
    }
    assert_eq!(identify("a.docx", &file).puid, "fmt/412");
}

#[test]
fn a_bomb_is_unpacked_as_far_as_signatures_reach() {
    let name = b"[Content_Types].xml";
    let mut packer = flate2::Compress::new(flate2::Compression::best(), false);
    let mut content = Vec::with_capacity(1 << 20);
    packer.compress_vec(&vec![b' '; 64 << 20], &mut content, flate2::FlushCompress::Finish).unwrap();
    let zip = zip(name, 8, &content, 1);
    let asked = ask("a", &zip, HEAD, TAIL);
    assert_eq!(asked.found.puid, "x-fmt/263");
    assert_eq!(asked.found.trouble, None);
}

#[test]
fn nested_archives_are_not_opened() {
    let mut file = specimen("fmt/412");
    for _ in 0..50 {
        file = zip(b"a.zip", 0, &file, 1);
    }
    assert_eq!(identify("a.zip", &file).puid, "x-fmt/263");
}

#[test]
fn a_name_that_a_million_files_have_is_opened_a_few_times() {
    let file = zip(b"mimetype", 0, b"x", 5_000);
    let asked = ask("a", &file, HEAD, TAIL);
    assert_eq!(asked.found.trouble, Some(Trouble::TooMuchWork));
    assert!(asked.ranges.len() <= 80, "{}", asked.ranges.len());
}

/// Every chain of the file leads to its own beginning, in turns the table, the directory and the stream of the root.
#[test]
fn cycles_in_an_ole2_file_end() {
    let file = specimen("fmt/40");
    let sectors = file.len() / 512 - 1;
    let table = 512 * sectors;
    for from in 0..sectors - 1 {
        for to in 0..sectors {
            let mut file = file.clone();
            file[table + from * 4..][..4].copy_from_slice(&u32::try_from(to).unwrap().to_le_bytes());
            identify("a.doc", &file);
        }
    }
    // A tree whose branches are its root.
    let directory = 512 * (1 + u32::from_le_bytes(file[48..52].try_into().unwrap()) as usize);
    for entry in 0..3 {
        for link in [68, 72, 76] {
            for to in 0..3_u32 {
                let mut file = file.clone();
                file[directory + entry * 128 + link..][..4].copy_from_slice(&to.to_le_bytes());
                identify("a.doc", &file);
            }
        }
    }
    // Allocation sectors beyond the header that lead to themselves, 4 billion of them.
    let mut cyclic = file.clone();
    cyclic[68..76].copy_from_slice(&[0, 0, 0, 0, 0xFF, 0xFF, 0xFF, 0xFF]);
    cyclic[48..52].copy_from_slice(&200_000_u32.to_le_bytes());
    assert_eq!(identify("a.doc", &cyclic).trouble, Some(Trouble::DamagedContainer));
}

#[test]
fn who_supplies_nothing_gets_an_answer_in_the_end() {
    let file = specimen("fmt/412");
    let mut outcome = Engine::builtin().identify(Seen { name: "a", size: 1 << 40, head: &file, tail: &[] });
    for _ in 0..1000 {
        match outcome {
            Outcome::Done(found) => return assert_eq!(found.trouble, Some(Trouble::TooMuchWork)),
            Outcome::Needs(probe) => outcome = probe.resume(),
        }
    }
    panic!("it asks for ever");
}

/// The same file as often as wanted in one archive.
fn zip(name: &[u8], method: u8, content: &[u8], count: usize) -> Vec<u8> {
    let [length, name_length] = [content.len(), name.len()].map(|length| u32::try_from(length).unwrap().to_le_bytes());
    let fields = [&[20, 0, 0, 0, method, 0, 0, 0, 0, 0, 0, 0, 0, 0][..], &length, &length, &name_length].concat();
    let mut file = Vec::new();
    let mut directory = Vec::new();
    for _ in 0..count {
        let offset = u32::try_from(file.len()).unwrap().to_le_bytes();
        directory.extend([b"PK\x01\x02\x14\0", &fields[..], &[0; 10], &offset, name].concat());
        file.extend([b"PK\x03\x04", &fields[..], name, content].concat());
    }
    let [size, start] = [directory.len(), file.len()].map(|number| u32::try_from(number).unwrap().to_le_bytes());
    let count = u16::try_from(count).unwrap().to_le_bytes();
    file.extend([&directory[..], b"PK\x05\x06\0\0\0\0", &count, &count, &size, &start, &[0, 0]].concat());
    file
}
