//! The end of the process's runtime, in a process of its own.

use std::future::pending;
use std::sync::mpsc;
use std::time::Duration;

use ferrocket_bindings::ferrocket::{ErrorKind, Result};
use ferrocket_bindings::{Bridge, block_on, is_forked, runtime, spawn};

/// Whoever waits is told, and so is whoever comes later; nothing hangs.
#[test]
fn everybody_is_told() {
    let (sender, results) = mpsc::channel();
    let (begun, beginning) = mpsc::channel();
    let blocked = sender.clone();
    let thread = std::thread::spawn(move || {
        let waiting = async move {
            begun.send(()).unwrap();
            pending::<Result<()>>().await
        };
        blocked.send(block_on(waiting)).unwrap();
    });
    beginning.recv().unwrap();
    spawn(pending(), move |result| sender.send(result).unwrap()).unwrap();
    Bridge::stop(Duration::from_secs(10));
    for result in results {
        assert_eq!(result.unwrap_err().kind(), ErrorKind::Closed);
    }
    thread.join().unwrap();
    Bridge::stop(Duration::from_secs(10));
    for refused in [
        runtime().map(|_| ()),
        block_on(async { Ok(()) }),
        spawn(pending::<Result<()>>(), |_| ()).map(|_| ()),
    ] {
        assert_eq!(refused.unwrap_err().kind(), ErrorKind::Closed);
    }
    assert!(!is_forked());
}
