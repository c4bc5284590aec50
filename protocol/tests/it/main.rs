//! Tests of the crate as its users see it: bytes captured from Java, the docs page, broken input.

mod golden;
mod requests_page;
mod robustness;
mod vectors;
