//! Specimens, damaged at random. `FUZZ_CASES=1000000` for the long run, `FUZZ_SEED` for another one.

use pronom::{Engine, Specimen};

use super::support::{ask, identify};

/// A generator of numbers that is the same everywhere (splitmix64).
struct Numbers(u64);

impl Numbers {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }

    fn below(&mut self, bound: usize) -> usize {
        usize::try_from(self.next() % bound.max(1) as u64).unwrap()
    }

    fn bytes(&mut self, count: usize) -> Vec<u8> {
        (0..count).map(|_| self.next().to_le_bytes()[0]).collect()
    }
}

fn number(variable: &str, default: u64) -> u64 {
    std::env::var(variable).ok().and_then(|text| text.parse().ok()).unwrap_or(default)
}

#[test]
fn damaged_files_have_one_answer_whole_or_in_parts() {
    let specimens: Vec<Specimen<'_>> = Engine::builtin().specimens().collect();
    let seed = number("FUZZ_SEED", 1);
    let mut numbers = Numbers(seed);
    for case in 0..number("FUZZ_CASES", 600) {
        // Containers have more to break than their share.
        let containers = specimens.len() / 8;
        let first = if numbers.below(2) == 0 { specimens.len() - containers } else { 0 };
        let specimen = &specimens[first + numbers.below(specimens.len() - first)];
        let mut file = specimen.content.clone();
        for _ in 0..=numbers.below(3) {
            damage(&mut file, &mut numbers, &specimens);
        }
        let named = &specimens[numbers.below(specimens.len())];
        let extension = if numbers.below(4) == 0 { named.extension } else { specimen.extension };
        let name = format!("a.{extension}");
        let whole = ask(&name, &file, file.len(), file.len()).found;
        assert_eq!(identify(&name, &file), whole, "seed {seed}, case {case}: {} as {name}", specimen.number);
    }
}

fn damage(file: &mut Vec<u8>, numbers: &mut Numbers, specimens: &[Specimen<'_>]) {
    let at = numbers.below(file.len() + 1);
    let few = [1, 2, 4, 64, 1_000][numbers.below(5)];
    match numbers.below(8) {
        0 => file.truncate(at),
        1 => drop(file.splice(at..at, numbers.bytes(few))),
        2 => file.extend(numbers.bytes(few)),
        3 => drop(file.drain(..at.min(few))),
        4 => {
            let other = &specimens[numbers.below(specimens.len())].content;
            drop(file.splice(at..at, other.iter().copied()));
        }
        5 => {
            let byte = [0, 0xFF, b' ', b'P'][numbers.below(4)];
            drop(file.splice(at..at, vec![byte; few * 60]));
        }
        _ => {
            for _ in 0..few.min(file.len()).min(8) {
                let at = numbers.below(file.len());
                file[at] = [0, 1, 0x7F, 0x80, 0xFE, 0xFF, numbers.next().to_le_bytes()[0]][numbers.below(7)];
            }
        }
    }
}
