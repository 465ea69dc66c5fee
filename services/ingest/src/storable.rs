//! Whether S3 can keep a file's path among the metadata of the file's objects (rulings C.22, J.74).

use model::bucket::TABLE;
use model::metadata::{Destination, LIMIT, metadata, size};
use model::{IngestFile, StorageOption};

/// Whether the path fits wherever this storage option sends the file. One without digests is not in the bag, and is sent nowhere.
pub(crate) fn is_storable(file: &IngestFile, option: &StorageOption) -> bool {
    let rows = TABLE.iter().filter(|row| row.option == *option);
    let preservation = rows.map(|row| Destination::Preservation(&row.site.provider));
    let mut destinations = std::iter::once(Destination::Staging).chain(preservation);
    destinations.all(|destination| metadata(file, destination).map_or(true, |metadata| size(&metadata) <= LIMIT))
}

#[cfg(test)]
mod tests {
    use model::{Algorithm, ChecksumSource, IngestChecksum, Time};

    use super::*;

    fn file(path: &str) -> IngestFile {
        let mut file = IngestFile::new("test.edu/bag", path);
        for (algorithm, length) in [(Algorithm::Md5, 32), (Algorithm::Sha256, 64)] {
            let digest = "0".repeat(length);
            file.checksums.push(IngestChecksum::new(ChecksumSource::Ingest, algorithm, &digest, Time::UNSET));
        }
        file
    }

    #[test]
    fn the_form_that_the_storage_option_sends_counts() {
        // What is left for the path beside names, identifiers and digests.
        let rest = LIMIT - ("institution".len() + "bag".len() + "md5".len() + "sha256".len()) - (8 + 12 + 32 + 64);
        let plain = rest - "bagpath".len();
        assert!(is_storable(&file(&"a".repeat(plain)), &StorageOption::Standard));
        assert!(!is_storable(&file(&"a".repeat(plain + 1)), &StorageOption::Standard));
        // Wasabi gets the encoded form, in which `é` is six bytes and not two.
        let fits_raw = "é".repeat(plain / 2);
        assert!(is_storable(&file(&fits_raw), &StorageOption::GlacierOh));
        assert!(!is_storable(&file(&fits_raw), &StorageOption::WasabiOr));
        assert!(is_storable(&file(&"é".repeat((rest - "bagpath-encoded".len()) / 6)), &StorageOption::WasabiOr));
        assert!(is_storable(&IngestFile::new("test.edu/bag", &"a".repeat(5000)), &StorageOption::Standard));
    }
}
