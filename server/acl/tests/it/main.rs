//! Access control through its public calls: who may send what, and the files of accounts.

mod files;
mod judgement;
mod table;
