//! A network of a test's own, in which every address there is leads to this machine.
//!
//! The test starts itself again under `unshare -Urnm`. In the new network namespace nothing exists but the
//! loopback device; routes make all of IPv4 and IPv6 local to it, and the forbidden addresses are added to it
//! one by one beside, so that what is dialled is answered here and its address is seen. Names are answered by
//! a server on 127.0.0.1:53, which the system's own resolver asks: `/etc/resolv.conf`, `/etc/hosts` and
//! `/etc/nsswitch.conf` are other files inside of the mount namespace.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::Path;
use std::process::Command;
use std::sync::{Arc, Mutex};

use tokio::io::AsyncWriteExt as _;
use tokio::net::{TcpListener, TcpStream, UdpSocket};

use crate::namespaces;
use crate::support::wire::read_request;

/// Where canaries listen: plain HTTP, HTTPS and the port that so many inner services have.
const PORTS: [u16; 3] = [80, HTTPS, 8080];
const HTTPS: u16 = 443;
/// A proxy that everything is told to take, and nothing may.
const PROXY: &str = "http://10.99.99.99:8080";

/// Who may say which proxy is to be taken; programs differ in the spelling.
const PROXY_VARIABLES: [&str; 6] = [
    "http_proxy",
    "https_proxy",
    "all_proxy",
    "HTTP_PROXY",
    "HTTPS_PROXY",
    "ALL_PROXY",
];

/// True inside of a network of its own, in which the test of this whole name runs again; see
/// [`namespaces::inside`].
pub fn inside(test: &str) -> bool {
    let proxies = PROXY_VARIABLES.map(|name| (name, PROXY));
    namespaces::inside(test, &["--net", "--mount"], &proxies)
}

/// Runs `ip`, which must succeed.
fn ip(arguments: &[&str]) {
    let done = Command::new("ip")
        .args(arguments)
        .output()
        .expect("`ip` is needed for this test (Debian: apt-get install iproute2)");
    assert!(
        done.status.success(),
        "ip {}: {}",
        arguments.join(" "),
        String::from_utf8_lossy(&done.stderr)
    );
}

/// Who was reached: the address that was dialled, and the port.
pub type Dialled = (IpAddr, u16);

/// The network, as it is inside.
pub struct PrivateNetwork {
    dialled: Arc<Mutex<Vec<Dialled>>>,
    asked: Arc<Mutex<Vec<String>>>,
    _files: tempfile::TempDir,
}

/// What the server of names says to a question for a name and how often it was asked for it before; no
/// answer at all where it gives nothing.
pub type Names = fn(&str, usize) -> Option<Answer>;

/// An answer of the server of names.
#[derive(Clone, Debug)]
pub enum Answer {
    /// These addresses; none is an empty answer.
    Addresses(Vec<IpAddr>),
    /// Another name, which has these.
    Alias(&'static str, Vec<IpAddr>),
    /// There is no such name.
    NoSuchName,
}

impl PrivateNetwork {
    /// Brings the network up: all addresses lead here, and these are on the loopback device besides. `hosts`
    /// is added to `/etc/hosts`.
    pub async fn up(addresses: &[IpAddr], hosts: &str, names: Names) -> Self {
        ip(&["link", "set", "lo", "up"]);
        ip(&["route", "add", "local", "0.0.0.0/0", "dev", "lo"]);
        ip(&["-6", "route", "add", "local", "::/0", "dev", "lo"]);
        for address in addresses {
            match address {
                // 127.0.0.0/8 is there already, and no device can have these.
                IpAddr::V4(v4)
                    if v4.is_loopback() || v4.is_multicast() || v4.is_broadcast() || v4.octets()[0] == 0 => {}
                IpAddr::V6(v6) if v6.is_loopback() || v6.is_multicast() || v6.is_unspecified() => {}
                IpAddr::V4(v4) => ip(&["addr", "add", &format!("{v4}/32"), "dev", "lo"]),
                IpAddr::V6(v6) => ip(&["-6", "addr", "add", &format!("{v6}/128"), "dev", "lo", "nodad"]),
            }
        }
        let files = tempfile::tempdir().expect("a directory");
        for (name, text) in [
            (
                "resolv.conf",
                "nameserver 127.0.0.1\nsearch corp.internal\noptions timeout:1 attempts:1\n",
            ),
            (
                "hosts",
                &format!("127.0.0.1 localhost\n::1 localhost ip6-localhost\n{hosts}"),
            ),
            ("nsswitch.conf", "hosts: files dns\n"),
        ] {
            let (file, place) = (files.path().join(name), Path::new("/etc").join(name));
            std::fs::write(&file, text).expect("written");
            let bound = Command::new("mount").arg("--bind").args([&file, &place]).status();
            assert!(
                bound
                    .expect("`mount` of util-linux is needed for this test")
                    .success(),
                "{} cannot be put in the place of {}; is it missing?",
                file.display(),
                place.display()
            );
        }
        let network = Self {
            dialled: Arc::default(),
            asked: Arc::default(),
            _files: files,
        };
        network.serve_names(names).await;
        for port in PORTS {
            network.listen(port).await;
        }
        network
    }

    /// A canary on every address at once: it notes who was dialled, and says 500 or what the path asks for.
    async fn listen(&self, port: u16) {
        let any = SocketAddr::from((Ipv6Addr::UNSPECIFIED, port));
        let listener = TcpListener::bind(any)
            .await
            .expect("the port is free in a new network");
        let dialled = Arc::clone(&self.dialled);
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let address = stream.local_addr().expect("connected").ip().to_canonical();
                dialled.lock().unwrap().push((address, port));
                // Nobody here speaks TLS, and who waits for it learns nothing more.
                if port != HTTPS {
                    tokio::spawn(answer(stream, (address, port), Arc::clone(&dialled)));
                }
            }
        });
    }

    async fn serve_names(&self, names: Names) {
        let socket = UdpSocket::bind("127.0.0.1:53")
            .await
            .expect("the port is free in a new network");
        let asked = Arc::clone(&self.asked);
        tokio::spawn(async move {
            let mut question = [0; 1_500];
            while let Ok((length, from)) = socket.recv_from(&mut question).await {
                let Some((name, kind)) = read_question(&question[..length]) else {
                    continue;
                };
                // A lookup asks twice, for IPv4 and IPv6: what is counted are those for IPv4.
                let before = {
                    let mut asked = asked.lock().unwrap();
                    let before = asked.iter().filter(|known| **known == name).count();
                    if kind == A {
                        asked.push(name.clone());
                        before
                    } else {
                        before.saturating_sub(1)
                    }
                };
                if let Some(answer) = names(&name, before) {
                    let reply = write_answer(&question[..length], kind, &answer);
                    let _sent = socket.send_to(&reply, from).await;
                }
            }
        });
    }

    /// Who was dialled since the last time this was asked; once more for each further request on a connection.
    pub fn dialled(&self) -> Vec<Dialled> {
        std::mem::take(&mut *self.dialled.lock().unwrap())
    }

    /// How often a name was looked up.
    pub fn lookups(&self, name: &str) -> usize {
        self.asked
            .lock()
            .unwrap()
            .iter()
            .filter(|known| *known == name)
            .count()
    }
}

/// Answers requests until the other side goes. `/30x` leads to a forbidden address, `/loop` to itself, and
/// so on; everything else fails.
async fn answer(
    mut stream: TcpStream,
    here: Dialled,
    dialled: Arc<Mutex<Vec<Dialled>>>,
) -> std::io::Result<()> {
    for nth in 0_u64.. {
        let request = read_request(&mut stream).await?;
        if nth > 0 {
            dialled.lock().unwrap().push(here);
        }
        let text = String::from_utf8_lossy(&request).into_owned();
        let path = text.split(' ').nth(1).unwrap_or_default();
        let (status, headers) = match path {
            "/303" => ("303 See Other", "location: http://127.0.0.1/\r\n"),
            "/307" => ("307 Temporary Redirect", "location: http://10.0.0.1/\r\n"),
            "/308" => ("308 Permanent Redirect", "location: http://[::1]/\r\n"),
            "/loop" => ("302 Found", "location: /loop\r\n"),
            "/refresh" => ("500 No", "refresh: 0;url=http://127.0.0.1/\r\n"),
            "/alt-svc" => (
                "500 No",
                "alt-svc: h2=\"127.0.0.1:80\"; ma=3600\r\nlink: <http://10.0.0.2/>; rel=preload\r\n",
            ),
            "/flood" => {
                stream
                    .write_all(
                        "HTTP/1.1 103 Early Hints\r\nlink: <http://10.0.0.3/>\r\n\r\n"
                            .repeat(50)
                            .as_bytes(),
                    )
                    .await?;
                ("500 No", "")
            }
            "/upgrade" => ("426 Upgrade Required", "upgrade: h2c\r\nconnection: upgrade\r\n"),
            "/proxy" => (
                "407 Proxy Authentication Required",
                "proxy-authenticate: Basic\r\n",
            ),
            "/use-proxy" => ("305 Use Proxy", "location: http://10.0.0.4:8080/\r\n"),
            "/close" => ("500 No", "connection: close\r\n"),
            _ => ("500 No", ""),
        };
        let reply = format!("HTTP/1.1 {status}\r\n{headers}content-length: 0\r\n\r\n");
        stream.write_all(reply.as_bytes()).await?;
        if path == "/close" {
            break;
        }
    }
    Ok(())
}

/// The types of records that a lookup asks for.
const A: u16 = 1;
const AAAA: u16 = 28;
const CNAME: u16 = 5;

/// The name of a question, in lower case, and the type of record that is asked for.
fn read_question(packet: &[u8]) -> Option<(String, u16)> {
    let mut at = 12;
    let mut labels = Vec::new();
    loop {
        let length = usize::from(*packet.get(at)?);
        at += 1;
        if length == 0 {
            break;
        }
        labels.push(String::from_utf8_lossy(packet.get(at..at + length)?).to_lowercase());
        at += length;
    }
    let kind = packet.get(at..at + 2)?;
    Some((labels.join("."), u16::from_be_bytes([kind[0], kind[1]])))
}

fn write_answer(question: &[u8], kind: u16, answer: &Answer) -> Vec<u8> {
    let end = 12 + question[12..].iter().position(|byte| *byte == 0).unwrap_or(0) + 5;
    let mut records = Vec::new();
    let mut count = 0_u16;
    let mut record = |owner: &[u8], kind: u16, data: &[u8]| {
        records.extend(owner);
        records.extend(kind.to_be_bytes());
        // In the class of the internet, and not to be kept.
        records.extend([0, 1, 0, 0, 0, 0]);
        records.extend(u16::try_from(data.len()).expect("short").to_be_bytes());
        records.extend(data);
        count += 1;
    };
    // The name that was asked for stands in the question, to which this points.
    let mut owner = vec![0xc0, 0x0c];
    let (addresses, code): (&[IpAddr], u8) = match answer {
        Answer::Addresses(addresses) => (addresses, 0),
        Answer::NoSuchName => (&[], 3),
        Answer::Alias(name, addresses) => {
            let mut data = Vec::new();
            for label in name.split('.') {
                data.push(u8::try_from(label.len()).expect("short"));
                data.extend(label.as_bytes());
            }
            data.push(0);
            record(&owner, CNAME, &data);
            owner = data;
            (addresses, 0)
        }
    };
    for address in addresses {
        match (address, kind) {
            (IpAddr::V4(v4), A) => record(&owner, A, &Ipv4Addr::octets(v4)),
            (IpAddr::V6(v6), AAAA) => record(&owner, AAAA, &v6.octets()),
            _ => {}
        }
    }
    let mut reply = question[..2].to_vec();
    reply.extend([0x81, 0x80 | code, 0, 1]);
    reply.extend(count.to_be_bytes());
    reply.extend([0, 0, 0, 0]);
    reply.extend(&question[12..end]);
    reply.extend(records);
    reply
}
