//! From PRONOM's files to the data, and from the data to the engine.

use std::fs;

use pronom::{CompileError, DataError, Engine, compile};

use super::support::{shared, skip};

const DATA: &[u8] = include_bytes!("../../data/pronom.bin");

#[test]
fn the_same_files_give_the_same_bytes() {
    let Some(folder) = shared("PRONOM_FILES", "pronom") else {
        return skip("the_same_files_give_the_same_bytes", "no files of PRONOM; PRONOM_FILES names their folder");
    };
    let read = |name: &str| fs::read_to_string(folder.join(name)).unwrap();
    let droid = read("DROID_SignatureFile_V122.xml");
    let data = compile(&droid, &read("container-signature-20260119.xml"), "20260119").unwrap();
    let counts = Engine::from_bytes(&data).unwrap().about().counts;
    assert_eq!((counts.formats, counts.container_signatures, counts.extensions), (2544, 310, 3336));
    assert!(data == DATA, "data/pronom.bin is not what the files give: run cargo xtask signatures update");
}

const CONTAINERS: &str = r#"<ContainerSignatureMapping signatureVersion="7"><ContainerSignatures>
    <ContainerSignature Id="1" ContainerType="ZIP"><Files><File><Path>a</Path></File></Files></ContainerSignature>
    </ContainerSignatures><FileFormatMappings><FileFormatMapping signatureId="1" Puid="fmt/2"/></FileFormatMappings>
    </ContainerSignatureMapping>"#;

fn droid(sequence: &str) -> String {
    format!(
        r#"<FFSignatureFile Version="9" DateCreated="2030-01-01T00:00:00"><InternalSignatureCollection>
        <InternalSignature ID="5"><ByteSequence Reference="BOFoffset"><SubSequence Position="1" SubSeqMinOffset="0"
        SubSeqMaxOffset="0"><Sequence>{sequence}</Sequence></SubSequence></ByteSequence></InternalSignature>
        </InternalSignatureCollection><FileFormatCollection>
        <FileFormat ID="1" Name="One &amp; only" PUID="fmt/1" MIMEType="a/b, c/d"><InternalSignatureID>5</InternalSignatureID>
        <Extension>one</Extension></FileFormat><FileFormat ID="2" Name="Two" PUID="fmt/2" Version="2"/>
        </FileFormatCollection></FFSignatureFile>"#
    )
}

#[test]
fn a_release_becomes_an_engine_that_says_which_it_is() {
    let data = compile(&droid("4142"), CONTAINERS, "20300101").unwrap();
    let engine = Engine::from_bytes(&data).unwrap();
    let about = engine.about();
    assert_eq!((about.version, about.date, about.counts.formats), (9, "2030-01-01T00:00:00", 2));
    assert_eq!((about.container_version, about.container_date), (7, "20300101"));
    let specimens: Vec<_> = engine.specimens().map(|specimen| (specimen.puid, specimen.content)).collect();
    assert_eq!(specimens[0], ("fmt/1", b"AB".to_vec()));
    let seen = pronom::Seen { name: "", size: 2, head: b"AB", tail: &[] };
    let pronom::Outcome::Done(found) = engine.identify(seen) else { panic!("it is no container") };
    assert_eq!((found.puid, found.name, found.mime), ("fmt/1", "One & only", "a/b"));
}

#[test]
fn a_release_that_cannot_be_compiled_is_refused_with_the_signature() {
    for (sequence, wanted) in [("4", "half a hexadecimal number"), ("", "it is empty"), ("41{", "no `}` follows")] {
        let error = compile(&droid(sequence), CONTAINERS, "").unwrap_err();
        assert!(matches!(&error, CompileError::Signature { number: 1, puid, .. } if puid == "fmt/1"), "{error:?}");
        let cause = std::error::Error::source(&error).unwrap().to_string();
        assert!(cause.contains(wanted), "{sequence}: {cause}");
    }
    let unknown = CONTAINERS.replace("fmt/2", "fmt/3");
    assert!(compile(&droid("41"), &unknown, "").unwrap_err().to_string().contains("fmt/3"));
    let pattern = CONTAINERS.replace("<Path>a", "<Path>*");
    assert!(matches!(compile(&droid("41"), &pattern, ""), Err(CompileError::Signature { source, .. })
        if matches!(*source, CompileError::Glob { .. })));
    assert!(matches!(compile("<a", CONTAINERS, ""), Err(CompileError::Xml(_) | CompileError::Missing { .. })));
}

#[test]
fn damaged_data_is_refused_or_harmless() {
    assert_eq!(Engine::from_bytes(b"").unwrap_err(), DataError::Magic);
    assert_eq!(Engine::from_bytes(b"PRONOM\0\x02").unwrap_err(), DataError::Magic);
    let data = compile(&droid("41{2-9}42[43:45]"), CONTAINERS, "20300101").unwrap();
    for length in 8..data.len() {
        assert!(Engine::from_bytes(&data[..length]).is_err(), "cut to {length}");
    }
    for at in 8..data.len() {
        for flip in [1, 0x80, 0xFF] {
            let mut data = data.clone();
            data[at] ^= flip;
            if let Ok(engine) = Engine::from_bytes(&data) {
                let head = [b'A'; 64];
                engine.identify(pronom::Seen { name: "a.one", size: 64, head: &head, tail: &head });
            }
        }
    }
}
