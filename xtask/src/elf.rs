//! What an executable's ELF header tells: which machine it is for, and whether it needs a dynamic loader.

use anyhow::{Result, bail, ensure};

/// `e_machine` of the platforms that we build for (System V ABI).
pub(crate) const X86_64: u16 = 0x3e;
pub(crate) const AARCH64: u16 = 0xb7;

const PT_INTERP: u32 = 3;

/// The facts of a 64-bit little-endian ELF executable.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Elf {
    pub(crate) machine: u16,
    /// No dynamic loader is named, so it runs in an image that holds nothing else.
    pub(crate) is_static: bool,
}

/// Reads the header; anything but a whole 64-bit little-endian ELF file is an error.
pub(crate) fn read(bytes: &[u8]) -> Result<Elf> {
    let at = |offset: usize, length: usize| bytes.get(offset..offset.checked_add(length)?);
    let number = |offset: usize, length: usize| {
        at(offset, length).map(|bytes| bytes.iter().rev().fold(0_u64, |sum, byte| sum << 8 | u64::from(*byte)))
    };
    ensure!(at(0, 6) == Some(b"\x7fELF\x02\x01"), "is not a 64-bit little-endian ELF file");
    let (Some(machine), Some(table), Some(size), Some(count)) =
        (number(18, 2), number(32, 8), number(54, 2), number(56, 2))
    else {
        bail!("ends within its ELF header");
    };
    let mut is_static = true;
    for index in 0..count {
        let offset = size.checked_mul(index).and_then(|offset| table.checked_add(offset)).map(usize::try_from);
        let Some(Ok(offset)) = offset else { bail!("has program headers out of range") };
        match number(offset, 4) {
            Some(kind) => is_static &= kind != u64::from(PT_INTERP),
            None => bail!("ends within its program headers"),
        }
    }
    Ok(Elf { machine: u16::try_from(machine)?, is_static })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A header with one program header of the given type.
    fn sample(machine: u16, program_header: u32) -> Vec<u8> {
        let mut bytes = vec![0; 64 + 56];
        bytes[..6].copy_from_slice(b"\x7fELF\x02\x01");
        bytes[18..20].copy_from_slice(&machine.to_le_bytes());
        bytes[32..40].copy_from_slice(&64_u64.to_le_bytes());
        bytes[54..56].copy_from_slice(&56_u16.to_le_bytes());
        bytes[56..58].copy_from_slice(&1_u16.to_le_bytes());
        bytes[64..68].copy_from_slice(&program_header.to_le_bytes());
        bytes
    }

    #[test]
    fn machine_and_loader_are_read() {
        assert_eq!(read(&sample(X86_64, 1)).unwrap(), Elf { machine: X86_64, is_static: true });
        assert_eq!(read(&sample(AARCH64, PT_INTERP)).unwrap(), Elf { machine: AARCH64, is_static: false });
    }

    #[test]
    fn a_file_cut_anywhere_is_an_error_and_no_panic() {
        let whole = sample(X86_64, 1);
        for length in 0..68 {
            read(&whole[..length]).unwrap_err();
        }
        let mut wild = whole;
        wild[32..40].copy_from_slice(&u64::MAX.to_le_bytes());
        read(&wild).unwrap_err();
        read(b"#!/bin/sh\n").unwrap_err();
    }
}
