//! The binary as its users meet it: started as a process, read line by line, stopped with signals.

mod client;
mod commands;
<<<<<<< HEAD
mod consume_from;
=======
mod consumers;
>>>>>>> f356502 (Client: ends in order, safe when dropped; asked to go away it connects anew; a thousand consumers are cheap)
mod crash;
mod failures;
mod hostile;
mod quickstart;
mod settings_docs;
mod standalone;
mod support;
