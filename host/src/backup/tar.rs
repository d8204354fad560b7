//! The form of a backup: a POSIX archive (`tar`), so that everybody's tools can look into it. Only what a
//! backup needs of it: plain files, one header each, in blocks of 512 bytes.
//!
//! Sizes beyond 8 GiB do not fit into the octal field and are written in binary, as GNU and BSD tools do.

/// The size of a block. A file's last one is filled with zeros.
pub(super) const BLOCK: usize = 512;
/// What ends an archive.
pub(super) const END: [u8; 2 * BLOCK] = [0; 2 * BLOCK];
/// Least size that the octal field of eleven digits cannot hold.
const OCTAL_MAX: u64 = 1 << 33;
/// Readable and writable by the owner.
const MODE: u64 = 0o600;
const CHECKSUM: std::ops::Range<usize> = 148..156;
const SIZE: std::ops::Range<usize> = 124..136;

/// A file in an archive.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Entry {
    /// Its name, of 100 bytes at the most.
    pub(super) name: String,
    /// Its size in bytes.
    pub(super) bytes: u64,
}

impl Entry {
    /// Its header. `at` is when it was made, in seconds since the Unix epoch.
    pub(super) fn header(&self, at: u64) -> [u8; BLOCK] {
        let mut block = [0; BLOCK];
        let name = self.name.as_bytes();
        let length = name.len().min(100);
        block[..length].copy_from_slice(&name[..length]);
        octal(&mut block[100..108], MODE);
        octal(&mut block[108..116], 0);
        octal(&mut block[116..124], 0);
        if self.bytes < OCTAL_MAX {
            octal(&mut block[SIZE], self.bytes);
        } else {
            block[SIZE.start] = 0x80;
            block[SIZE.end - 8..SIZE.end].copy_from_slice(&self.bytes.to_be_bytes());
        }
        octal(&mut block[136..148], at);
        block[156] = b'0';
        block[257..265].copy_from_slice(b"ustar\x0000");
        let sum = checksum(&block);
        octal(&mut block[148..155], sum);
        block[155] = b' ';
        block
    }

    /// Reads a header; nothing where it is none of ours, or damaged.
    pub(super) fn read(block: &[u8; BLOCK]) -> Option<Self> {
        if number(&block[CHECKSUM])? != checksum(block) || block[156] != b'0' {
            return None;
        }
        let name = block[..100].split(|byte| *byte == 0).next()?;
        let size = &block[SIZE];
        let bytes = match size[0] {
            0x80 => u64::from_be_bytes(size[4..].try_into().ok()?),
            _ => number(size)?,
        };
        Some(Self {
            name: str::from_utf8(name).ok()?.to_owned(),
            bytes,
        })
    }
}

/// Zeros behind a file of this size, up to the end of its last block.
pub(super) fn padding(bytes: u64) -> usize {
    let over = usize::try_from(bytes % BLOCK as u64).unwrap_or(0);
    if over == 0 { 0 } else { BLOCK - over }
}

/// Digits up to the last place, which stays zero.
fn octal(field: &mut [u8], mut number: u64) {
    let digits = field.len() - 1;
    for place in field[..digits].iter_mut().rev() {
        *place = b'0' + u8::try_from(number & 7).unwrap_or(0);
        number >>= 3;
    }
}

fn number(field: &[u8]) -> Option<u64> {
    let text = str::from_utf8(field).ok()?;
    u64::from_str_radix(text.trim_matches(|c| c == '\0' || c == ' '), 8).ok()
}

/// The sum of all bytes, with blanks in its own place.
fn checksum(block: &[u8; BLOCK]) -> u64 {
    let byte = |(place, byte): (usize, &u8)| u64::from(if CHECKSUM.contains(&place) { b' ' } else { *byte });
    block.iter().enumerate().map(byte).sum()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn what_is_written_is_read(name in "[a-z.]{1,100}", bytes: u64, at in 0_u64..1 << 33) {
            let entry = Entry { name, bytes };
            let block = entry.header(at);
            prop_assert_eq!(Entry::read(&block), Some(entry));
        }

        #[test]
        fn nothing_makes_the_reader_panic(mut block in prop::array::uniform32(any::<[u8; 16]>())) {
            block[9][12..].fill(b'0');
            let flat: Vec<u8> = block.iter().flatten().copied().collect();
            let _any = Entry::read(flat.as_slice().try_into().unwrap());
        }

        #[test]
        fn a_changed_byte_is_noticed(place in 0_usize..BLOCK, by in 1_u8..) {
            let entry = Entry { name: "hookway.db".to_owned(), bytes: 123_456 };
            let mut block = entry.header(1_779_208_200);
            block[place] ^= by;
            // What fills the places of the sum itself may be changed without a change of the number.
            prop_assert!(CHECKSUM.contains(&place) || Entry::read(&block).is_none());
        }
    }

    #[test]
    fn files_end_with_a_whole_block() {
        for (bytes, zeros) in [(0, 0), (1, 511), (511, 1), (512, 0), (513, 511)] {
            assert_eq!(padding(bytes), zeros);
        }
    }
}
