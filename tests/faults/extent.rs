//! How long a fault test runs: long enough to notice a broken guard, or long enough to be sure.

/// How much of everything.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Extent {
    /// On every change.
    Quick,
    /// Before a release.
    Long,
}

impl Extent {
    /// What `HOOKWAY_FAULTS` asks for: `long`, or nothing at all.
    pub fn wanted() -> Self {
        match std::env::var("HOOKWAY_FAULTS").as_deref() {
            Ok("long") => Self::Long,
            Err(_) | Ok("" | "quick") => Self::Quick,
            Ok(other) => panic!("HOOKWAY_FAULTS is {other:?}; there are `quick` and `long`"),
        }
    }

    /// The one of two numbers that fits.
    pub const fn of<T: Copy>(self, quick: T, long: T) -> T {
        match self {
            Self::Quick => quick,
            Self::Long => long,
        }
    }
}

#[test]
fn quick_unless_asked_otherwise() {
    assert_eq!(Extent::Quick.of(1, 2), 1);
    assert_eq!(Extent::Long.of(1, 2), 2);
}
