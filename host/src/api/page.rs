//! Lists: `{"data":[…],"next":…}`, newest first, with an opaque cursor.
//!
//! A cursor is the id number of the last row of a page, behind a version byte and a byte for what is
//! listed, in base64. It says nothing about who may read: every page is authorised anew.

use data_encoding::BASE64URL_NOPAD;
use serde::Serialize;

/// Rows of a page where nothing is said.
pub const LIMIT_DEFAULT: usize = 50;
/// Most rows of a page.
pub const LIMIT_MAX: usize = 250;
/// Changes when the meaning of a cursor does; older cursors are then refused, not misread.
const VERSION: u8 = 1;

/// One page of a list.
#[derive(Serialize, utoipa::ToSchema)]
pub struct Page<T> {
    /// The rows.
    pub data: Vec<T>,
    /// To be given as `cursor` for the next page; null on the last.
    pub next: Option<String>,
}

impl<T> Page<T> {
    /// A page of at most `limit` rows, newest first, of which one more may be there: then there is a next
    /// page, behind the last row that is shown. `number` is a row's id.
    pub fn cut<R>(
        list: List,
        mut rows: Vec<R>,
        limit: usize,
        number: impl Fn(&R) -> i64,
        show: impl FnMut(R) -> T,
    ) -> Self {
        let more = rows.len() > limit;
        rows.truncate(limit);
        let last = rows.last().filter(|_| more);
        Self {
            next: last.map(|last| cursor(list, number(last))),
            data: rows.into_iter().map(show).collect(),
        }
    }

    /// The whole of a short list.
    pub fn whole(data: Vec<T>) -> Self {
        Self { data, next: None }
    }
}

/// What a cursor is for: one of another list is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum List {
    /// Events.
    Events,
    /// Deliveries.
    Deliveries,
    /// Subscriptions.
    Subscriptions,
    /// Sources.
    Sources,
    /// Receptions.
    Receptions,
    /// Background operations.
    Operations,
}

impl List {
    const fn byte(self) -> u8 {
        match self {
            Self::Events => b'e',
            Self::Deliveries => b'd',
            Self::Subscriptions => b's',
            Self::Sources => b'w',
            Self::Receptions => b'r',
            Self::Operations => b'o',
        }
    }
}

/// A text that is no cursor of this list.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("is not a cursor of this list; take it from `next`, unchanged")]
pub struct NotACursor;

/// Writes a cursor behind the row with this number.
pub fn cursor(list: List, number: i64) -> String {
    let mut bytes = [0_u8; 10];
    bytes[..2].copy_from_slice(&[VERSION, list.byte()]);
    bytes[2..].copy_from_slice(&number.to_be_bytes());
    BASE64URL_NOPAD.encode(&bytes)
}

/// Reads the number behind which the next page starts.
pub fn number_of(list: List, cursor: &str) -> Result<i64, NotACursor> {
    let bytes = BASE64URL_NOPAD
        .decode(cursor.as_bytes())
        .map_err(|_| NotACursor)?;
    let (head, number) = bytes.split_at_checked(2).ok_or(NotACursor)?;
    let number = i64::from_be_bytes(number.try_into().map_err(|_| NotACursor)?);
    if head == [VERSION, list.byte()] && number > 0 {
        Ok(number)
    } else {
        Err(NotACursor)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn what_is_no_cursor_of_this_list_is_refused() {
        let other = cursor(List::Events, 7);
        for text in [
            "",
            "x",
            "????",
            &other,
            &cursor(List::Deliveries, -1),
            &format!("{other}AA"),
        ] {
            assert_eq!(number_of(List::Deliveries, text), Err(NotACursor), "{text}");
        }
    }

    proptest! {
        #[test]
        fn cursors_are_round(number in 1_i64..) {
            let text = cursor(List::Deliveries, number);
            prop_assert_eq!(number_of(List::Deliveries, &text), Ok(number));
        }

        #[test]
        fn any_text_is_answered(text in ".{0,40}") {
            let _either = number_of(List::Events, &text);
        }
    }
}
