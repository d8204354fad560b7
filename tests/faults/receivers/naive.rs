//! Two clients as one should not write them, for the controls: one that takes a good library as it comes, and
//! one that takes whatever arrives for an answer.

use std::io::{Read as _, Write as _};
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use super::kinds::TIMEOUT_SECONDS;
use super::{Ended, LATE_MAX};
use crate::support::client::builder;
use crate::support::wire::length_of;

/// They would wait for ever; the test does not.
const PATIENCE: Duration = Duration::from_millis(TIMEOUT_SECONDS * 1_000 + 500).saturating_add(LATE_MAX);
/// How much of an answer is looked at. What comes behind it is read and counted.
const LOOKED_AT: usize = 256 << 10;
const REQUEST: &[u8] = b"POST /hook HTTP/1.1\r\nhost: x\r\ncontent-length: 2\r\n\r\n{}";

/// How an exchange ended that writes down here what it has got; it may still be waiting.
async fn watched(exchange: impl AsyncFnOnce(&mut Ended)) -> Ended {
    #[expect(
        clippy::disallowed_methods,
        reason = "how long a client hangs is what is measured"
    )]
    let started = Instant::now();
    let mut ended = Ended {
        took: Duration::ZERO,
        end: Err(("none".to_owned(), "still waiting".to_owned())),
        body_bytes: 0,
        headers: 0,
        header_bytes: 0,
    };
    let _still_waiting = tokio::time::timeout(PATIENCE, exchange(&mut ended)).await;
    ended.took = started.elapsed();
    ended
}

/// A library without a time-out, without caps, which follows redirects and trusts every certificate.
pub async fn library(url: String) -> Ended {
    let client = builder().tls_danger_accept_invalid_certs(true).build();
    let client = client.expect("a client");
    watched(async |ended| match client.post(url).body("{}").send().await {
        Ok(mut response) => {
            ended.end = Ok(response.status().as_u16());
            ended.headers = response.headers().len();
            let bytes =
                |(name, value): (&http::HeaderName, &http::HeaderValue)| name.as_str().len() + value.len();
            ended.header_bytes = response.headers().iter().map(bytes).sum();
            loop {
                match response.chunk().await {
                    Ok(Some(piece)) => ended.body_bytes += piece.len(),
                    Ok(None) => return,
                    Err(error) => {
                        ended.end = Err(("client".to_owned(), error.to_string()));
                        return;
                    }
                }
            }
        }
        Err(error) => ended.end = Err(("client".to_owned(), error.to_string())),
    })
    .await
}

/// Reads until there is a head and as much behind it as it says, or an end of whatever sort, and believes it.
/// It opens what is packed.
pub async fn gullible(to: SocketAddr) -> Ended {
    watched(async |ended| {
        let mut got = Vec::new();
        let reading = async {
            let mut stream = TcpStream::connect(to).await?;
            stream.write_all(REQUEST).await?;
            let mut piece = vec![0; 64 << 10];
            while got.len() > LOOKED_AT || length_of(&got).is_none_or(|whole| got.len() < whole) {
                match stream.read(&mut piece).await? {
                    0 => break,
                    read if got.len() <= LOOKED_AT => got.extend_from_slice(&piece[..read]),
                    read => ended.body_bytes += read,
                }
            }
            Ok::<_, std::io::Error>(())
        };
        let _an_end_is_an_end = reading.await;
        let head = got
            .windows(4)
            .position(|end| end == b"\r\n\r\n")
            .unwrap_or(got.len());
        let text = String::from_utf8_lossy(&got[..head]).into_owned();
        ended.headers = text.lines().count().saturating_sub(1);
        ended.header_bytes = head;
        let body = got.get(head + 4..).unwrap_or_default();
        ended.body_bytes += match opened(body) {
            Some(zeros) if text.contains("content-encoding: gzip") => zeros.len(),
            _ => body.len(),
        };
        ended.end = Ok(last_status(&got));
    })
    .await
}

/// The number behind the last word that looks like the beginning of an answer; 200 where there is none.
fn last_status(got: &[u8]) -> u16 {
    let text = String::from_utf8_lossy(got);
    let behind = text
        .rsplit_once("HTTP/")
        .and_then(|(_, line)| line.split_once(' '));
    let digits: String = behind
        .map(|(_, rest)| rest.chars().take(3).take_while(char::is_ascii_digit).collect())
        .unwrap_or_default();
    digits.parse().unwrap_or(200)
}

/// What was packed by [`super::kinds::gzip_of_zeros`]: the three codes that it uses, and nothing else.
pub fn opened(packed: &[u8]) -> Option<Vec<u8>> {
    let mut bits = packed
        .get(10..)?
        .iter()
        .flat_map(|byte| (0..8).map(move |bit| u32::from(byte >> bit & 1)));
    let mut take = |count: u32| (0..count).try_fold(0, |code, _| Some(code << 1 | bits.next()?));
    if take(3)? != 0b110 {
        return None;
    }
    let mut zeros = Vec::new();
    loop {
        let seven = take(7)?;
        if seven == 0 {
            return Some(zeros);
        }
        match seven << 1 | take(1)? {
            0b0011_0000 => zeros.push(0),
            // A copy of 258 bytes, of the byte before (five bits).
            0b1100_0101 if take(5)? == 0 => zeros.extend([*zeros.last()?; 258]),
            _ => return None,
        }
    }
}

/// Processor time of this thread, in milliseconds.
fn cpu_ms() -> u64 {
    let stat = std::fs::read_to_string("/proc/thread-self/stat").expect("it runs");
    let times = stat
        .rsplit_once(')')
        .map_or("", |(_, rest)| rest)
        .split_whitespace();
    // User and system time, in hundredths of a second (proc(5)).
    10 * times
        .skip(11)
        .take(2)
        .filter_map(|ticks| ticks.parse::<u64>().ok())
        .sum::<u64>()
}

/// Reads lines without an end, on a thread, until it has cost so much of the processor; tells how much it has.
pub fn reads_lines_for_ever(to: SocketAddr, enough_ms: u64) -> u64 {
    let reading = std::thread::spawn(move || {
        let mut stream = std::net::TcpStream::connect(to).expect("it listens");
        stream.write_all(REQUEST).expect("it is read");
        let (mut piece, mut lines) = (vec![0; 64 << 10], 0_usize);
        while cpu_ms() <= enough_ms {
            let read = stream.read(&mut piece).expect("the flood goes on");
            assert_ne!(read, 0, "the flood goes on");
            lines += piece[..read].iter().filter(|byte| **byte == b'\n').count();
        }
        assert!(lines > 0);
        cpu_ms()
    });
    reading.join().expect("it reads")
}
