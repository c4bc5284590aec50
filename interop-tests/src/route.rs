//! Asks a NameServer for a topic's route with one hand-made frame, so that waiting for a route
//! depends on no client under test.

use std::io::{self, Read, Write};
use std::net::TcpStream;
use std::thread;
use std::time::{Duration, Instant};

use crate::process::POLL;

/// The route JSON of `topic` at the NameServer on local port `namesrv`, or `None` where it has none.
///
/// ```text
/// request, answer:  length u32 | header length u32 | JSON header | body
/// ```
pub fn query(namesrv: u16, topic: &str) -> io::Result<Option<String>> {
    let mut stream = TcpStream::connect(("127.0.0.1", namesrv))?;
    stream.set_read_timeout(Some(Duration::from_secs(3)))?;
    let header = format!(
        r#"{{"code":105,"extFields":{{"topic":"{topic}"}},"flag":0,"language":"JAVA","opaque":1,"version":401}}"#
    );
    let length = header.len() as u32;
    let frame = [&(length + 4).to_be_bytes(), &length.to_be_bytes(), header.as_bytes()].concat();
    stream.write_all(&frame)?;
    let mut word = [0; 4];
    stream.read_exact(&mut word)?;
    let mut answer = vec![0; u32::from_be_bytes(word) as usize];
    stream.read_exact(&mut answer)?;
    let broken = || io::Error::new(io::ErrorKind::InvalidData, "not a RocketMQ answer");
    let (word, rest) = answer.split_first_chunk::<4>().ok_or_else(broken)?;
    let split = (u32::from_be_bytes(*word) & 0x00ff_ffff) as usize;
    let (header, body) = rest.split_at_checked(split).ok_or_else(broken)?;
    let header = String::from_utf8_lossy(header);
    let code = header.split_once("\"code\":").ok_or_else(broken)?.1;
    let found = code.starts_with('0');
    Ok(found.then(|| String::from_utf8_lossy(body).into_owned()))
}

/// Waits until the NameServer routes `topic` to the broker on local port `broker`.
pub fn wait(namesrv: u16, topic: &str, broker: u16, limit: Duration) -> Result<(), String> {
    let deadline = Instant::now() + limit;
    let address = format!(":{broker}\"");
    loop {
        let seen = match query(namesrv, topic) {
            Ok(Some(route)) if route.contains(&address) => return Ok(()),
            Ok(Some(route)) => route,
            Ok(None) => "no route".to_owned(),
            Err(e) => e.to_string(),
        };
        if Instant::now() >= deadline {
            return Err(format!("no route of {topic} to port {broker} within {limit:?}: {seen}"));
        }
        thread::sleep(POLL);
    }
}
