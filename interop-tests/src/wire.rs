//! A connection that sends requests, tells answers from what the server asks, and answers that as a client.

use std::io::{self, Read, Write};
use std::net::{Shutdown, TcpStream};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::Duration;

use bytes::BytesMut;
use ferrocket_protocol::{RemotingCommand, RequestCode, ResponseCode, frame};

/// An answer that takes longer is none. Java's NameServer answers nothing to what it does not know.
const ANSWER_LIMIT: Duration = Duration::from_secs(2);

/// What became of a request.
#[derive(Debug)]
pub enum Outcome {
    /// The answer.
    Answered(RemotingCommand),
    /// No answer within two seconds.
    Silence,
    /// The server closed the connection.
    Closed,
}

/// One connection to a server.
pub struct Wire {
    address: String,
    stream: TcpStream,
    answers: Receiver<RemotingCommand>,
    pushed: Arc<Mutex<Vec<RemotingCommand>>>,
    opaque: i32,
}

impl Wire {
    /// Connects to `host:port`.
    pub fn connect(address: &str) -> io::Result<Self> {
        let pushed = Arc::default();
        let (stream, answers) = open(address, &pushed)?;
        Ok(Self { address: address.to_owned(), stream, answers, pushed, opaque: 0 })
    }

    /// Sends a request and waits for what becomes of it. A closed connection is opened again.
    pub fn ask(&mut self, mut request: RemotingCommand) -> io::Result<Outcome> {
        self.opaque += 1;
        request.opaque = self.opaque;
        let sent = self.stream.write_all(&frame::to_bytes(&request));
        if request.is_oneway() {
            return sent.map(|()| Outcome::Silence);
        }
        loop {
            match self.answers.recv_timeout(ANSWER_LIMIT) {
                Ok(answer) if answer.opaque == self.opaque => return Ok(Outcome::Answered(answer)),
                Ok(_) => {}
                Err(RecvTimeoutError::Timeout) => return Ok(Outcome::Silence),
                Err(RecvTimeoutError::Disconnected) => {
                    (self.stream, self.answers) = open(&self.address, &self.pushed)?;
                    return Ok(Outcome::Closed);
                }
            }
        }
    }

    /// What the server asked so far.
    pub fn pushed(&self) -> Vec<RemotingCommand> {
        self.pushed.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl Drop for Wire {
    /// Ends the thread that reads.
    fn drop(&mut self) {
        // An error means that it is closed already.
        let _ = self.stream.shutdown(Shutdown::Both);
    }
}

type Pushed = Arc<Mutex<Vec<RemotingCommand>>>;

fn open(address: &str, pushed: &Pushed) -> io::Result<(TcpStream, Receiver<RemotingCommand>)> {
    let stream = TcpStream::connect(address)?;
    stream.set_nodelay(true)?;
    let (mut reading, pushed) = (stream.try_clone()?, pushed.clone());
    let (sender, answers) = mpsc::channel();
    thread::spawn(move || {
        let mut buffer = BytesMut::new();
        let mut chunk = vec![0; 1 << 16];
        while let Ok(read @ 1..) = reading.read(&mut chunk) {
            buffer.extend_from_slice(&chunk[..read]);
            while let Ok(Some(command)) = frame::decode(&mut buffer) {
                if command.is_response() {
                    // Nobody waits for an answer any more once the connection is given up.
                    let _ = sender.send(command);
                    continue;
                }
                if !command.is_oneway() {
                    // A closed connection shows with the next read.
                    let _ = reading.write_all(&frame::to_bytes(&client_answer(&command)));
                }
                pushed.lock().unwrap_or_else(PoisonError::into_inner).push(command);
            }
        }
    });
    Ok((stream, answers))
}

/// What a client would say.
fn client_answer(request: &RemotingCommand) -> RemotingCommand {
    let body = match request.request_code() {
        Some(RequestCode::GetConsumerRunningInfo) => r#"{"properties":{"PROP_CLIENT_VERSION":"V4_9_8"}}"#,
        Some(RequestCode::ConsumeMessageDirectly) => r#"{"autoCommit":true,"consumeResult":"CR_SUCCESS"}"#,
        Some(RequestCode::GetConsumerStatusFromClient) => r#"{"messageQueueTable":{}}"#,
        _ => "",
    };
    request.reply(ResponseCode::SUCCESS).with_body(body)
}
