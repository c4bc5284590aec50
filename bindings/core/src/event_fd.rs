//! A descriptor that becomes readable when there is something to take, for event loops (epoll, libuv, asyncio).
//!
//! An eventfd on Linux, a pipe elsewhere. No byte of meaning goes through it.

use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd, RawFd};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use ferrocket::{Error, ErrorKind, Result};
use rustix::io::Errno;

/// A descriptor to be woken by. Clones are the same descriptor, which is closed with the last one.
#[derive(Clone, Debug)]
pub struct EventFd(Arc<Ends>);

#[derive(Debug)]
struct Ends {
    read: OwnedFd,
    /// The same as `read` where the system has eventfds.
    write: Option<OwnedFd>,
    /// Whether it is readable: a ring is one system call until somebody listens again.
    rung: AtomicBool,
}

impl EventFd {
    /// A descriptor that is not readable yet.
    ///
    /// # Errors
    /// [`ErrorKind::Io`] when the process has too many open files.
    pub fn new() -> Result<Self> {
        let (read, write) = open()
            .map_err(|error| Error::new(ErrorKind::Io, format!("no descriptor for wake-ups: {error}")))?;
        Ok(Self(Arc::new(Ends { read, write, rung: AtomicBool::new(false) })))
    }

    /// Makes it readable. Never waits.
    pub fn ring(&self) {
        if !self.0.rung.swap(true, Ordering::AcqRel) {
            // A full one is readable.
            let _ = rustix::io::write(self.0.write.as_ref().unwrap_or(&self.0.read), &1u64.to_ne_bytes());
        }
    }

    /// Makes it unreadable, to be called before looking what there is.
    pub fn clear(&self) {
        let mut bytes = [0; 64];
        while matches!(rustix::io::read(&self.0.read, &mut bytes), Ok(64) | Err(Errno::INTR)) {}
        // Last: a ring in between is seen by the look that follows.
        self.0.rung.store(false, Ordering::Release);
    }

    /// What makes it readable, for an [`Inbox`](crate::Inbox).
    pub fn wake(&self) -> impl Fn() + Send + Sync + 'static {
        let fd = self.clone();
        move || fd.ring()
    }
}

impl AsFd for EventFd {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.read.as_fd()
    }
}

impl AsRawFd for EventFd {
    fn as_raw_fd(&self) -> RawFd {
        self.0.read.as_raw_fd()
    }
}

#[cfg(target_os = "linux")]
fn open() -> rustix::io::Result<(OwnedFd, Option<OwnedFd>)> {
    use rustix::event::{EventfdFlags, eventfd};
    Ok((eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK)?, None))
}

#[cfg(any(not(target_os = "linux"), test))]
fn pipe() -> rustix::io::Result<(OwnedFd, Option<OwnedFd>)> {
    let (read, write) = rustix::pipe::pipe()?;
    for end in [&read, &write] {
        rustix::io::fcntl_setfd(end, rustix::io::FdFlags::CLOEXEC)?;
        rustix::io::ioctl_fionbio(end, true)?;
    }
    Ok((read, Some(write)))
}

#[cfg(not(target_os = "linux"))]
use pipe as open;

#[cfg(test)]
mod tests {
    use rustix::event::{PollFd, PollFlags, Timespec, poll};

    use super::*;

    fn is_readable(fd: &EventFd) -> bool {
        let now = Timespec { tv_sec: 0, tv_nsec: 0 };
        poll(&mut [PollFd::new(fd, PollFlags::IN)], Some(&now)).unwrap() == 1
    }

    /// Readable from the first ring until it is cleared, of either kind, however often it is rung.
    #[test]
    fn rings_until_it_is_cleared() {
        let (read, write) = pipe().unwrap();
        let pipe = EventFd(Arc::new(Ends { read, write, rung: AtomicBool::new(false) }));
        for fd in [EventFd::new().unwrap(), pipe] {
            for _ in 0..2 {
                assert!(!is_readable(&fd));
                fd.ring();
                fd.wake()();
                assert!(is_readable(&fd));
                fd.clear();
            }
            fd.clear();
            assert!(!is_readable(&fd));
        }
    }
}
