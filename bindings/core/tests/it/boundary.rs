//! Ways into the runtime and out of it.

use std::future::{pending, ready};
use std::sync::mpsc;

use ferrocket_bindings::ferrocket::{Error, ErrorKind, Result};
use ferrocket_bindings::{Held, block_on, guard, runtime, spawn};

use crate::LONG;

/// A panic is an error of its own kind and says what it said, whichever way it takes.
#[test]
fn panics_end_at_the_boundary() {
    let oops = |error: Error| {
        assert_eq!((error.kind(), error.to_string().ends_with("oops 1")), (ErrorKind::Internal, true));
    };
    oops(guard(|| -> Result<()> { panic!("oops {}", 1) }).unwrap_err());
    oops(block_on(async { if true { panic!("oops {}", 1) } else { Ok(()) } }).unwrap_err());
    let (sender, results) = mpsc::channel();
    spawn(async { if true { panic!("oops {}", 1) } else { Ok(()) } }, move |result| {
        sender.send(result).unwrap()
    })
    .unwrap();
    oops(results.recv_timeout(LONG).unwrap().unwrap_err());
    assert_eq!(guard(|| Ok(7)).unwrap(), 7);
}

/// The end of the work is told once: what it yields, or that it was given up.
#[test]
fn work_ends_once() {
    let (sender, results) = mpsc::channel();
    let tell = |sender: &mpsc::Sender<_>| {
        let sender = sender.clone();
        move |result: Result<i32>| sender.send(result).unwrap()
    };
    let done = spawn(ready(Ok(1)), tell(&sender)).unwrap();
    assert_eq!(results.recv_timeout(LONG).unwrap().unwrap(), 1);
    done.cancel();
    let waiting = spawn(pending(), tell(&sender)).unwrap();
    waiting.cancel();
    assert_eq!(results.recv_timeout(LONG).unwrap().unwrap_err().kind(), ErrorKind::Closed);
    drop(sender);
    assert!(results.recv_timeout(LONG).is_err(), "nothing more was told");
}

/// A handler that is called on one of the runtime's threads may block: each of them at once.
#[test]
fn blocking_calls_nest() {
    let (sender, results) = mpsc::channel();
    for number in 0..8 {
        let sender = sender.clone();
        let nested = async move {
            block_on(async {
                block_on(async {
                    tokio::task::yield_now().await;
                    Ok(number)
                })
            })
        };
        spawn(nested, move |result| sender.send(result.unwrap()).unwrap()).unwrap();
    }
    let mut numbers: Vec<i32> = (0..8).map(|_| results.recv_timeout(LONG).unwrap()).collect();
    numbers.sort_unstable();
    assert_eq!(numbers, (0..8).collect::<Vec<_>>());
}

/// What is held is dropped where it can begin work of its own.
#[test]
fn held_values_are_dropped_in_the_runtime() {
    struct Spawns(mpsc::Sender<bool>);
    impl Drop for Spawns {
        fn drop(&mut self) {
            self.0.send(tokio::runtime::Handle::try_current().is_ok()).unwrap();
        }
    }
    runtime().unwrap();
    let (sender, dropped) = mpsc::channel();
    let held = Held::new(Spawns(sender));
    assert!(held.get().is_ok());
    drop(held);
    assert!(dropped.recv().unwrap());
}
