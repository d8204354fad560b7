//! Ids as UUIDs of version 8 (RFC 9562, 5.8), for profiles whose receivers want UUIDs.
//!
//! The 63 bits of the number come first, around version and variant: 48 in `custom_a`, 12 in `custom_b`, 3
//! at the start of `custom_c`. The rest of `custom_c` is zeros and, in its last 24 bits, the letters of the
//! kind's prefix, so that an event and a delivery of one number differ. The same id always gives the same
//! UUID, UUIDs sort as the ids do, and every id can be had back.

use super::{Id, Kind, NotAnId};

/// Version 8, in its place.
const VERSION: u128 = 8 << 76;
/// The variant of RFC 9562, in its place.
const VARIANT: u128 = 0b10 << 62;
/// Where the hyphens stand.
const HYPHENS: [usize; 4] = [8, 13, 18, 23];
/// How long a UUID is as text.
const UUID_LENGTH: usize = 36;

impl<K: Kind> Id<K> {
    /// The id as a UUID, in its usual form: lower case, with hyphens.
    pub fn to_uuid(self) -> String {
        let number = u128::try_from(self.number()).unwrap_or(0);
        let (a, b, c) = (number >> 15, (number >> 3) & 0xFFF, number & 0b111);
        let uuid = a << 80 | VERSION | b << 64 | VARIANT | c << 59 | kind::<K>();
        let mut text = format!("{uuid:032x}");
        HYPHENS.iter().for_each(|place| text.insert(*place, '-'));
        text
    }

    /// The id that [`Self::to_uuid`] shows as this UUID; letters may be upper case.
    pub fn from_uuid(text: &str) -> Result<Self, NotAnId> {
        let wrong = || NotAnId { prefix: K::PREFIX };
        let good = |(place, byte): (usize, u8)| match HYPHENS.contains(&place) {
            true => byte == b'-',
            false => byte.is_ascii_hexdigit(),
        };
        if text.len() != UUID_LENGTH || !text.bytes().enumerate().all(good) {
            return Err(wrong());
        }
        let uuid = u128::from_str_radix(&text.replace('-', ""), 16).map_err(|_| wrong())?;
        let number = (uuid >> 80) << 15 | ((uuid >> 64) & 0xFFF) << 3 | ((uuid >> 59) & 0b111);
        let id = i64::try_from(number).ok().filter(|number| *number > 0);
        let id = id.map(Self::from_number).ok_or_else(wrong)?;
        // Whatever else is in it must be what would be written.
        let same = id.to_uuid().eq_ignore_ascii_case(text);
        if same { Ok(id) } else { Err(wrong()) }
    }
}

/// The letters of a kind's prefix as the last bits.
fn kind<K: Kind>() -> u128 {
    K::PREFIX
        .bytes()
        .fold(0, |bits, letter| bits << 8 | u128::from(letter))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use crate::id::{DeliveryId, EventId};

    #[test]
    fn an_id_has_one_uuid() {
        let id = DeliveryId::from_number(0x7EDC_BA98_7654_3210);
        let uuid = id.to_uuid();
        assert_eq!(uuid, "fdb97530-eca8-8642-8000-000000646c76");
        assert_eq!(DeliveryId::from_uuid(&uuid).unwrap(), id);
        assert_eq!(DeliveryId::from_uuid(&uuid.to_uppercase()).unwrap(), id);
        for wrong in [
            "",
            "fdb97530eca8864280000000000646c76",
            "fdb97530-eca8-4642-8000-000000646c76",
            "fdb97530-eca8-8642-c000-000000646c76",
            "fdb97530-eca8-8642-8000-000001646c76",
            "fdb97530-eca8-8642-8000-000000657674",
            "00000000-0000-8000-8000-000000646c76",
            "+db97530-eca8-8642-8000-000000646c76",
            "fdb97530-eca8-8642-8000-000000646c7é",
        ] {
            assert!(DeliveryId::from_uuid(wrong).is_err(), "{wrong}");
        }
    }

    proptest! {
        /// IB-07.
        #[test]
        fn uuids_are_of_version_8_and_lead_back(a in 1_i64.., b in 1_i64..) {
            let (id, other) = (EventId::from_number(a), EventId::from_number(b));
            let uuid = id.to_uuid();
            prop_assert_eq!(EventId::from_uuid(&uuid).unwrap(), id);
            prop_assert_eq!(uuid.as_bytes()[14], b'8');
            prop_assert!(b"89ab".contains(&uuid.as_bytes()[19]));
            prop_assert!(DeliveryId::from_uuid(&uuid).is_err());
            prop_assert_ne!(&uuid, &id.same_number::<crate::id::DeliveryKind>().to_uuid());
            prop_assert_eq!(uuid.cmp(&other.to_uuid()), id.cmp(&other));
        }
    }
}
