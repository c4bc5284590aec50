//! Access control (ACL 1.0): accounts, what they may do, and the files they are kept in.
//!
//! [`Accounts`] is the pure part: it judges requests. [`Access`] keeps the accounts of a process, reads them
//! from `plain_acl.yml` and the `acl/` folder, again when these change, and changes them for admin tools.
//! Signatures are in [`ferrocket_protocol::acl`]. Java counterpart: the `acl` module of 4.9.8.

mod access;
mod account;
mod accounts;
mod address;
mod files;
mod needs;

pub use access::Access;
pub use account::AccountRow;
pub use accounts::{Accounts, Denied};
