//! A flag that is raised once and can be waited for.

use std::sync::atomic::{AtomicBool, Ordering};

use tokio::sync::Notify;

/// Down at first; once raised, up for ever.
#[derive(Debug, Default)]
pub(crate) struct Signal {
    raised: AtomicBool,
    notify: Notify,
}

impl Signal {
    /// Raises it and wakes all who wait.
    pub(crate) fn raise(&self) {
        self.raised.store(true, Ordering::Release);
        self.notify.notify_waiters();
    }

    /// Whether it is up.
    pub(crate) fn is_raised(&self) -> bool {
        self.raised.load(Ordering::Acquire)
    }

    /// Waits until it is up.
    pub(crate) async fn raised(&self) {
        loop {
            // Made before the look at the flag: a raise in between wakes it.
            let notified = self.notify.notified();
            if self.is_raised() {
                return;
            }
            notified.await;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Those who wait and those who come later both see it.
    #[tokio::test]
    async fn wakes_all() {
        let signal = Signal::default();
        let (_, ()) = tokio::join!(signal.raised(), async { signal.raise() });
        signal.raised().await;
        assert!(signal.is_raised());
    }
}
