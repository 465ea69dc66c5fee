//! The bags of the suite: good ones of every kind, and broken ones that each break one rule, with what the depositor must read.

use digests::Algorithm;
use model::{StorageOption, bucket::TABLE, note};

use crate::bag::{Bag, digest, payload};

/// A tar that must be refused, and the note that says why.
#[derive(Debug)]
pub(crate) struct Broken {
    pub(crate) word: &'static str,
    pub(crate) bag: Bag,
    pub(crate) tar: Vec<u8>,
    pub(crate) note: String,
}

/// Every storage option, once.
pub(crate) fn options() -> Vec<StorageOption> {
    let mut options: Vec<StorageOption> = Vec::new();
    for row in &TABLE {
        if !options.contains(&row.option) {
            options.push(row.option.clone());
        }
    }
    options
}

/// Good bags: a word for the test's name, and the bag. Their names begin with `run`.
pub(crate) fn good(run: &str) -> Vec<(String, Bag)> {
    let of_run = |word: &str| format!("{run}-{word}");
    let mut bags: Vec<(String, Bag)> = options()
        .iter()
        .map(|option| {
            let word = option.as_str().to_lowercase();
            (word.clone(), Bag::good(&of_run(&word), option, payload()))
        })
        .collect();
    let mut add = |word: &str, bag: Bag| bags.push((word.to_owned(), bag));
    let standard = |word: &str, payload| Bag::good(&of_run(word), &StorageOption::Standard, payload);
    add("btr", Bag::btr(&of_run("btr"), &StorageOption::Standard));
    add("btr-wasabi-tx", Bag::btr(&of_run("btr-wasabi-tx"), &StorageOption::WasabiTx));
    add("prefix", standard("prefix", payload()));
    add("prefix-longer", standard("prefix-longer", payload()));
    let many = (0..120).map(|n| (format!("data/{}/{n}.txt", n % 7), format!("file {n}\n").into_bytes())).collect();
    add("many-files", standard("many-files", many));
    // Above 16 MiB it is sent in parts.
    let large = (0..17 << 20).map(|n: u32| n.to_le_bytes()[(n % 3) as usize]).collect();
    add("large-file", standard("large-file", vec![("data/large.bin".to_owned(), large)]));
    let names = ["data/a b  c.txt", "data/naïve ☃.txt", "data/narrow\u{202f}space.txt", "data/100%+&=?.txt"];
    let odd = names.map(|path| (path.to_owned(), path.as_bytes().to_owned())).to_vec();
    add("odd-names", standard("odd-names", odd.clone()));
    add("odd-names-wasabi", Bag::good(&of_run("odd-names-wasabi"), &StorageOption::WasabiVa, odd));
    let mut lenient = standard("lenient", payload());
    lenient.replace("manifest-md5.txt", "  data/notes.txt", "  *data/notes.txt");
    lenient.remove("tagmanifest-md5.txt");
    lenient.remove("tagmanifest-sha256.txt");
    add("lenient", lenient);
    bags
}

/// Broken bags.
pub(crate) fn broken(run: &str) -> Vec<Broken> {
    let mut all = Vec::new();
    let mut add = |word: &'static str, change: &dyn Fn(&mut Bag), note: &dyn Fn(&str) -> String| {
        let mut bag = Bag::plain(&format!("{run}-{word}"));
        change(&mut bag);
        let note = note(&bag.identifier());
        all.push(Broken { word, tar: bag.tar(), bag, note });
    };
    let says = |text: &'static str| move |_: &str| text.to_owned();
    add("missing-file", &|bag| bag.remove("data/notes.txt"), &|object| {
        format!("File {object}/data/notes.txt in manifest-md5.txt is missing from bag")
    });
    let was = digest(Algorithm::Md5, &payload()[0].1);
    let is = digest(Algorithm::Md5, b"other notes");
    add("wrong-digest", &|bag| bag.set("data/notes.txt", b"other notes"), &|object| {
        format!("File {object}/data/notes.txt: ingest md5 checksum {is} doesn't match manifest checksum {was}")
    });
    add("extra-file", &|bag| bag.set("data/extra.txt", b"extra"), &|object| {
        format!("File {object}/data/extra.txt is not in manifest manifest-md5.txt")
    });
    add(
        "wrong-tag-digest",
        &|bag| bag.replace("tagmanifest-md5.txt", &digest(Algorithm::Md5, bag_info(bag)), &is),
        &|object| {
            let info = digest(Algorithm::Md5, bag_info(&Bag::plain("any")));
            format!("File {object}/bag-info.txt: ingest md5 checksum {info} doesn't match manifest checksum {is}")
        },
    );
    add("no-bagit", &|bag| bag.remove("bagit.txt"), &says("Missing required tag bagit.txt/BagIt-Version."));
    add(
        "wrong-version",
        &|bag| bag.replace("bagit.txt", "1.0", "0.96"),
        &says(
            "BagIt-Version 0.96 is not permitted in BagIt profile \
         https://raw.githubusercontent.com/APTrust/preservation-services/master/profiles/aptrust-v2.3.json.",
        ),
    );
    add(
        "fetch",
        &|bag| bag.set("fetch.txt", b"https://example.edu/x 1 data/x\n"),
        &says("Bag has fetch.txt file which profile does not allow"),
    );
    add(
        "illegal-manifest",
        &|bag| bag.set("manifest-sha224.txt", b""),
        &says("Bag contains illegal manifest 'sha224'"),
    );
    add("no-manifest", &|bag| bag.remove("manifest-md5.txt"), &says("Bag is missing required manifest 'md5'"));
    add(
        "illegal-tag-manifest",
        &|bag| bag.set("tagmanifest-sha224.txt", b""),
        &says("Bag contains illegal tag manifest 'sha224'"),
    );
    add(
        "no-title",
        &|bag| bag.replace("aptrust-info.txt", "Title:", "Titel:"),
        &says("Required tag Title in file aptrust-info.txt is missing"),
    );
    let title = |bag: &Bag| format!("Title: {}", bag.title);
    add(
        "empty-title",
        &|bag| bag.replace("aptrust-info.txt", &title(bag), "Title:"),
        &says("In file aptrust-info.txt, required tag Title has no value"),
    );
    add(
        "wrong-access",
        &|bag| bag.replace("aptrust-info.txt", "Consortia", "Hands Off!"),
        &says("In file aptrust-info.txt, tag Access has illegal value 'Hands Off!'"),
    );
    add(
        "wrong-option",
        &|bag| bag.replace("aptrust-info.txt", "Standard", "Cardboard-Box"),
        &says("In file aptrust-info.txt, tag Storage-Option has illegal value 'Cardboard-Box'"),
    );
    add(
        "two-faults",
        &|bag| {
            bag.replace("aptrust-info.txt", "Consortia", "acksess");
            bag.replace("aptrust-info.txt", "Standard", "Cardboard-Box");
        },
        &says(
            "In file aptrust-info.txt, tag Access has illegal value 'acksess' | \
         In file aptrust-info.txt, tag Storage-Option has illegal value 'Cardboard-Box'",
        ),
    );
    // Listed, or it would be refused for that too.
    add(
        "control-character",
        &|bag| {
            bag.set("data/bell\u{7}.txt", b"bell");
            let manifest =
                [bag.part("manifest-md5.txt"), digest(Algorithm::Md5, b"bell").as_bytes(), b"  data/bell\x07.txt\n"]
                    .concat();
            bag.set("manifest-md5.txt", &manifest);
            bag.remove("tagmanifest-md5.txt");
        },
        &says("File name 'data/bell\u{7}.txt' contains one or more illegal control characters"),
    );
    let mut tar = |word: &'static str, tar: &dyn Fn(&Bag) -> Vec<u8>, note: &str| {
        let bag = Bag::plain(&format!("{run}-{word}"));
        all.push(Broken { word, tar: tar(&bag), bag, note: note.to_owned() });
    };
    // In the contents of the second file.
    tar("cut-short", &|bag| bag.tar()[..3 * 512 + 50].to_vec(), note::TRUNCATED_TAR);
    tar("no-tar", &|_| b"PK\x03\x04 it is a zip".repeat(100), note::INVALID_TAR_HEADER);
    tar(
        "no-folder",
        &|bag| bag.packed(""),
        "Illegal path, 'bagit.txt'. Should start with 'bagit.txt/'. - Bag may be missing \
         top-level directory. See https://aptrust.github.io/userguide/bagging/#aptrust-bagit-specification.",
    );
    all
}

fn bag_info(bag: &Bag) -> &[u8] {
    bag.part("bag-info.txt")
}
