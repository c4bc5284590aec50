//! A web server that knows the NameServers, for the tests of all that ask one.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio::sync::mpsc;

/// It answers each question with the list of the moment, and tells the questions' first lines.
pub(crate) async fn web_server(list: Arc<Mutex<String>>) -> (SocketAddr, mpsc::UnboundedReceiver<String>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let addr = listener.local_addr().unwrap();
    let (asked, lines) = mpsc::unbounded_channel();
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let mut request = Vec::new();
            while !request.ends_with(b"\r\n\r\n") {
                request.push(stream.read_u8().await.unwrap());
            }
            let request = String::from_utf8(request).unwrap();
            let _ = asked.send(request.lines().next().unwrap_or_default().to_owned());
            let answer = format!("HTTP/1.1 200 OK\r\nServer: test\r\n\r\n{}\n", list.lock().unwrap());
            stream.write_all(answer.as_bytes()).await.unwrap();
        }
    });
    (addr, lines)
}
