//! Every public type of the client shows in its documentation how it is used.

use std::path::Path;

use crate::command::Failure;

pub(crate) fn check(root: &Path) -> Result<(), Failure> {
    let mut without = Vec::new();
    look(&root.join("client/src"), &mut without)?;
    match without.is_empty() {
        true => Ok(()),
        false => Err(Failure::new(format!("without an example: {}", without.join(", ")))),
    }
}

/// Adds the types below a folder that stand by themselves, are public, and have no block of code in their comment.
fn look(folder: &Path, without: &mut Vec<String>) -> Result<(), Failure> {
    for entry in std::fs::read_dir(folder)? {
        let path = entry?.path();
        if path.is_dir() {
            look(&path, without)?;
            continue;
        }
        let mut has_example = false;
        for line in std::fs::read_to_string(&path)?.lines() {
            let mut words = line.split([' ', '<', '(', ';', ':']);
            match (words.next(), words.next(), words.next()) {
                (Some("///"), ..) => has_example |= line.contains("```"),
                (Some("pub"), Some("struct" | "enum" | "trait" | "type"), Some(name)) if !has_example => {
                    without.push(format!("{name} in {}", path.display()));
                }
                // Attributes stand between the comment and the type.
                _ if line.starts_with("#[") => {}
                _ => has_example = false,
            }
        }
    }
    Ok(())
}
