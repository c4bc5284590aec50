//! Stands in for TLS in builds without it: nothing of it can be made.

use std::convert::Infallible;
use std::io;

use tokio::net::TcpStream;

use super::{ServerTlsOptions, TlsError, TlsOptions};
use crate::stream::Stream;

const WORDS: &str = "this build has no TLS: tls.server.mode=enforcing and tls.enable=true are not possible";

/// Cannot be made in a build without the feature `tls`.
#[derive(Clone, Debug)]
pub struct ServerTls(Infallible);

impl ServerTls {
    /// Refuses.
    ///
    /// # Errors
    /// Always.
    pub fn open(_: &ServerTlsOptions) -> Result<Self, TlsError> {
        Err(TlsError::words(WORDS))
    }

    pub(crate) async fn accept(&self, _: TcpStream) -> io::Result<Stream> {
        match self.0 {}
    }

    pub(crate) async fn keep_current(&self) {
        match self.0 {}
    }
}

/// Cannot be made in a build without the feature `tls`.
#[derive(Clone, Debug)]
pub struct ClientTls(Infallible);

impl ClientTls {
    /// Refuses.
    ///
    /// # Errors
    /// Always.
    pub fn open(_: &TlsOptions) -> Result<Self, TlsError> {
        Err(TlsError::words(WORDS))
    }

    pub(crate) async fn connect(&self, _: &str, _: TcpStream) -> io::Result<Stream> {
        match self.0 {}
    }
}
