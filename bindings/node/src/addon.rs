//! The functions that JavaScript sees. `src/loader.ts` has their types.
#![allow(unsafe_code, unreachable_pub, reason = "made by the macros of napi-derive")]

use bytes::Bytes;
use napi::bindgen_prelude::{Buffer, Function, Uint8ArraySlice};
use napi::threadsafe_function::ThreadsafeFunctionCallMode;
use napi_derive::napi;

use crate::port;

/// The answers that are ready.
#[napi(object)]
pub struct Batch {
    /// JSON: `[[id, 0, error] | [id, 1, value] | [id, 2, value], …]`; those with 2 have a buffer each.
    pub text: String,
    /// The buffers, in their order.
    pub buffers: Vec<Buffer>,
}

/// The door for one JavaScript thread.
#[napi]
pub struct Port(port::Port);

/// Opens a port. `wake` is called on the JavaScript thread when there is something to drain; by itself it does not
/// keep the process alive.
#[napi]
pub fn open(wake: Function<(), ()>) -> napi::Result<Port> {
    let wake = wake.build_threadsafe_function::<()>().weak::<true>().callee_handled::<false>().build()?;
    Ok(Port(port::Port::new(move || {
        // When the thread ends, nobody is there to be woken.
        wake.call((), ThreadsafeFunctionCallMode::NonBlocking);
    })))
}

#[napi]
impl Port {
    /// Begins an operation, whose answer will be drained under this id.
    #[napi]
    pub fn call(&self, id: u32, operation: String, handle: u32, args: String, bodies: Vec<Uint8ArraySlice>) {
        self.0.call(id, operation, handle, args, || {
            // What is copied belongs to nobody else: JavaScript may change its own while the message is under way.
            bodies.iter().map(|body| port::body(body).map(Bytes::copy_from_slice)).collect()
        });
    }

    /// Takes the answers that are ready.
    #[napi]
    pub fn drain(&self) -> Batch {
        let (text, buffers) = self.0.drain();
        Batch { text, buffers: buffers.into_iter().map(Buffer::from).collect() }
    }

    /// Gives an operation up. It is answered all the same.
    #[napi]
    pub fn cancel(&self, id: u32) {
        self.0.cancel(id);
    }

    /// These deliveries of a push consumer are done, or come again after the delay of this level.
    #[napi]
    pub fn settle(&self, handle: u32, tickets: Vec<u32>, level: Option<i32>) {
        self.0.settle(handle, &tickets, level);
    }
}
