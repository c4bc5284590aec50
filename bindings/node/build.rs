//! How an addon is linked.

fn main() {
    napi_build::setup();
    // Node closes the library with the last worker thread that loaded it, while the runtime's threads are in it.
    println!("cargo:rustc-link-arg=-Wl,-z,nodelete");
}
