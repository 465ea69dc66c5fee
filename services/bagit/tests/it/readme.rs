//! The example of the README, which is this function's body to the letter.

#[rustfmt::skip]
#[test]
fn the_example_of_the_readme_works() {
use bagit::{Bag, Options, Profile, Verdict};

let mut bag = Bag::new(Options::default(), Profile::default());
bag.file("bagit.txt", 55);
bag.content(b"BagIt-Version: 1.0\nTag-File-Character-Encoding: UTF-8\n");
bag.file("manifest-md5.txt", 47);
bag.content(b"d41d8cd98f00b204e9800998ecf8427e  data/empty\n");
bag.file("data/empty", 0);
bag.digest("md5", b"\xd4\x1d\x8c\xd9\x8f\x00\xb2\x04\xe9\x80\x09\x98\xec\xf8\x42\x7e");
let verdict = bag.validate(|finding| eprintln!("{finding:#}"));
assert_eq!(verdict, Verdict::Valid);
}

#[test]
fn the_readme_shows_that_example() {
    let (_, example) = include_str!("../../README.md").split_once("```\n").unwrap();
    let (example, _) = example.split_once("```").unwrap();
    let (_, body) = include_str!("readme.rs").split_once("fn the_example_of_the_readme_works() {\n").unwrap();
    assert_eq!(body.split_once("}\n\n#[test]").unwrap().0, example);
}
