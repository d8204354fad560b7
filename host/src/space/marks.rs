//! What the room on the disk means: plenty, low, or gone. Numbers in, a word out.
//!
//! Low begins below a mark and ends clearly above it and after more than one look, so that a disk that
//! hovers about the mark does not open and close the door with every look.

use crate::disk::Room;

/// The room is gone below this many bytes, or the part of the mark that [`GONE_PART`] says, whichever is
/// less: four transactions of the greatest size (4 MiB each), in the log.
const GONE_BELOW: u64 = 16 << 20;
/// See [`GONE_BELOW`]: on a small disk this part of the mark.
const GONE_PART: u64 = 4;
/// The least for the same, where the mark is switched off or next to nothing.
const GONE_BELOW_MIN: u64 = 256 << 10;
/// Low ends this part of the mark above it.
const BACK_PART: u64 = 8;
/// Room of the database's own counts for the mark only while the disk has this part of the mark itself:
/// everything that is written goes through the log first, and the log needs the disk.
const LOG_PART: u64 = 4;
/// Looks in a row that must find enough before low ends.
const LOOKS: u8 = 2;
/// The ballast is at most this part of the disk.
const BALLAST_PART: u64 = 16;
/// Less than this is no ballast worth having.
const BALLAST_BYTES_MIN: u64 = 1 << 20;

/// What the operator wants kept free.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Marks {
    /// Bytes (`store.disk_free_min`); 0 switches the mark off.
    pub bytes: u64,
    /// Percent of the disk (`store.disk_free_min_percent`); the lesser of the two counts.
    pub percent: u32,
    /// Bytes of the ballast (`store.ballast_bytes`); less on a small disk.
    pub ballast: u64,
}

/// What the room means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Level {
    /// Everything is taken.
    Plenty,
    /// Nothing new is taken.
    Low,
    /// Nothing new is taken, and the ballast is given up for what must be written.
    Gone,
}

/// What was seen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Seen {
    /// The disk.
    pub room: Room,
    /// Bytes within the database's file that it can use again.
    pub reusable: u64,
    /// Bytes that the ballast keeps back.
    pub ballast: u64,
    /// Whether the store found no room: then the disk may say what it likes, a quota is used up.
    pub full: bool,
}

impl Marks {
    /// The mark on this disk, in bytes.
    pub fn mark(&self, room: Room) -> u64 {
        let part = u128::from(room.total) * u128::from(self.percent) / 100;
        self.bytes.min(u64::try_from(part).unwrap_or(u64::MAX))
    }

    /// The ballast on this disk, in bytes; 0 for none.
    pub fn ballast(&self, room: Room) -> u64 {
        let bytes = self.ballast.min(room.total / BALLAST_PART);
        if bytes < BALLAST_BYTES_MIN { 0 } else { bytes }
    }

    /// Below this many bytes the room is gone.
    pub fn gone_below(&self, room: Room) -> u64 {
        let part = match self.mark(room) {
            0 => room.total / (BALLAST_PART * GONE_PART),
            mark => mark / GONE_PART,
        };
        part.clamp(GONE_BELOW_MIN, GONE_BELOW)
    }

    /// Whether the ballast can be made without coming close to where it would be given up again, or to the
    /// mark.
    pub fn has_room_for_ballast(&self, room: Room) -> bool {
        let left = room.free.saturating_sub(self.ballast(room));
        left >= above(self.mark(room)).max(2 * self.gone_below(room))
    }
}

fn above(mark: u64) -> u64 {
    mark.saturating_add(mark / BACK_PART)
}

/// What was found so far.
#[derive(Clone, Copy, Debug)]
pub struct Watching {
    level: Level,
    good: u8,
    /// The ballast could not be made although there was room: it is not tried again.
    pub(super) without_ballast: bool,
}

impl Default for Watching {
    fn default() -> Self {
        Self {
            level: Level::Plenty,
            good: 0,
            without_ballast: false,
        }
    }
}

impl Watching {
    /// Whether anything new is refused.
    pub(super) fn is_low(&self) -> bool {
        self.level != Level::Plenty
    }

    /// What it means by now.
    pub fn look(&mut self, marks: &Marks, seen: Seen) -> Level {
        let Seen {
            room,
            reusable,
            ballast,
            full,
        } = seen;
        let mark = marks.mark(room);
        // Reaches the mark with what the file has itself, as long as the log has room.
        let reaches = |mark: u64| {
            room.free >= mark || room.free >= mark / LOG_PART && room.free.saturating_add(reusable) >= mark
        };
        let wanted = marks.ballast(room);
        // Who has given the ballast up must get it back before anything new may use the room.
        let ballast_missing = wanted > 0 && ballast < wanted;
        if full || wanted > 0 && room.free < marks.gone_below(room) {
            (self.level, self.good) = (Level::Gone, 0);
        } else if !reaches(mark) || self.level != Level::Plenty && (!reaches(above(mark)) || ballast_missing)
        {
            (self.level, self.good) = (Level::Low, 0);
        } else if self.level != Level::Plenty {
            self.good += 1;
            // The ballast is back: it is not given up once more only because that was so before.
            self.level = if self.good >= LOOKS {
                Level::Plenty
            } else {
                Level::Low
            };
        }
        self.level
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MIB: u64 = 1 << 20;
    const GIB: u64 = 1 << 30;
    const USUAL: Marks = Marks {
        bytes: 512 * MIB,
        percent: 10,
        ballast: 64 * MIB,
    };

    fn disk(free: u64, total: u64) -> Room {
        Room { free, total }
    }

    fn seen(free: u64, total: u64, reusable: u64) -> Seen {
        let room = disk(free, total);
        Seen {
            room,
            reusable,
            ballast: USUAL.ballast(room),
            full: false,
        }
    }

    #[test]
    fn the_lesser_of_two_marks_counts_and_small_disks_stay_usable() {
        for (total, mark, ballast, gone) in [
            (1_024 * GIB, 512 * MIB, 64 * MIB, 16 * MIB),
            (2 * GIB, 2 * GIB / 10, 64 * MIB, 16 * MIB),
            (64 * MIB, 64 * MIB / 10, 4 * MIB, 64 * MIB / 10 / 4),
            (10 * MIB, MIB, 0, 256 << 10),
            (0, 0, 0, 256 << 10),
        ] {
            let room = disk(0, total);
            assert_eq!(USUAL.mark(room), mark, "{total}");
            assert_eq!(USUAL.ballast(room), ballast, "{total}");
            assert_eq!(USUAL.gone_below(room), gone, "{total}");
        }
        let off = Marks { bytes: 0, ..USUAL };
        assert_eq!(off.mark(disk(0, GIB)), 0);
        assert_eq!(off.gone_below(disk(0, GIB)), 16 * MIB);
        let all = Marks {
            bytes: u64::MAX,
            percent: 100,
            ballast: u64::MAX,
        };
        assert_eq!(all.mark(disk(0, u64::MAX)), u64::MAX);
    }

    #[test]
    fn low_begins_at_the_mark_and_ends_above_it_after_two_looks() {
        let mut watching = Watching::default();
        let mut look = |free, reusable| watching.look(&USUAL, seen(free, 100 * GIB, reusable));
        assert_eq!(look(512 * MIB, 0), Level::Plenty);
        assert_eq!(look(512 * MIB - 1, 0), Level::Low);
        assert_eq!(look(512 * MIB, 0), Level::Low);
        assert_eq!(look(576 * MIB, 0), Level::Low);
        assert_eq!(look(575 * MIB, 0), Level::Low);
        assert_eq!(look(576 * MIB, 0), Level::Low);
        assert_eq!(look(576 * MIB, 0), Level::Plenty);
        assert_eq!(look(15 * MIB, 0), Level::Gone);
        assert_eq!(look(20 * MIB, 0), Level::Low);
        assert_eq!(look(10 * GIB, 0), Level::Low);
        assert_eq!(look(10 * GIB, 0), Level::Plenty);
    }

    #[test]
    fn room_within_the_file_counts_while_the_log_has_room() {
        let mut watching = Watching::default();
        let mut look = |free, reusable| watching.look(&USUAL, seen(free, 100 * GIB, reusable));
        assert_eq!(look(200 * MIB, 400 * MIB), Level::Plenty);
        assert_eq!(look(200 * MIB, 100 * MIB), Level::Low);
        assert_eq!(look(200 * MIB, GIB), Level::Low);
        assert_eq!(look(200 * MIB, GIB), Level::Plenty);
        assert_eq!(look(127 * MIB, GIB), Level::Low);
    }

    #[test]
    fn nothing_new_is_taken_before_the_ballast_is_back() {
        let mut watching = Watching::default();
        let with = |free, ballast| Seen {
            ballast,
            ..seen(free, 100 * GIB, 0)
        };
        assert_eq!(watching.look(&USUAL, with(MIB, 64 * MIB)), Level::Gone);
        for _ in 0..3 {
            assert_eq!(watching.look(&USUAL, with(10 * GIB, 0)), Level::Low);
        }
        assert_eq!(watching.look(&USUAL, with(10 * GIB, 64 * MIB)), Level::Low);
        assert_eq!(watching.look(&USUAL, with(10 * GIB, 64 * MIB)), Level::Plenty);
        assert!(USUAL.has_room_for_ballast(disk(640 * MIB, 100 * GIB)));
        assert!(!USUAL.has_room_for_ballast(disk(639 * MIB, 100 * GIB)));
    }

    #[test]
    fn a_store_without_room_counts_whatever_the_disk_says() {
        let mut watching = Watching::default();
        let mut look = |full, ballast| {
            let disk = seen(10 * GIB, 100 * GIB, 0);
            watching.look(
                &USUAL,
                Seen {
                    full,
                    ballast,
                    ..disk
                },
            )
        };
        assert_eq!(look(true, 64 * MIB), Level::Gone);
        assert_eq!(look(false, 0), Level::Low);
        assert_eq!(look(true, 0), Level::Gone);
        assert_eq!(look(false, 64 * MIB), Level::Low);
        assert_eq!(look(false, 64 * MIB), Level::Plenty);
    }

    #[test]
    fn with_everything_switched_off_nothing_is_ever_low() {
        let off = Marks {
            bytes: 0,
            percent: 10,
            ballast: 0,
        };
        let mut watching = Watching::default();
        let nothing = Seen {
            room: disk(0, GIB),
            reusable: 0,
            ballast: 0,
            full: false,
        };
        assert_eq!(watching.look(&off, nothing), Level::Plenty);
    }
}
