//! Tests of the crate as its users see it: bytes captured from Java, the docs page, broken input.

mod golden;
mod requests_page;
mod robustness;

/// The rows of a table of comma separated values, its header line left out.
fn csv_rows(text: &str) -> Vec<Vec<String>> {
    let mut rows = Vec::new();
    let mut row = vec![String::new()];
    let mut quoted = false;
    let mut chars = text.chars().peekable();
    while let Some(c) = chars.next() {
        let cell = row.last_mut().expect("a row has a cell");
        match c {
            '"' if quoted && chars.peek() == Some(&'"') => {
                chars.next();
                cell.push('"');
            }
            '"' => quoted = !quoted,
            ',' if !quoted => row.push(String::new()),
            '\n' if !quoted => rows.push(std::mem::replace(&mut row, vec![String::new()])),
            '\r' if !quoted => {}
            c => cell.push(c),
        }
    }
    rows.split_off(1)
}
