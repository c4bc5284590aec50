//! The servers in the process of a test, for test suites in the binding's language.

use std::time::Duration;

use ferrocket::testing::Cluster;
use ferrocket::{Error, ErrorKind, Result};
use tokio::sync::Mutex;

/// A NameServer and a Broker in this process, see [`Cluster`].
#[derive(Debug)]
pub struct Broker {
    namesrv_addr: String,
    /// Taken by the end. Held for one call.
    cluster: Mutex<Option<Cluster>>,
}

impl Broker {
    /// Starts both; `settings` are the Broker's, by their Java names.
    ///
    /// # Errors
    /// As [`ClusterBuilder::start`](ferrocket::testing::ClusterBuilder::start).
    pub async fn start(settings: impl IntoIterator<Item = (String, String)>) -> Result<Self> {
        let builder = settings
            .into_iter()
            .fold(Cluster::builder(), |builder, (key, value)| builder.broker_setting(key, value));
        let cluster = builder.start().await?;
        Ok(Self { namesrv_addr: cluster.namesrv_addr().to_owned(), cluster: Mutex::new(Some(cluster)) })
    }

    /// Where the NameServer listens, `127.0.0.1:port`.
    pub fn namesrv_addr(&self) -> &str {
        &self.namesrv_addr
    }

    /// Turns the Broker's clock on, see [`Cluster::advance`].
    ///
    /// # Errors
    /// [`ErrorKind::Closed`] after the shutdown.
    pub async fn advance(&self, by: Duration) -> Result<()> {
        let cluster = self.cluster.lock().await;
        let cluster =
            cluster.as_ref().ok_or_else(|| Error::new(ErrorKind::Closed, "the broker is shut down"))?;
        cluster.advance(by);
        Ok(())
    }

    /// Stops both. Further calls have no effect.
    ///
    /// # Errors
    /// As [`Cluster::shutdown`].
    pub async fn shutdown(&self) -> Result<()> {
        match self.cluster.lock().await.take() {
            Some(cluster) => cluster.shutdown().await,
            None => Ok(()),
        }
    }
}
