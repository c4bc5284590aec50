//! The Tokio driver of the remoting protocol: dial, listen, call.
//!
//! One task owns a connection: it reads, decodes every complete frame, has the [`Handler`] answer them in
//! place and writes all answers at once. Bytes and typed headers are `ferrocket-protocol`'s; what requests
//! mean is the handlers' business.
//!
//! With the feature `tls`, a listener's port takes TLS too, and a dialler uses it where it is told to.
//!
//! Java counterpart: the package `remoting.netty`.

mod accept_rate;
mod address_server;
mod calls;
mod config;
mod connection;
mod dialer;
mod error;
mod listener;
mod outbound;
mod serve;
mod socks;
mod soon;
mod stream;
mod tls;

pub use address_server::AddressServer;
pub use config::RemotingConfig;
pub use connection::{Connection, Handler, PendingCall, RefuseAll};
pub use dialer::{Dialer, dial};
pub use error::CallError;
pub use listener::Listener;
pub use socks::SocksProxy;
pub use soon::wake_soon;
pub use tls::{
    CLIENT_TLS_SETTINGS, ClientAuth, ClientTls, Identity, SERVER_TLS_SETTINGS, ServerTls, ServerTlsOptions,
    TlsError, TlsOptions,
};
