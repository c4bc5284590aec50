//! How an addon is linked.

fn main() {
    napi_build::setup();
    // Node closes the library with the last worker thread that loaded it, while the runtime's threads are in it.
    if std::env::var("CARGO_CFG_TARGET_OS").is_ok_and(|system| system == "linux") {
        println!("cargo:rustc-link-arg=-Wl,-z,nodelete");
    }
}
