//! Where the write-ahead log ends, and whether it should.
//!
//! SQLite reads the log up to the first frame whose checksum does not fit and takes that for its end: so it
//! finds its way after a crash, and so a flipped bit silently takes away everything that was committed behind
//! it. Before the database is opened, and before anything is written over it, the log is read once here. Each
//! frame's checksum continues that of the frame before, which stands in its header; so a frame that ends a
//! transaction and continues the frame before it was committed once, wherever the chain is broken further up.
//! One of those behind the end is what this looks for.
//!
//! What a killed process leaves is not taken for it: it wrote in order, so of the transaction that was under
//! way there is no such frame. After a power cut the last transaction may be torn, in any order; that can look
//! alike, although nobody was told that it was committed. So this is said, and nothing is refused for it.
//! Damage to the last frame of all, or a log that was cut, cannot be told from a crash.

use std::fmt;
use std::fs::File;
use std::io::{self, ErrorKind};
use std::os::unix::fs::FileExt as _;
use std::path::Path;

use super::schema::PAGE_BYTES;
use crate::store::files::DATABASE;

/// The log begins with this (sqlite.org/fileformat2.html, "WAL Header"); the last bit says in which order the
/// bytes of a word are summed.
const MAGIC: u32 = 0x377f_0682;
const HEADER_BYTES: usize = 32;
/// What the checksum of the header covers.
const HEADER_SUMMED: usize = 24;
const FRAME_HEADER_BYTES: usize = 24;
/// What the checksum of a frame covers of its header.
const FRAME_SUMMED: usize = 8;

/// A log that ends before its end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct EndsEarly {
    /// The first frame that is not what was written, counted from 1; 0 is the header.
    pub(super) at: u64,
    /// The last frame that belongs to this log.
    pub(super) of: u64,
}

impl fmt::Display for EndsEarly {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { at, of } = self;
        match at {
            0 => write!(
                f,
                "the write-ahead log {DATABASE}-wal has a damaged header, so that none of its {of} frames is read"
            ),
            at => write!(
                f,
                "the write-ahead log {DATABASE}-wal ends early, at frame {at} of {of}: what was committed from \
                 there on is not read"
            ),
        }
    }
}

/// What whoever is told should do.
pub(super) const WHAT_TO_DO: &str = "after a power cut this may be a torn end, and nothing is missing; otherwise the disk is damaged: keep a copy \
     of the data directory from before the next start, look at the newest events against their producers or the \
     newest backup, and have what is missing sent again";

/// The two words of a checksum, and the two of the salts.
type Words = (u32, u32);

/// In which order the bytes of a word are summed.
#[derive(Clone, Copy)]
enum Order {
    Big,
    Little,
}

fn big(bytes: &[u8], at: usize) -> u32 {
    bytes
        .get(at..at + 4)
        .and_then(|bytes| bytes.try_into().ok())
        .map_or(0, u32::from_be_bytes)
}

fn words(bytes: &[u8], at: usize) -> Words {
    (big(bytes, at), big(bytes, at + 4))
}

/// Continues a checksum over some bytes, eight at a time.
fn sum(order: Order, before: Words, bytes: &[u8]) -> Words {
    let word = |bytes: &[u8]| {
        let bytes = bytes.try_into().unwrap_or_default();
        match order {
            Order::Big => u32::from_be_bytes(bytes),
            Order::Little => u32::from_le_bytes(bytes),
        }
    };
    bytes.chunks_exact(8).fold(before, |(one, other), pair| {
        let (first, second) = pair.split_at(4);
        let one = one.wrapping_add(word(first)).wrapping_add(other);
        (one, other.wrapping_add(word(second)).wrapping_add(one))
    })
}

/// What the header of a log says.
struct Header {
    order: Order,
    page_bytes: usize,
    salts: Words,
    sum: Words,
}

impl Header {
    /// None where it is damaged.
    fn of(bytes: &[u8; HEADER_BYTES]) -> Option<Self> {
        let order = match big(bytes, 0) {
            MAGIC => Order::Little,
            magic if magic == MAGIC | 1 => Order::Big,
            _ => return None,
        };
        let page_bytes = big(bytes, 8) as usize;
        let sum = sum(order, (0, 0), &bytes[..HEADER_SUMMED]);
        let sound = page_bytes.is_power_of_two()
            && (512..=65_536).contains(&page_bytes)
            && sum == words(bytes, HEADER_SUMMED);
        sound.then(|| Self {
            order,
            page_bytes,
            salts: words(bytes, 16),
            sum,
        })
    }
}

/// A frame, as far as it must be known: its page is read where its checksum is asked for.
struct Frame {
    header: [u8; FRAME_HEADER_BYTES],
    page_at: u64,
}

impl Frame {
    fn salts(&self) -> Words {
        words(&self.header, 8)
    }

    /// What its header says that its checksum is.
    fn sum(&self) -> Words {
        words(&self.header, 16)
    }

    fn ends_a_transaction(&self) -> bool {
        big(&self.header, 4) > 0
    }

    /// Whether it continues what has this checksum.
    fn continues(&self, log: &File, order: Order, before: Words, page: &mut [u8]) -> io::Result<bool> {
        log.read_exact_at(page, self.page_at)?;
        let sum_of_header = sum(order, before, &self.header[..FRAME_SUMMED]);
        Ok(big(&self.header, 0) > 0 && sum(order, sum_of_header, page) == self.sum())
    }
}

/// Looks at the log beside a database that nobody has open; none where it ends where it should.
pub(super) fn ends_early(database: &Path) -> io::Result<Option<EndsEarly>> {
    let mut path = database.as_os_str().to_owned();
    path.push("-wal");
    let log = match File::open(path) {
        Ok(log) => log,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error),
    };
    let bytes = log.metadata()?.len();
    let mut header = [0; HEADER_BYTES];
    if bytes < HEADER_BYTES as u64 {
        return Ok(None);
    }
    log.read_exact_at(&mut header, 0)?;
    let header = Header::of(&header);
    // Where the header is damaged, the frames must do: they were written by a machine like this one.
    let native = if cfg!(target_endian = "big") {
        Order::Big
    } else {
        Order::Little
    };
    let (order, page_bytes) = match &header {
        Some(header) => (header.order, header.page_bytes),
        None => (native, usize::try_from(PAGE_BYTES).unwrap_or_default()),
    };
    let frame_bytes = (FRAME_HEADER_BYTES + page_bytes) as u64;
    let frames = (bytes - HEADER_BYTES as u64) / frame_bytes;
    let frame_at = |number: u64| -> io::Result<Frame> {
        let at = HEADER_BYTES as u64 + (number - 1) * frame_bytes;
        let mut header = [0; FRAME_HEADER_BYTES];
        log.read_exact_at(&mut header, at)?;
        let page_at = at + FRAME_HEADER_BYTES as u64;
        Ok(Frame { header, page_at })
    };
    let mut page = vec![0; page_bytes];

    // As SQLite reads it.
    let mut at = 0;
    if let Some(header) = &header {
        let mut before = header.sum;
        loop {
            at += 1;
            if at > frames {
                return Ok(None);
            }
            let frame = frame_at(at)?;
            if frame.salts() != header.salts || !frame.continues(&log, order, before, &mut page)? {
                break;
            }
            before = frame.sum();
        }
    }

    // What stands behind its end.
    let mut salts = header.map(|header| header.salts);
    let (mut before, mut committed, mut of) = (None::<Frame>, false, at);
    for number in at.max(1)..=frames {
        let frame = frame_at(number)?;
        let ours = salts.is_none_or(|salts| frame.salts() == salts);
        let follows = before
            .as_ref()
            .filter(|before| ours && before.salts() == frame.salts());
        // Frames of an earlier log are not read, and once one is found, the others are only counted.
        let asked = !committed && (salts.is_none() || frame.ends_a_transaction());
        if let Some(before) = follows.filter(|_| asked)
            && frame.continues(&log, order, before.sum(), &mut page)?
        {
            salts = Some(frame.salts());
            committed = frame.ends_a_transaction();
        }
        if ours {
            of = number;
        }
        before = Some(frame);
    }
    Ok(committed.then_some(EndsEarly { at, of }))
}

#[cfg(test)]
mod tests;
