//! As many connections as there may be, held without being used by clients that come back whenever they are
//! shown out: who has something to say gets through all the same, and what is under way is not cut off.
//!
//! The time limits are long here, so that nothing but making room can help. Control: a server that counts its
//! connections and asks nobody to go, before which a newcomer waits.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio::task::JoinSet;

use super::{WINDOW, bearable, window};
use crate::daemon::{Daemon, Held};
use crate::extent::Extent;
use crate::percentile::{median, p99};
use crate::support::wire::{length_of, post_events};

/// Connections that the server may have, and so many clients that hold one each.
const CONNECTIONS: usize = 256;
const SETTINGS: [&str; 4] = [
    "server.connections_max=256",
    "server.header_timeout=5min",
    "server.body_timeout=5min",
    "server.send_timeout=5min",
];
/// Before a client that was shown out is back.
const AWAY: Duration = Duration::from_millis(250);
/// Longest that a newcomer may wait.
const SERVED_WITHIN: Duration = Duration::from_secs(1);
/// What a request is answered with by the server of the control.
const TAKEN: &[u8] = b"HTTP/1.1 202 Accepted\r\ncontent-length: 0\r\n\r\n";

/// What the clients say, and then they wait.
const OPENINGS: [&str; 4] = [
    "",
    "POST /api/v1/events HTTP/1.1\r\nhost: x\r\nx-a: ",
    "GET /healthz HTTP/1.1\r\nhost: x\r\n\r\n",
    "GET /healthz HTTP/1.1\r\nhost: x\r\n\r\nGET /heal",
];

/// Clients that hold connections and do not use them; they go when this does.
struct Crowd {
    _clients: JoinSet<()>,
    back: Arc<AtomicU64>,
}

impl Crowd {
    /// Returns when each has had a connection once.
    async fn gather(address: SocketAddr) -> Self {
        let back = Arc::new(AtomicU64::new(0));
        let mut clients = JoinSet::new();
        for (n, opening) in OPENINGS.iter().cycle().take(CONNECTIONS).enumerate() {
            let mut stream = TcpStream::connect(address).await.expect("a connection");
            stream.write_all(opening.as_bytes()).await.expect("it is read");
            let back = Arc::clone(&back);
            clients.spawn(async move {
                loop {
                    let mut sink = [0; 1_024];
                    while stream.read(&mut sink).await.is_ok_and(|read| read > 0) {}
                    // Not all at once.
                    tokio::time::sleep(AWAY + Duration::from_millis(n as u64 % 50)).await;
                    stream = TcpStream::connect(address).await.expect("a connection");
                    back.fetch_add(1, Ordering::Relaxed);
                    let _shown_out = stream.write_all(opening.as_bytes()).await;
                }
            });
        }
        Self {
            _clients: clients,
            back,
        }
    }
}

/// How long each of a window's newcomers took, with a connection of its own and one event, until it had its
/// answer; or how many had one when somebody had waited too long.
async fn newcomers(address: SocketAddr, count: usize) -> Result<Vec<Duration>, usize> {
    let body = r#"{"type":"newcomer","data":1}"#;
    let lines = format!("connection: close\r\ncontent-length: {}", body.len());
    let request = post_events(&lines, body);
    let mut times = Vec::with_capacity(count);
    for _ in 0..count {
        #[expect(
            clippy::disallowed_methods,
            reason = "the latency of a healthy producer is what is measured"
        )]
        let started = Instant::now();
        let exchange = async {
            let mut stream = TcpStream::connect(address).await?;
            stream.write_all(request.as_bytes()).await?;
            let mut status = [0; 12];
            stream.read_exact(&mut status).await?;
            Ok::<_, std::io::Error>(status)
        };
        match tokio::time::timeout(SERVED_WITHIN, exchange).await {
            Ok(answer) => assert_eq!(&answer.expect("an answer"), b"HTTP/1.1 202"),
            Err(_) => return Err(times.len()),
        }
        times.push(started.elapsed());
    }
    Ok(times)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn connections_that_are_only_held_keep_nobody_out() {
    let rounds = Extent::wanted().of(3, 20);
    let mut router = Daemon::start(&SETTINGS);
    window(&router).await;
    newcomers(router.address, WINDOW)
        .await
        .expect("nobody is in the way");
    let before = router.held();
    let (mut alone, mut beside, mut kept, mut back) = (Vec::new(), Vec::new(), Vec::new(), 0);
    for _ in 0..rounds {
        alone.push(p99(newcomers(router.address, WINDOW).await.expect("served")));
        // One that is under way all the time, and older than the crowd.
        let body = r#"{"type":"slow","data":1}"#;
        let head = post_events(
            &format!("expect: 100-continue\r\ncontent-length: {}", body.len()),
            "",
        );
        let mut slow = TcpStream::connect(router.address).await.expect("a connection");
        slow.write_all(head.as_bytes()).await.expect("it is read");
        slow.read_exact(&mut [0; 25])
            .await
            .expect("its body is waited for");
        let crowd = Crowd::gather(router.address).await;
        let times = newcomers(router.address, WINDOW).await;
        let times = times.unwrap_or_else(|served| panic!("after {served} newcomers one waits"));
        beside.push(p99(times));
        kept.push(p99(window(&router).await));
        slow.write_all(body.as_bytes()).await.expect("it is still there");
        let mut status = [0; 12];
        slow.read_exact(&mut status).await.expect("it gets its answer");
        assert_eq!(&status, b"HTTP/1.1 202");
        back += crowd.back.load(Ordering::Relaxed);
    }
    let (alone, beside, kept) = (median(alone), median(beside), median(kept));
    bearable(alone, beside).unwrap();
    let closed = |held: Held| held.descriptors <= before.descriptors + 8;
    let after = router.until_it_holds("every connection is closed", closed).await;
    assert!(router.lives());
    println!(
        "producers, crowd: {CONNECTIONS} of {CONNECTIONS} connections held, {back} times taken anew, {} newcomers \
         served, p99 {:.1} ms alone, {:.1} ms beside them ({:.1} ms kept alive), descriptors {} before, {} after",
        rounds * WINDOW,
        alone.as_secs_f32() * 1e3,
        beside.as_secs_f32() * 1e3,
        kept.as_secs_f32() * 1e3,
        before.descriptors,
        after.descriptors,
    );
}

/// Answers requests, within a number of connections; who holds one may keep it.
async fn counting_server(listener: TcpListener) {
    let permits = Arc::new(Semaphore::new(CONNECTIONS));
    loop {
        let permit = Arc::clone(&permits).acquire_owned().await.expect("never closed");
        let (mut stream, _) = listener.accept().await.expect("a connection");
        tokio::spawn(async move {
            let mut request = Vec::new();
            while stream.read_buf(&mut request).await.is_ok_and(|read| read > 0) {
                if let Some(length) = length_of(&request).filter(|length| *length <= request.len()) {
                    request.drain(..length);
                    if stream.write_all(TAKEN).await.is_err() {
                        break;
                    }
                }
            }
            drop(permit);
        });
    }
}

/// The control: where nobody is asked to go, the first newcomer waits for ever.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn control_where_nobody_makes_room_newcomers_wait() {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = listener.local_addr().expect("bound");
    let server = tokio::spawn(counting_server(listener));
    let alone = p99(newcomers(address, WINDOW).await.expect("nobody is in the way"));
    let crowd = Crowd::gather(address).await;
    let served = newcomers(address, WINDOW).await;
    assert_eq!(served, Err(0), "the check would not see a server that is full");
    assert!(
        bearable(alone, SERVED_WITHIN).is_err(),
        "nor would that of the p99"
    );
    drop(crowd);
    server.abort();
    println!(
        "producers, control: before a server that asks nobody to go, 0 newcomers of {WINDOW} are served"
    );
}
