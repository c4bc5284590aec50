//! How much a client may have under way.
//!
//! Java counterpart: `semaphoreAsyncSendNum` and `semaphoreAsyncSendSize` of 5.x; 4.9 has no limit.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::error::{Error, ErrorKind, Result};

/// Two budgets, messages and bytes, that every send takes from and gives back to.
#[derive(Debug)]
pub(crate) struct InFlight {
    messages: Arc<Semaphore>,
    bytes: Arc<Semaphore>,
    messages_max: u32,
    bytes_max: u32,
}

/// A share of the budgets, given back when dropped.
#[derive(Debug)]
pub(crate) struct Share {
    _messages: OwnedSemaphorePermit,
    _bytes: OwnedSemaphorePermit,
}

impl InFlight {
    /// Empty budgets of this size; more than the semaphores count is as good as the most they count.
    pub(crate) fn new(messages_max: usize, bytes_max: usize) -> Self {
        let [messages_max, bytes_max] =
            [messages_max, bytes_max].map(|max| u32::try_from(max).unwrap_or(u32::MAX).min(u32::MAX >> 4));
        Self {
            messages: Arc::new(Semaphore::new(messages_max as usize)),
            bytes: Arc::new(Semaphore::new(bytes_max as usize)),
            messages_max,
            bytes_max,
        }
    }

    /// Takes the share of one send of `bytes`, in the order of asking; waits at most `timeout`.
    ///
    /// One that exceeds the whole budget takes all of it.
    pub(crate) async fn take(&self, bytes: usize, timeout: Duration) -> Result<Share> {
        let bytes = u32::try_from(bytes).unwrap_or(u32::MAX).min(self.bytes_max);
        let take = async {
            let messages = Arc::clone(&self.messages).acquire_owned().await.ok()?;
            let bytes = Arc::clone(&self.bytes).acquire_many_owned(bytes).await.ok()?;
            Some(Share { _messages: messages, _bytes: bytes })
        };
        match tokio::time::timeout(timeout, take).await {
            Ok(Some(share)) => Ok(share),
            Ok(None) => Err(Error::closed("the client")),
            Err(_) => {
                let text = format!(
                    "{} messages or {} bytes are under way, and none finished within {timeout:?}",
                    self.messages_max, self.bytes_max
                );
                Err(Error::new(ErrorKind::FlowControl, text))
            }
        }
    }

    /// Returns once nothing is under way, or after `timeout`.
    pub(crate) async fn drained(&self, timeout: Duration) -> bool {
        tokio::time::timeout(timeout, self.messages.acquire_many(self.messages_max)).await.is_ok()
    }

    /// No share is given any more.
    pub(crate) fn close(&self) {
        self.messages.close();
        self.bytes.close();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// At the limit a send waits, and is refused when its time is up; a returned share lets it through.
    #[tokio::test(start_paused = true)]
    async fn limits_hold() {
        let budget = InFlight::new(2, 100);
        let second = Duration::from_secs(1);
        let first = budget.take(60, second).await.unwrap();
        assert_eq!(budget.take(60, second).await.unwrap_err().kind(), ErrorKind::FlowControl);
        drop(first);
        let huge = budget.take(1_000, second).await.unwrap();
        assert!(!budget.drained(second).await);
        drop(huge);
        assert!(budget.drained(second).await);
        budget.close();
        assert_eq!(budget.take(1, second).await.unwrap_err().kind(), ErrorKind::Closed);
    }
}
