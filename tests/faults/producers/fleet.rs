//! Clients that hold connections without using them: silent, or a byte from time to time.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::task::JoinSet;

/// Between two bytes of a slow one.
const DRIP: Duration = Duration::from_millis(700);
/// How long a fleet is watched before its clients count as those that stay for ever.
const WATCHED: Duration = Duration::from_secs(30);

/// What a client does.
#[derive(Clone, Debug)]
pub struct Attack {
    pub name: &'static str,
    /// What it says at once.
    pub opening: String,
    /// What it goes on with, a byte at a time; nothing where it is empty.
    pub drip: &'static str,
}

/// A running fleet.
pub struct Fleet {
    clients: JoinSet<(&'static str, Option<Duration>)>,
}

/// How long the longest of a fleet was served, and who never was shown out.
#[derive(Debug, Default)]
pub struct Shown {
    pub longest: Duration,
    pub stayed: Vec<&'static str>,
}

impl Fleet {
    /// So many clients of each kind; returns when all of them are connected.
    pub async fn launch(address: SocketAddr, attacks: &[Attack], each: usize) -> Self {
        let mut clients = JoinSet::new();
        for attack in attacks {
            for _ in 0..each {
                let stream = TcpStream::connect(address).await.expect("a connection");
                clients.spawn(hold(stream, attack.clone()));
            }
        }
        Self { clients }
    }

    /// Whether none has been shown out yet.
    pub fn is_whole(&mut self) -> bool {
        self.clients.try_join_next().is_none()
    }

    /// Waits until all are gone.
    pub async fn gone(mut self) -> Shown {
        let mut shown = Shown::default();
        while let Some(client) = self.clients.join_next().await {
            match client.expect("no client panics") {
                (_, Some(served)) => shown.longest = shown.longest.max(served),
                (name, None) => shown.stayed.push(name),
            }
        }
        shown
    }
}

/// Holds a connection until the other side ends it, and says how long that took.
async fn hold(mut stream: TcpStream, attack: Attack) -> (&'static str, Option<Duration>) {
    #[expect(
        clippy::disallowed_methods,
        reason = "how long a client is served is what is measured"
    )]
    let started = Instant::now();
    let served = async {
        stream.write_all(attack.opening.as_bytes()).await?;
        let (mut from, mut to) = stream.split();
        let read = async {
            let mut sink = [0; 1_024];
            while from.read(&mut sink).await? != 0 {}
            Ok::<_, std::io::Error>(())
        };
        let write = async {
            for byte in attack.drip.bytes().cycle() {
                tokio::time::sleep(DRIP).await;
                to.write_all(&[byte]).await?;
            }
            std::future::pending().await
        };
        tokio::select! { ended = read => ended, ended = write => ended }
    };
    let ended = tokio::time::timeout(WATCHED, served).await;
    (attack.name, ended.is_ok().then(|| started.elapsed()))
}
