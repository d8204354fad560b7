//! Who has to go when all connections are taken and somebody new is at the door.
//!
//! Without this, as many idle connections as there may be keep everybody else out until their time is up, and
//! then again. So the open connections are listed, and each can be asked to make room, those first whose last
//! request (or, before the first one, whose beginning) lies back furthest. What an asked connection does: with
//! no request under way it closes at once, also where part of a head has arrived; with one under way it
//! answers it, says `Connection: close` and closes then. Whole heads that have arrived are read before, so that
//! only what is still on the wire meets a closed connection, as with any kept-alive connection (RFC 9112,
//! section 9.5); a request under way is never cut off.
//!
//! The list belongs to the loop that accepts, and there is no lock: a connection that has ended is known by
//! its ear being gone. A request costs one store. Dropping the list asks all that are left to end, which is
//! how a server drains.

use std::future::poll_fn;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::Poll;
use std::time::Duration;

use hyper_util::server::graceful::GracefulConnection;
use tokio::sync::oneshot;
use tokio::time::Instant;

/// Connections that are asked at once, at the most, so that the list need not be searched for each newcomer.
/// (nginx closes as many at a time.)
const ASKED_AT_ONCE_MAX: usize = 32;
/// Of a short list, an eighth is asked at once; one at least.
const ASKED_AT_ONCE_SHARE: usize = 8;
/// A list that is shorter than this is not searched for connections that have ended.
const SWEPT_AT_LEAST: usize = 64;
/// Time between two lines in the log that say that connections have run out.
const SAID_EVERY: Duration = Duration::from_secs(60);

/// The open connections that have not been asked to go yet.
pub(super) struct Seats {
    /// The beginning of time here.
    opened: Instant,
    taken: Vec<Taken>,
    /// Length of the list at which those that have ended are taken out.
    sweep_at: usize,
    /// When the log was last told that connections have run out.
    said: Option<Instant>,
}

/// One of them, as the list knows it.
struct Taken {
    accepted: u64,
    used: Arc<AtomicU64>,
    ear: oneshot::Sender<MakeRoom>,
}

/// Somebody else waits for the connection.
struct MakeRoom;

/// The connection's own side.
pub(super) struct Seat {
    used: Arc<AtomicU64>,
    asked: oneshot::Receiver<MakeRoom>,
}

/// Notes that a connection is used.
pub(super) struct Uses {
    opened: Instant,
    /// Microseconds since then at which the last request began; none did where it is 0.
    used: Arc<AtomicU64>,
}

/// Microseconds, from 1.
fn micros_since(opened: Instant) -> u64 {
    u64::try_from(opened.elapsed().as_micros()).map_or(u64::MAX, |micros| micros.max(1))
}

impl Uses {
    /// The head of a request is here.
    pub(super) fn note(&self) {
        self.used.store(micros_since(self.opened), Ordering::Relaxed);
    }
}

impl Taken {
    /// When it was last of use.
    fn last(&self) -> u64 {
        self.accepted.max(self.used.load(Ordering::Relaxed))
    }
}

impl Seats {
    pub(super) fn new() -> Self {
        Self {
            opened: Instant::now(),
            taken: Vec::new(),
            sweep_at: SWEPT_AT_LEAST,
            said: None,
        }
    }

    /// For a connection that has just been accepted.
    pub(super) fn take(&mut self) -> (Seat, Uses) {
        if self.taken.len() >= self.sweep_at {
            self.sweep();
        }
        let used = Arc::new(AtomicU64::new(0));
        let (ear, asked) = oneshot::channel();
        self.taken.push(Taken {
            accepted: micros_since(self.opened),
            used: Arc::clone(&used),
            ear,
        });
        let uses = Uses {
            opened: self.opened,
            used: Arc::clone(&used),
        };
        (Seat { used, asked }, uses)
    }

    /// Forgets those that have ended. At twice the length of what is left it is time again, so that it costs
    /// each connection the same, however many there are.
    fn sweep(&mut self) {
        self.taken.retain(|one| !one.ear.is_closed());
        self.sweep_at = (2 * self.taken.len()).max(SWEPT_AT_LEAST);
    }

    /// How many to ask first.
    pub(super) fn few(&self) -> usize {
        (self.taken.len() / ASKED_AT_ONCE_SHARE).clamp(1, ASKED_AT_ONCE_MAX)
    }

    /// Asks so many of those that were used the longest ago to make room; tells how many there were to ask.
    pub(super) fn ask(&mut self, count: usize) -> usize {
        self.sweep();
        // They are used meanwhile, and what is sorted must stand still.
        let mut order: Vec<(u64, usize)> = (self.taken.iter().enumerate())
            .map(|(place, one)| (one.last(), place))
            .collect();
        if count < order.len() {
            order.select_nth_unstable(count);
            order.truncate(count);
        }
        let mut places: Vec<usize> = order.into_iter().map(|(_, place)| place).collect();
        // From the end, since what is taken out is replaced by the last.
        places.sort_unstable_by(|a, b| b.cmp(a));
        for place in &places {
            // It may have ended meanwhile, which is as good.
            let _gone = self.taken.swap_remove(*place).ear.send(MakeRoom);
        }
        places.len()
    }

    /// Tells the log that connections have run out, though not for every one.
    pub(super) fn say_full(&mut self, connections_max: u32) {
        if self.said.is_none_or(|said| said.elapsed() >= SAID_EVERY) {
            self.said = Some(Instant::now());
            tracing::warn!(
                connections_max,
                "all connections are taken (server.connections_max); those that were used the longest ago are \
                 asked to close"
            );
        }
    }
}

impl Seat {
    /// Runs a connection to its end, or to where it is asked to go and can.
    pub(super) async fn hold<C: GracefulConnection>(self, connection: C) -> Result<(), C::Error> {
        let Self { used, asked } = self;
        let mut connection = pin!(connection);
        let mut asked = Some(asked);
        poll_fn(|context| {
            let heard = match &mut asked {
                Some(ear) => Pin::new(ear).poll(context),
                None => Poll::Pending,
            };
            let Poll::Ready(heard) = heard else {
                return connection.as_mut().poll(context);
            };
            asked = None;
            // Closing reads no more; a whole head that is here already is a request.
            if heard.is_ok()
                && let Poll::Ready(ended) = connection.as_mut().poll(context)
            {
                return Poll::Ready(ended);
            }
            connection.as_mut().graceful_shutdown();
            let ended = connection.as_mut().poll(context);
            // hyper waits for the rest of a first head. A server that drains may, one that is full may not.
            let waits_for_first = heard.is_ok() && used.load(Ordering::Relaxed) == 0;
            if ended.is_pending() && waits_for_first {
                return Poll::Ready(Ok(()));
            }
            ended
        })
        .await
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn asked(seat: &mut Seat) -> bool {
        seat.asked.try_recv().is_ok()
    }

    #[test]
    fn those_used_the_longest_ago_are_asked_first_and_each_once() {
        let mut seats = Seats::new();
        let mut open: Vec<Seat> = (0..5).map(|_| seats.take().0).collect();
        // The second has just been used; the fourth has ended.
        for (place, used) in [(0, 30), (1, 50), (2, 20), (4, 40)] {
            seats.taken[place].accepted = 1;
            open[place].used.store(used, Ordering::Relaxed);
        }
        drop(open.remove(3));
        assert_eq!(seats.ask(2), 2);
        assert_eq!(
            open.iter_mut().map(asked).collect::<Vec<_>>(),
            [true, false, true, false]
        );
        assert_eq!(seats.ask(1), 1);
        assert_eq!(
            open.iter_mut().map(asked).collect::<Vec<_>>(),
            [false, false, false, true]
        );
        assert_eq!(seats.ask(7), 1);
        assert!(asked(&mut open[1]));
        assert_eq!(seats.ask(7), 0);
    }

    #[test]
    fn who_was_never_used_counts_from_its_beginning() {
        let mut seats = Seats::new();
        let mut open: Vec<Seat> = (0..2).map(|_| seats.take().0).collect();
        seats.taken[0].accepted = 20;
        seats.taken[1].accepted = 10;
        open[1].used.store(30, Ordering::Relaxed);
        seats.ask(1);
        assert!(asked(&mut open[0]));
    }

    #[test]
    fn those_that_have_ended_do_not_pile_up() {
        let mut seats = Seats::new();
        let _open: Vec<Seat> = (0..100).map(|_| seats.take().0).collect();
        for _ in 0..10_000 {
            drop(seats.take());
        }
        assert!(seats.taken.len() <= 2 * 100 + 1, "{}", seats.taken.len());
        assert_eq!(
            seats.few(),
            25.min(ASKED_AT_ONCE_MAX)
                .min(seats.taken.len() / ASKED_AT_ONCE_SHARE)
        );
    }
}
