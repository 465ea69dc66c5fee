//! Formats that pre-fetch names while the bytes pass.

use model::FormatSource;
use stack::s3::Operation;

use crate::format::spread_docx;
use crate::receiving::{Place, STAGING, tar};

#[tokio::test(flavor = "multi_thread")]
async fn formats_are_named_while_the_tar_is_read_and_what_needs_more_is_left_to_the_identifier() {
    let place = Place::new().await;
    let long = [&b"%PDF-1.4\n"[..], &vec![b' '; 200_000], b"%%EOF"].concat();
    let (document, beyond) = (spread_docx(100_000), spread_docx(600_000));
    let bag = tar(&[
        ("bag/bagit.txt", b"BagIt-Version: 1.0\nTag-File-Character-Encoding: UTF-8\n"),
        ("bag/data/Report.DOC", b"%PDF-1.4\n1 0 obj\n%%EOF"),
        ("bag/data/long", &long),
        ("bag/data/picture.tif", b"II*\0\x08\0\0\0\0\0"),
        ("bag/data/book.docx", &document),
        ("bag/data/beyond.docx", &beyond),
        ("bag/data/unknown.JPG", &[1, 2, 3, 0, 255]),
        ("bag/data/empty.pdf", b""),
        ("bag/data/unknown", &[1, 2, 3, 0, 255]),
    ]);
    let reads = place.count(STAGING, Operation::GetObject);
    let (_, _, files) = place.good(bag).await;
    assert_eq!(reads(), 0, "the tar alone is read");

    let docx = "application/vnd.openxmlformats-officedocument.wordprocessingml.document";
    for (path, mime, basis) in [
        ("bagit.txt", "text/plain", "extension match txt; text match ASCII"),
        ("data/Report.DOC", "application/pdf", "byte match at [[0 8] [17 5]]"),
        ("data/long", "application/pdf", "byte match at [[0 8] [200009 5]]"),
        ("data/picture.tif", "image/tiff", "extension match tif; byte match"),
        ("data/book.docx", docx, "extension match docx; container name"),
    ] {
        let file = &files[path];
        assert_eq!((file.file_format.as_str(), &file.format_identified_by), (mime, &FormatSource::Siegfried), "{path}");
        assert!(file.format_match_type.starts_with(basis), "{path}: {}", file.format_match_type);
    }
    for (path, mime) in [
        ("data/beyond.docx", docx),
        ("data/unknown.JPG", "image/jpeg"),
        ("data/empty.pdf", "application/pdf"),
        ("data/unknown", "application/binary"),
    ] {
        let file = &files[path];
        let found = (file.file_format.as_str(), &file.format_identified_by, file.format_match_type.as_str());
        assert_eq!(found, (mime, &FormatSource::ExtensionMap, "extension"), "{path}");
    }
}
