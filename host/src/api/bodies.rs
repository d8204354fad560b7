//! Reading a body: bounded in size and time, and for requests that nobody vouches for also in memory over
//! all of them.
//!
//! Who calls the API has shown a key before its body is read. A webhook is only believed once it is here
//! whole, so that strangers decide how many bodies are in memory; all of these together have a [`Room`],
//! and what does not fit is told to come again.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use axum::body::Body;
use bytes::{Bytes, BytesMut};
use http::HeaderMap;
use http::header::CONTENT_LENGTH;
use http_body_util::BodyExt;

use super::problem::{Kind, Problem};
use crate::id::SourceId;
use crate::source::BODY_BYTES_LIMIT;

/// The part of the room that one source may fill, as a divisor: who floods one source leaves the rest of the
/// room to the others. One body of the largest size always fits.
const SHARE_OF_SOURCE: usize = 4;

/// Memory for bodies, in bytes.
#[derive(Clone, Debug)]
pub struct Room(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    all_max: usize,
    source_max: usize,
    used: Mutex<Used>,
}

/// What is taken. Sources of which no body is in memory are not in it.
#[derive(Debug, Default)]
struct Used {
    all: usize,
    by_source: HashMap<SourceId, usize>,
}

/// A part of the room that a request takes; it is free again when this is dropped.
#[derive(Debug)]
pub struct Taken {
    room: Room,
    source: SourceId,
    bytes: usize,
}

impl Room {
    /// So many bytes.
    pub fn new(bytes: usize) -> Self {
        Self(Arc::new(Shared {
            all_max: bytes,
            source_max: (bytes / SHARE_OF_SOURCE).max(BODY_BYTES_LIMIT as usize),
            used: Mutex::default(),
        }))
    }

    /// Room for a request to a source; nothing is taken yet.
    pub fn of(&self, source: SourceId) -> Taken {
        Taken {
            room: self.clone(),
            source,
            bytes: 0,
        }
    }

    fn used(&self) -> MutexGuard<'_, Used> {
        self.0.used.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Taken {
    fn take(&mut self, bytes: usize) -> Result<(), Problem> {
        let mut used = self.room.used();
        let of_source = used.by_source.get(&self.source).copied().unwrap_or_default();
        // No sum can overflow: each is a size of what is in memory.
        if used.all + bytes > self.room.0.all_max || of_source + bytes > self.room.0.source_max {
            let detail = "too many bodies are being read; come again in a moment";
            return Err(Problem::new(Kind::Unavailable, detail));
        }
        used.all += bytes;
        used.by_source.insert(self.source, of_source + bytes);
        self.bytes += bytes;
        Ok(())
    }
}

impl Drop for Taken {
    fn drop(&mut self) {
        let mut used = self.room.used();
        used.all = used.all.saturating_sub(self.bytes);
        if let Some(of_source) = used.by_source.get_mut(&self.source) {
            *of_source = of_source.saturating_sub(self.bytes);
            if *of_source == 0 {
                used.by_source.remove(&self.source);
            }
        }
    }
}

/// Reads a body up to `max` bytes within a time.
pub async fn read_body(
    headers: &HeaderMap,
    body: Body,
    max: usize,
    time: Duration,
) -> Result<Bytes, Problem> {
    read(headers, body, max, time, |_| Ok(())).await
}

/// As [`read_body`], for a request that nobody vouches for. The room is taken as bytes arrive.
pub async fn read_stranger(
    headers: &HeaderMap,
    body: Body,
    max: usize,
    time: Duration,
    taken: &mut Taken,
) -> Result<Bytes, Problem> {
    read(headers, body, max, time, |bytes| taken.take(bytes)).await
}

async fn read(
    headers: &HeaderMap,
    body: Body,
    max: usize,
    time: Duration,
    take: impl FnMut(usize) -> Result<(), Problem>,
) -> Result<Bytes, Problem> {
    let announced = headers
        .get(CONTENT_LENGTH)
        .and_then(|value| value.to_str().ok()?.parse().ok());
    if announced.is_some_and(|announced: u64| announced > max as u64) {
        return Err(too_large(max));
    }
    let late = || Problem::new(Kind::SlowBody, format!("the body must arrive within {time:?}"));
    let whole = tokio::time::timeout(time, joined(body, max, take)).await;
    whole.unwrap_or_else(|_elapsed| Err(late()))
}

/// The frames of a body as one piece. Frames are joined as they come: a sender that sends byte by byte must
/// not have each of them kept on its own. Even one alone is copied: it is a part of the connection's read
/// buffer, which is many times larger than most bodies, would stay as long as the body does, and would have
/// to be made anew for the next request.
async fn joined(
    mut body: Body,
    max: usize,
    mut take: impl FnMut(usize) -> Result<(), Problem>,
) -> Result<Bytes, Problem> {
    let (mut first, mut rest) = (Bytes::new(), BytesMut::new());
    while let Some(frame) = body.frame().await {
        let frame = frame.map_err(|_| Problem::new(Kind::Malformed, "the body broke off"))?;
        let Ok(data) = frame.into_data() else { continue };
        if data.len() > max - first.len().max(rest.len()) {
            return Err(too_large(max));
        }
        take(data.len())?;
        if first.is_empty() && rest.is_empty() {
            first = Bytes::copy_from_slice(&data);
            continue;
        }
        if rest.is_empty() {
            rest.extend_from_slice(&std::mem::take(&mut first));
        }
        rest.extend_from_slice(&data);
    }
    Ok(if rest.is_empty() { first } else { rest.freeze() })
}

fn too_large(max: usize) -> Problem {
    Problem::new(Kind::TooLarge, format!("it may have {max} bytes"))
}

#[cfg(test)]
mod tests {
    use super::*;

    const MINUTE: Duration = Duration::from_secs(60);

    fn frames(frames: &[&'static str]) -> Body {
        let frames: Vec<_> = frames
            .iter()
            .map(|text| Ok::<_, std::io::Error>(Bytes::from_static(text.as_bytes())))
            .collect();
        Body::from_stream(futures_util::stream::iter(frames))
    }

    #[tokio::test]
    async fn a_body_is_cut_off_at_its_limit_with_or_without_a_length() {
        for parts in [
            &["12345"][..],
            &["1", "23", "", "45"],
            &["", "12345"],
            &["12345", ""],
        ] {
            let whole = read_body(&HeaderMap::new(), frames(parts), 5, MINUTE)
                .await
                .unwrap();
            assert_eq!(&whole[..], b"12345", "{parts:?}");
        }
        let empty = read_body(&HeaderMap::new(), Body::empty(), 0, MINUTE)
            .await
            .unwrap();
        assert!(empty.is_empty());
        for parts in [&["123456"][..], &["12345", "6"], &["1", "23", "456"]] {
            let refused = read_body(&HeaderMap::new(), frames(parts), 5, MINUTE)
                .await
                .unwrap_err();
            assert_eq!(refused.kind(), Kind::TooLarge, "{parts:?}");
        }
        let stream =
            futures_util::stream::repeat_with(|| Ok::<_, std::io::Error>(Bytes::from_static(b"123")));
        let endless = Body::from_stream(stream);
        let refused = read_body(&HeaderMap::new(), endless, 5, MINUTE)
            .await
            .unwrap_err();
        assert_eq!(refused.kind(), Kind::TooLarge);
        let announced = HeaderMap::from_iter([(CONTENT_LENGTH, 6.into())]);
        let refused = read_body(&announced, Body::empty(), 5, MINUTE).await.unwrap_err();
        assert_eq!(refused.kind(), Kind::TooLarge);
    }

    #[tokio::test]
    async fn a_body_that_does_not_come_is_given_up() {
        let stalled = Body::from_stream(futures_util::stream::pending::<Result<Bytes, std::io::Error>>());
        let refused = read_body(&HeaderMap::new(), stalled, 5, Duration::ZERO)
            .await
            .unwrap_err();
        assert_eq!(refused.kind(), Kind::SlowBody);
    }

    #[tokio::test]
    async fn strangers_share_a_room() {
        let (room, none, source) = (Room::new(8), HeaderMap::new(), SourceId::from_number(1));
        let (mut one, mut two) = (room.of(source), room.of(source));
        let whole = read_stranger(&none, frames(&["123", "45"]), 9, MINUTE, &mut one);
        assert_eq!(&whole.await.unwrap()[..], b"12345");
        let refused = read_stranger(&none, frames(&["123", "4"]), 9, MINUTE, &mut two);
        assert_eq!(refused.await.unwrap_err().kind(), Kind::Unavailable);
        // What was read of it counts until it is given up.
        drop(two);
        let mut two = room.of(source);
        let fits = read_stranger(&none, frames(&["123"]), 9, MINUTE, &mut two);
        assert!(fits.await.is_ok());
        drop((one, two));
        let used = room.used();
        assert!(used.all == 0 && used.by_source.is_empty(), "{used:?}");
    }

    #[test]
    fn who_floods_one_source_leaves_room_for_the_others() {
        let mib = 1 << 20;
        let room = Room::new(256 * mib);
        let (flooded, other) = (SourceId::from_number(1), SourceId::from_number(2));
        let mut flood: Vec<Taken> = (0..256).map(|_| room.of(flooded)).collect();
        let fitted = flood.iter_mut().filter_map(|taken| taken.take(mib).ok()).count();
        assert_eq!(fitted, 64);
        let mut largest = room.of(other);
        assert!(largest.take(BODY_BYTES_LIMIT as usize).is_ok());
        assert!(
            Room::new(32 * mib)
                .of(other)
                .take(BODY_BYTES_LIMIT as usize)
                .is_ok()
        );
    }
}
