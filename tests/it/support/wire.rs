//! HTTP/1.1 as bytes, for tests whose other side is not to be a library: a request that somebody writes by
//! hand, and reading one as it came.

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};

use super::client::ADMIN_KEY;

/// Events for the API as the admin sends them, with these lines in the head besides and this behind it.
pub fn post_events(lines: &str, rest: &str) -> String {
    format!(
        "POST /api/v1/events HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {ADMIN_KEY}\r\n\
         content-type: application/json\r\n{lines}\r\n\r\n{rest}"
    )
}

/// How long the request is that these bytes begin with; nothing as long as its head is not whole. Its body
/// has the length that the head says last: the router writes its own line behind those that users choose.
pub fn length_of(request: &[u8]) -> Option<usize> {
    let head = request.windows(4).position(|end| end == b"\r\n\r\n")?;
    let text = String::from_utf8_lossy(&request[..head]).to_ascii_lowercase();
    let length = text
        .split("\r\n")
        .filter_map(|line| line.strip_prefix("content-length:"))
        .last();
    let body = length.and_then(|length| length.trim().parse().ok()).unwrap_or(0);
    Some(head + 4 + body)
}

/// Reads one request, as it comes: at the least its head and the whole of its body.
pub async fn read_request(stream: &mut TcpStream) -> std::io::Result<Vec<u8>> {
    let mut request = Vec::new();
    while length_of(&request).is_none_or(|whole| request.len() < whole) {
        if stream.read_buf(&mut request).await? == 0 {
            return Err(std::io::ErrorKind::UnexpectedEof.into());
        }
    }
    Ok(request)
}

/// Sends these bytes and reads what comes back until the other side closes.
pub async fn exchange(to: std::net::SocketAddr, request: &str) -> String {
    let mut stream = TcpStream::connect(to).await.expect("it listens");
    stream.write_all(request.as_bytes()).await.expect("it reads");
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.expect("it answers");
    answer
}

/// A server of one's own: answers each connection's one request as this says, and closes.
pub async fn answering(answer: impl Fn(&[u8]) -> String + Send + 'static) -> std::net::SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = listener.local_addr().expect("bound");
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let request = read_request(&mut stream).await.unwrap_or_default();
            let _gone = stream.write_all(answer(&request).as_bytes()).await;
        }
    });
    address
}
