//! The attempt that ended a delivery, as bytes in the delivery's row.
//!
//! Nearly every delivery has one request, and its first attempt ends it. A row of its own for that attempt would
//! be a second place in a second tree, out of order in both, for every delivery; so it stands in the row that
//! tells the end, which every list reads anyway. Attempts that ended nothing, those of deliveries with several
//! requests, and those with much to say have rows in `attempt_<n>`. When a delivery goes back into the ledger,
//! its last attempt becomes such a row.
//!
//! The bytes are what `attempt_<n>` has in columns, without what the delivery's row says: flags, the number,
//! when it began (milliseconds) and how long it took; then the headers of its signature, and what came back.
//! Numbers are big-endian; lists are as in [`pack`], each behind its length.

use bytes::Bytes;

use super::{pack, row};
use crate::delivery::{Attempt, AttemptResult};
use crate::id::{DeliveryId, RequestId};
use crate::store::{Error, Result};
use crate::time::Timestamp;

/// One with more bytes gets a row of its own: rows of deliveries are read by the thousand in lists, and a page
/// holds some twenty of the longest.
pub(super) const PACKED_BYTES_MAX: usize = 384;

/// Flags, number, beginning and duration.
const HEAD_BYTES: usize = 1 + 2 + 8 + 4;

/// Somebody answered; without it, there was an error.
const ANSWERED: u8 = 1;
/// A person asked for it.
const RESEND: u8 = 2;
/// The answer was cut.
const TRUNCATED: u8 = 4;

/// The bytes, if they are few enough.
pub(super) fn packed(attempt: &Attempt) -> Option<Vec<u8>> {
    let said = match &attempt.result {
        AttemptResult::Response { headers, body, .. } => pack::length(headers) + body.len(),
        AttemptResult::Error { detail, .. } => detail.len(),
    };
    if HEAD_BYTES + pack::length(&attempt.signature_headers) + said > PACKED_BYTES_MAX {
        return None;
    }
    let mut bytes = Vec::with_capacity(PACKED_BYTES_MAX);
    let resend = if attempt.resend { RESEND } else { 0 };
    let flags = match &attempt.result {
        AttemptResult::Response { truncated: true, .. } => ANSWERED | TRUNCATED,
        AttemptResult::Response { .. } => ANSWERED,
        AttemptResult::Error { .. } => 0,
    };
    bytes.push(flags | resend);
    bytes.extend_from_slice(&attempt.number.to_be_bytes());
    bytes.extend_from_slice(&attempt.started_at.as_millis().to_be_bytes());
    bytes.extend_from_slice(&attempt.duration_ms.to_be_bytes());
    pack::put_pairs(&mut bytes, &attempt.signature_headers);
    match &attempt.result {
        AttemptResult::Response {
            status,
            headers,
            body,
            truncated: _,
        } => {
            bytes.extend_from_slice(&status.to_be_bytes());
            pack::put_pairs(&mut bytes, headers);
            bytes.extend_from_slice(body);
        }
        AttemptResult::Error { kind, detail } => {
            pack::put_short(&mut bytes, kind.as_str());
            bytes.extend_from_slice(detail.as_bytes());
        }
    }
    Some(bytes)
}

/// What [`packed`] wrote of an attempt of this delivery.
pub(super) fn read(delivery: i64, bytes: &[u8]) -> Result<Attempt> {
    let mut rest = bytes;
    let [flags] = take(&mut rest)?;
    let number = u16::from_be_bytes(take(&mut rest)?);
    let started_at = Timestamp::from_millis(i64::from_be_bytes(take(&mut rest)?));
    let duration_ms = u32::from_be_bytes(take(&mut rest)?);
    let signature_headers = pack::take_pairs(&mut rest)?;
    let result = if flags & ANSWERED == 0 {
        AttemptResult::Error {
            kind: row::error_kind(&pack::take_short(&mut rest)?)?,
            detail: String::from_utf8(rest.to_vec()).map_err(|_| damaged())?,
        }
    } else {
        AttemptResult::Response {
            status: u16::from_be_bytes(take(&mut rest)?),
            headers: pack::take_pairs(&mut rest)?,
            truncated: flags & TRUNCATED != 0,
            body: Bytes::copy_from_slice(rest),
        }
    };
    Ok(Attempt {
        request: RequestId::from_number(delivery),
        delivery: DeliveryId::from_number(delivery),
        number,
        started_at,
        duration_ms,
        result,
        resend: flags & RESEND != 0,
        signature_headers,
    })
}

fn take<const N: usize>(rest: &mut &[u8]) -> Result<[u8; N]> {
    let (taken, after) = rest.split_first_chunk::<N>().ok_or_else(damaged)?;
    *rest = after;
    Ok(*taken)
}

fn damaged() -> Error {
    Error::Damaged {
        what: "a packed attempt".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::delivery::ErrorKind;

    fn headers() -> impl Strategy<Value = Vec<(String, String)>> {
        let name = prop_oneof![
            Just("webhook-signature".to_owned()),
            "[a-z-]{0,12}",
            any::<String>()
        ];
        proptest::collection::vec((name, any::<String>()), 0..4)
    }

    fn results() -> impl Strategy<Value = AttemptResult> {
        let answers = (any::<u16>(), headers(), any::<Vec<u8>>(), any::<bool>());
        let answers = answers.prop_map(|(status, headers, body, truncated)| AttemptResult::Response {
            status,
            headers,
            body: body.into(),
            truncated,
        });
        let kind = prop_oneof![
            Just(ErrorKind::Dns),
            Just(ErrorKind::Timeout),
            Just(ErrorKind::Invalid)
        ];
        let errors = (kind, any::<String>()).prop_map(|(kind, detail)| AttemptResult::Error { kind, detail });
        prop_oneof![answers, errors]
    }

    prop_compose! {
        fn attempts()(
            id in 1_i64.., number: u16, began: i64, duration_ms: u32, resend: bool,
            signature_headers in headers(), result in results(),
        ) -> Attempt {
            Attempt {
                request: RequestId::from_number(id),
                delivery: DeliveryId::from_number(id),
                number,
                started_at: Timestamp::from_millis(began),
                duration_ms,
                result,
                resend,
                signature_headers,
            }
        }
    }

    proptest! {
        #[test]
        fn what_is_packed_is_what_is_read(attempt in attempts()) {
            if let Some(bytes) = packed(&attempt) {
                prop_assert!(bytes.len() <= PACKED_BYTES_MAX);
                prop_assert_eq!(read(attempt.delivery.number(), &bytes).unwrap(), attempt);
            }
        }

        #[test]
        fn other_bytes_are_refused_or_read_and_never_worse(id: i64, bytes: Vec<u8>) {
            let _either = read(id, &bytes);
        }
    }

    #[test]
    fn a_usual_answer_is_packed_and_a_long_one_is_not() {
        let answered = |body: usize| Attempt {
            request: RequestId::from_number(7),
            delivery: DeliveryId::from_number(7),
            number: 1,
            started_at: Timestamp::from_millis(1_779_208_200_000),
            duration_ms: 8,
            result: AttemptResult::Response {
                status: 200,
                headers: vec![("content-length".to_owned(), body.to_string())],
                body: vec![b'x'; body].into(),
                truncated: false,
            },
            resend: false,
            signature_headers: vec![("webhook-signature".to_owned(), "v1,".to_owned())],
        };
        assert!(packed(&answered(2)).is_some_and(|bytes| bytes.len() < 50));
        assert_eq!(packed(&answered(PACKED_BYTES_MAX)), None);
    }
}
