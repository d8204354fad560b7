//! A stream whose other side must go on reading, and which is closed so that the last answer arrives.
//!
//! Who asks for much and takes none of it would hold a connection and an answer for ever: reading has time
//! limits of its own, and the kernel waits for a window that never opens. So a write that makes no progress
//! within a limit fails. A write that goes on, however slowly, may go on.
//!
//! A request that is refused by its head is often still being sent. To close a socket with something unread
//! in it resets the connection, and the other side may lose the answer that it has not read yet (RFC 9112,
//! section 9.6). So what it still sends is read and dropped, up to a bound and for a short time; a connection
//! on which nothing lies unread is closed at once.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::Sleep;

/// Longest that is listened to a client that goes on sending behind its last answer. A second is many times
/// the way there and back.
const LINGER_MAX: Duration = Duration::from_secs(1);
/// Most bytes of it that are read: four times the largest that may be sent here as long as nobody changes
/// that.
const LINGER_BYTES_MAX: usize = 32 << 20;
/// So much of it is read at once.
const LINGER_READ: usize = 16 << 10;

/// A stream with a limit on writes that wait.
pub(super) struct Stalling<S> {
    stream: S,
    limit: Duration,
    waiting: Option<Pin<Box<Sleep>>>,
    closing: Closing,
}

/// How far the end of a connection is.
enum Closing {
    /// It is open for writing.
    Open,
    /// Nothing more is written; it is to be seen whether something lies unread.
    Written,
    /// The other side is still sending: until when it is listened to, and for how many bytes.
    Lingering(Pin<Box<Sleep>>, usize),
}

impl<S> Stalling<S> {
    pub(super) const fn new(stream: S, limit: Duration) -> Self {
        Self {
            stream,
            limit,
            waiting: None,
            closing: Closing::Open,
        }
    }

    /// What becomes of a write: progress ends the wait, and none begins or goes on with it.
    fn judge<T>(&mut self, context: &mut Context<'_>, written: Poll<io::Result<T>>) -> Poll<io::Result<T>> {
        if written.is_ready() {
            self.waiting = None;
            return written;
        }
        let limit = self.limit;
        let waiting = self
            .waiting
            .get_or_insert_with(|| Box::pin(tokio::time::sleep(limit)));
        ready!(waiting.as_mut().poll(context));
        Poll::Ready(Err(io::ErrorKind::TimedOut.into()))
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Stalling<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(context, buffer)
    }
}

impl<S: AsyncRead + Unpin> Stalling<S> {
    /// Reads what is still sent, and drops it, until the other side has ended too or its time or share is up.
    fn poll_linger(&mut self, context: &mut Context<'_>) -> Poll<()> {
        let mut dropped = [0; LINGER_READ];
        loop {
            let mut buffer = ReadBuf::new(&mut dropped);
            let read = match Pin::new(&mut self.stream).poll_read(context, &mut buffer) {
                Poll::Ready(Ok(())) => buffer.filled().len(),
                Poll::Ready(Err(_)) => return Poll::Ready(()),
                Poll::Pending => match &mut self.closing {
                    Closing::Lingering(until, _) => return until.as_mut().poll(context),
                    Closing::Open | Closing::Written => return Poll::Ready(()),
                },
            };
            if read == 0 {
                return Poll::Ready(());
            }
            if !matches!(self.closing, Closing::Lingering(..)) {
                let until = Box::pin(tokio::time::sleep(LINGER_MAX));
                self.closing = Closing::Lingering(until, LINGER_BYTES_MAX);
            }
            if let Closing::Lingering(until, left) = &mut self.closing {
                *left = left.saturating_sub(read);
                // The time counts for who sends without a pause, too.
                if *left == 0 || until.as_mut().poll(context).is_ready() {
                    return Poll::Ready(());
                }
            }
        }
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> AsyncWrite for Stalling<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write(context, bytes);
        self.judge(context, written)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write_vectored(context, slices);
        self.judge(context, written)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    // A socket has nothing to flush, so that its yes is no progress.
    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        if matches!(self.closing, Closing::Open) {
            ready!(Pin::new(&mut self.stream).poll_shutdown(context))?;
            self.closing = Closing::Written;
        }
        self.poll_linger(context).map(Ok)
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

    use super::*;

    #[tokio::test]
    async fn a_write_fails_only_where_nobody_reads() {
        let limit = Duration::from_millis(300);
        let (near, mut far) = tokio::io::duplex(4);
        let mut near = Stalling::new(near, limit);
        // Longer than the limit in all, but never without progress for so long.
        let reading = async {
            for _ in 0..12 {
                tokio::time::sleep(limit / 6).await;
                far.read_exact(&mut [0; 4]).await.unwrap();
            }
        };
        let writing = async { near.write_all(&[b'x'; 48]).await.unwrap() };
        tokio::join!(reading, writing);
        let stalled = near.write_all(b"nobody reads this").await;
        assert_eq!(stalled.unwrap_err().kind(), io::ErrorKind::TimedOut);
    }

    /// A client that writes all it has before it reads, and a server that answers and closes meanwhile.
    #[tokio::test]
    async fn who_is_still_sending_gets_the_answer() {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let serving = async {
            let (stream, _) = listener.accept().await.unwrap();
            let mut stream = Stalling::new(stream, Duration::from_secs(60));
            stream.read_exact(&mut [0; 4]).await.unwrap();
            stream.write_all(b"too large").await.unwrap();
            stream.shutdown().await.unwrap();
        };
        let asking = async {
            let mut stream = tokio::net::TcpStream::connect(address).await.unwrap();
            // More than the buffers of two sockets hold.
            stream.write_all(&vec![b'x'; 16 << 20]).await.unwrap();
            stream.shutdown().await.unwrap();
            let mut answer = String::new();
            stream.read_to_string(&mut answer).await.unwrap();
            assert_eq!(answer, "too large");
        };
        tokio::join!(serving, asking);
    }

    #[tokio::test]
    async fn who_sends_nothing_is_left_at_once_and_who_goes_on_after_a_while() {
        let limit = Duration::from_secs(60);
        let (near, _far) = tokio::io::duplex(4);
        let mut near = Stalling::new(near, limit);
        let at_once = tokio::time::timeout(LINGER_MAX / 2, near.shutdown());
        at_once.await.expect("there is nothing to wait for").unwrap();
        let (near, mut far) = tokio::io::duplex(4);
        let mut near = Stalling::new(near, limit);
        far.write_all(b"more").await.unwrap();
        let early = tokio::time::timeout(LINGER_MAX / 2, near.shutdown()).await;
        assert!(early.is_err(), "the rest is not waited for");
        near.shutdown().await.unwrap();
        // As much as there is room for.
        let endless = tokio::io::join(tokio::io::repeat(b'x'), tokio::io::sink());
        Stalling::new(endless, limit).shutdown().await.unwrap();
    }
}
