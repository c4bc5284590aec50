//! `include/ferrocket.h` and `abi.txt` are what the source says; `FERROCKET_WRITE_DOCS=1` writes them anew.

use std::fmt::Write;
use std::path::{Path, PathBuf};

use ferrocket_bindings::ferrocket::{ErrorKind, settings};

/// What everyone should know before the first function.
const INTRODUCTION: &str = "\
Ferrocket: a client for clusters that speak RocketMQ's remoting protocol, Apache RocketMQ 4.9 and 5.x or Ferrocket's
own servers.

Handles. All types are opaque. A function that fails gives NULL into the place for its result. Every handle has a
fr_..._free, which takes NULL, too; after it the handle must not be used. A call that gets NULL, a handle of another
kind, or one that was closed, answers with an error; so it does, mostly, with one that was freed.

Arguments are borrowed for the call: texts, bodies, messages and configurations are copied where they are needed longer
and stay the program's. Texts are UTF-8 and end with NUL. What a function gives is the program's to free, unless its
comment says how long it is valid; a NUL within such a text shows as U+FFFD.

Errors. A function that can fail answers fr_status_t and, where its last argument is not NULL, gives an error with
the details there, which the program frees (fr_error_free), or NULL if there is none. Nothing the library does ends the
process: a fault within it is FR_ERROR_INTERNAL.

Threads. What is called thread-safe in a comment may be called by any number of threads at once; only fr_..._free,
fr_delivery_answer and fr_deliveries_ack want the handle for themselves. Callbacks are called by threads of the
library, never on the stack of a call, and may block and call the library. No exception may leave one: in C++,
ferrocket.hpp has wrappers that catch them.

Signals. The library sets no handler, and a peer that is gone is an error, not SIGPIPE. Its threads have the mask of the
thread whose call starts them: handlers of the program may run there. A handler must not call the library.

Event loops. fr_..._fd gives a descriptor that is readable when the fr_..._poll of the same object may have something;
poll with the time 0 then. It may be readable without anything to take.

Processes. A child of fork() cannot use what its parent made: calls answer FR_ERROR_CLOSED. Use the library only after
the fork, or start a program.

Settings (fr_config_set) have Java's names. Times are in milliseconds where nothing else is said.
";

fn folder() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// Every key of every table, as lines of a comment.
fn keys() -> String {
    let mut text = String::new();
    for (name, rows) in settings::tables() {
        // The one kind of consumer that C has not.
        if name == "pull_consumer" {
            continue;
        }
        writeln!(text, "\nKeys of a {}:", name.replace('_', " ")).unwrap();
        for row in rows {
            let default = if row.default.is_empty() { "none" } else { row.default };
            // A comment ends with these two characters.
            wrap(
                &mut text,
                "  ",
                &format!("{} (default {default}): {}", row.key, row.doc.replace("*/", "* /")),
            );
        }
    }
    text
}

/// Adds words in lines that are not too long.
fn wrap(text: &mut String, indent: &str, words: &str) {
    let mut line = indent.to_owned();
    for word in words.split_whitespace() {
        if line.len() + word.len() > 115 {
            writeln!(text, "{}", line.trim_end()).unwrap();
            line = format!("{indent}    ");
        }
        line.push_str(word);
        line.push(' ');
    }
    writeln!(text, "{}", line.trim_end()).unwrap();
}

fn comment(text: &str) -> String {
    let lines = text.lines().map(|line| format!(" * {line}").trim_end().to_owned() + "\n");
    format!("/*\n{} */", lines.collect::<String>())
}

fn header() -> String {
    let mut config = cbindgen::Config::from_file(folder().join("cbindgen.toml")).unwrap();
    let introduction = format!("{INTRODUCTION}{}", keys());
    config.header = Some(comment(&introduction));
    let version = env!("CARGO_PKG_VERSION");
    config.after_includes = Some(format!(
        "\n/** The version of this header, which fr_version() should answer. */\n#define FR_VERSION \"{version}\""
    ));
    let sources = [
        "error",
        "config",
        "client",
        "message",
        "send_terms",
        "producer",
        "consumer",
        "lite_pull_consumer",
        "admin",
        "testing",
    ];
    let mut builder = cbindgen::Builder::new().with_config(config);
    for source in sources {
        builder = builder.with_src(folder().join(format!("src/{source}.rs")));
    }
    let mut text = Vec::new();
    builder.generate().unwrap().write(&mut text);
    String::from_utf8(text).unwrap()
}

/// The functions of the header.
fn functions(header: &str) -> Vec<String> {
    let bare = header.split("*/").map(|part| part.split("/*").next().unwrap_or(part)).collect::<String>();
    let words = bare.split(|c: char| !(c.is_alphanumeric() || c == '_' || c == '('));
    let mut names: Vec<String> = words
        .filter_map(|word| word.split_once('('))
        .map(|(name, _)| name.to_owned())
        .filter(|name| name.starts_with("fr_"))
        .collect();
    names.sort();
    names
}

#[track_caller]
fn committed(path: &Path, text: &str) {
    let path: PathBuf = folder().join(path);
    if std::env::var_os("FERROCKET_WRITE_DOCS").is_some() {
        std::fs::write(&path, text).unwrap();
    }
    let there = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(there == text, "{} is not what the source says: run with FERROCKET_WRITE_DOCS=1", path.display());
}

/// The header says what the source says, and the list of symbols is that of its functions: a change of either is seen
/// where it is made.
#[test]
fn the_header_is_the_source() {
    let header = header();
    committed(Path::new("include/ferrocket.h"), &header);
    let functions = functions(&header);
    assert!(functions.len() > 100, "{functions:?}");
    committed(Path::new("abi.txt"), &functions.iter().map(|name| format!("{name}\n")).collect::<String>());
}

/// Every function is documented, with what may be done by several threads or by whom a handle is freed.
#[test]
fn every_function_is_documented() {
    let header = header();
    for name in functions(&header) {
        let at = header.rfind(&format!("{name}(")).unwrap();
        let above = &header[..at];
        let comment = &above[above.rfind("/**").unwrap()..];
        let (comment, between) = comment.split_once("*/").unwrap();
        assert!(!between.contains('(') && !between.contains(';'), "{name} has no comment of its own");
        let says = ["Thread-safe", "NULL is allowed", "rees ", "as fr_producer"];
        assert!(says.iter().any(|word| comment.contains(word)), "{name}: {comment}");
    }
}

/// Every kind of error has its status, by the name in the client's table.
#[test]
fn statuses_are_the_kinds_of_errors() {
    let header = header();
    for kind in ErrorKind::ALL {
        let mut name = String::from("FR_ERROR");
        for letter in kind.name().chars() {
            if letter.is_uppercase() {
                name.push('_');
            }
            name.push(letter.to_ascii_uppercase());
        }
        assert!(header.contains(&format!("{name} =")), "{name} is missing");
    }
}
