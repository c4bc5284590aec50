//! Tests of the crate as its users see it: bytes captured from Java, the docs page, limits, broken input.

mod golden;
mod limits;
mod requests_page;
mod robustness;
mod vectors;
