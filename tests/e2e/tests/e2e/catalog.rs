//! The bags of the suite: good ones of every kind, and broken ones that each break one rule, with what the depositor must read.

use model::{StorageOption, bucket::TABLE, note};

use crate::bag::{Bag, md5, payload};

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
    let many = (0..60).map(|n| (format!("{}/{n}.txt", n % 7), format!("file {n}\n").into())).collect();
    add("many-files", standard("many-files", many));
    // Above 16 MiB it is sent in parts.
    let large: Vec<u8> = (0..17 << 20).map(|n: u32| n.to_le_bytes()[(n % 3) as usize]).collect();
    add("large-file", standard("large-file", vec![("large.bin".to_owned(), large.into())]));
    let names = ["a b  c.txt", "naïve ☃.txt", "narrow\u{202f}space.txt", "100%+&=?.txt"];
    let odd = names.map(|path| (path.to_owned(), path.to_owned().into())).to_vec();
    add("odd-names", standard("odd-names", odd.clone()));
    add("odd-names-wasabi", Bag::good(&of_run("odd-names-wasabi"), &StorageOption::WasabiVa, odd));
    let mut lenient = standard("lenient", payload());
    lenient.replace("manifest-md5.txt", "  data/notes.txt", "  *data/notes.txt");
    lenient.parts.list_tags();
    add("lenient", lenient);
    bags
}

/// Broken bags.
pub(crate) fn broken(run: &str) -> Vec<Broken> {
    let mut all = Vec::new();
    let mut add = |word: &'static str, change: &dyn Fn(&mut Bag), note: &dyn Fn(&Bag) -> String| {
        let mut bag = Bag::plain(&format!("{run}-{word}"));
        change(&mut bag);
        let note = note(&bag);
        all.push(Broken { word, tar: bag.parts.tar(), bag, note });
    };
    let says = |text: &'static str| move |_: &Bag| text.to_owned();
    add("missing-file", &|bag| bag.parts.remove("data/notes.txt"), &|bag| {
        format!("File {}/data/notes.txt in manifest-md5.txt is missing from bag", bag.identifier())
    });
    let (was, is) = (md5(&payload()[0].1), md5(b"other notes"));
    add("wrong-digest", &|bag| bag.parts.put("data/notes.txt", "other notes"), &|bag| {
        differs(bag, "data/notes.txt", &is, &was)
    });
    add("extra-file", &|bag| bag.parts.put("data/extra.txt", "extra"), &|bag| {
        format!("File {}/data/extra.txt is not in manifest manifest-md5.txt", bag.identifier())
    });
    let of_info = |bag: &Bag| md5(bag.part("bag-info.txt"));
    add("wrong-tag-digest", &|bag| bag.replace("tagmanifest-md5.txt", &of_info(bag), &is), &|bag| {
        differs(bag, "bag-info.txt", &of_info(bag), &is)
    });
    add("no-bagit", &|bag| bag.parts.remove("bagit.txt"), &says("Missing required tag bagit.txt/BagIt-Version."));
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
        &|bag| bag.parts.put("fetch.txt", "https://example.edu/x 1 data/x\n"),
        &says("Bag has fetch.txt file which profile does not allow"),
    );
    add(
        "illegal-manifest",
        &|bag| bag.parts.put("manifest-sha224.txt", ""),
        &says("Bag contains illegal manifest 'sha224'"),
    );
    add("no-manifest", &|bag| bag.parts.remove("manifest-md5.txt"), &says("Bag is missing required manifest 'md5'"));
    add(
        "illegal-tag-manifest",
        &|bag| bag.parts.put("tagmanifest-sha224.txt", ""),
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
        &|bag| bag.replace("aptrust-info.txt", "Institution", "Hands Off!"),
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
            bag.replace("aptrust-info.txt", "Institution", "acksess");
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
            bag.parts.put("data/bell\u{7}.txt", "bell");
            bag.parts.edit("manifest-md5.txt", |text| format!("{text}{}  data/bell\u{7}.txt\n", md5(b"bell")));
            bag.parts.list_tags();
        },
        &says("File name 'data/bell\u{7}.txt' contains one or more illegal control characters"),
    );
    let mut tar = |word: &'static str, tar: &dyn Fn(&mut Bag) -> Vec<u8>, note: &str| {
        let mut bag = Bag::plain(&format!("{run}-{word}"));
        all.push(Broken { word, tar: tar(&mut bag), bag, note: note.to_owned() });
    };
    // In the contents of the second file.
    tar("cut-short", &|bag| bag.parts.tar()[..3 * 512 + 50].to_vec(), note::TRUNCATED_TAR);
    tar("no-tar", &|_| b"PK\x03\x04 it is a zip".repeat(100), note::INVALID_TAR_HEADER);
    tar(
        "no-folder",
        &|bag| {
            bag.parts.top.clear();
            bag.parts.tar()
        },
        "Illegal path, 'bagit.txt'. Should start with 'bagit.txt/'. - Bag may be missing \
         top-level directory. See https://aptrust.github.io/userguide/bagging/#aptrust-bagit-specification.",
    );
    all
}

fn differs(bag: &Bag, path: &str, is: &str, listed: &str) -> String {
    format!("File {}/{path}: ingest md5 checksum {is} doesn't match manifest checksum {listed}", bag.identifier())
}
