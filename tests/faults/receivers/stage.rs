//! A receiver that acts out a script on a raw socket: reads, writes whatever bytes, drips, floods, hangs,
//! resets. One script for each connection, from its beginning.

use std::io::{Read as _, Write as _};
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use tokio::io::AsyncWriteExt as _;
use tokio::net::{TcpListener, TcpStream};

use crate::support::wire::read_request;

/// One thing that a receiver does.
#[derive(Clone, Debug)]
pub enum Step {
    /// Reads one whole request.
    Read,
    /// Waits for so many milliseconds.
    Wait(u64),
    /// Writes this at once.
    Write(Vec<u8>),
    /// Writes this for ever, as fast as it is taken.
    Flood(Vec<u8>),
    /// Writes this for ever, a byte every so many milliseconds.
    Drip(Vec<u8>, u64),
    /// Does nothing more, and keeps the connection.
    Hang,
    /// Begins the script again, on the same connection.
    Again,
    /// Ends the connection with a reset.
    Reset,
    /// Speaks TLS with this certificate, and says that all is well to who trusts it; then it closes.
    Tls(Arc<rustls::ServerConfig>),
}

/// A running receiver.
pub struct Stage {
    /// Where it listens.
    pub address: SocketAddr,
    connections: Arc<AtomicUsize>,
}

impl Stage {
    /// Starts one. Where the script ends, the connection is closed.
    pub async fn start(script: Vec<Step>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let address = listener.local_addr().expect("bound");
        let connections = Arc::new(AtomicUsize::new(0));
        let counted = Arc::clone(&connections);
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                counted.fetch_add(1, Ordering::SeqCst);
                let script = script.clone();
                // It ends when the other side has gone, by an error of the next write or read.
                tokio::spawn(async move { act(stream, script).await });
            }
        });
        Self { address, connections }
    }

    /// How many connections came.
    pub fn connections(&self) -> usize {
        self.connections.load(Ordering::SeqCst)
    }
}

async fn act(mut stream: TcpStream, script: Vec<Step>) -> std::io::Result<()> {
    stream.set_nodelay(true)?;
    let mut steps = script.iter();
    while let Some(step) = steps.next().cloned() {
        match step {
            Step::Again => steps = script.iter(),
            Step::Read => drop(read_request(&mut stream).await?),
            Step::Wait(ms) => tokio::time::sleep(Duration::from_millis(ms)).await,
            Step::Write(bytes) => stream.write_all(&bytes).await?,
            Step::Flood(bytes) => {
                // In large pieces: the receiver must not be what bounds the flood.
                let piece = bytes.repeat((64 << 10) / bytes.len() + 1);
                loop {
                    stream.write_all(&piece).await?;
                }
            }
            Step::Drip(bytes, ms) => {
                for byte in bytes.iter().cycle() {
                    stream.write_all(&[*byte]).await?;
                    tokio::time::sleep(Duration::from_millis(ms)).await;
                }
            }
            Step::Hang => {
                // Until the other side closes; what it writes is not read.
                let mut byte = [0];
                while stream.peek(&mut byte).await? != 0 {
                    tokio::time::sleep(Duration::from_millis(100)).await;
                }
            }
            Step::Reset => {
                stream.set_zero_linger()?;
                return Ok(());
            }
            Step::Tls(config) => {
                let stream = stream.into_std()?;
                stream.set_nonblocking(false)?;
                let _closed = tokio::task::spawn_blocking(move || shake_hands(stream, config)).await;
                return Ok(());
            }
        }
    }
    stream.shutdown().await
}

/// Shakes hands; who goes on after that gets an answer.
fn shake_hands(mut stream: std::net::TcpStream, config: Arc<rustls::ServerConfig>) -> std::io::Result<()> {
    stream.set_read_timeout(Some(Duration::from_secs(10)))?;
    let mut session = rustls::ServerConnection::new(config).map_err(std::io::Error::other)?;
    session.complete_io(&mut stream)?;
    let mut inside = rustls::Stream::new(&mut session, &mut stream);
    let mut request = [0; 4_096];
    if inside.read(&mut request)? > 0 {
        inside.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\nconnection: close\r\n\r\n")?;
    }
    Ok(())
}
