//! The binary as its users meet it: started as a process, read line by line, stopped with signals.

mod client;
mod commands;
mod consume_from;
mod consumers;
mod crash;
mod examples;
mod failures;
mod hostile;
mod quickstart;
mod settings_docs;
mod standalone;
mod support;
mod translations;
