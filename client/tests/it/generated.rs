//! What is written from the client's tables: pages of the book, and the settings and errors of the other languages.
//!
//! `FERROCKET_WRITE_DOCS=1` writes the files anew; otherwise they have to be as the tables say. The C header has a
//! test of its own, in `bindings/c`.

use std::fmt::Write;
use std::path::Path;

use ferrocket::ErrorKind;
use ferrocket::settings::{Kind, Setting, tables};

/// The book's sections, by table.
const TITLES: [(&str, &str, &str); 6] = [
    ("client", "Client", "`Client::builder`"),
    ("producer", "Producer", "`Client::producer`"),
    ("transaction_producer", "Transaction producer", "`ProducerBuilder::check_local_transaction`"),
    ("push_consumer", "Push consumer", "`Client::push_consumer`"),
    ("lite_pull_consumer", "Lite pull consumer", "`Client::lite_pull_consumer`"),
    ("pull_consumer", "Pull consumer", "`Client::pull_consumer`, which only Rust has"),
];

const BY_WHOM: &str = "Written by client/tests/it/generated.rs from the client's tables.";

#[track_caller]
fn holds(path: &str, text: &str) {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("..").join(path);
    if std::env::var_os("FERROCKET_WRITE_DOCS").is_some() {
        std::fs::create_dir_all(file.parent().unwrap()).unwrap();
        std::fs::write(&file, text).unwrap();
    }
    let written = std::fs::read_to_string(&file).unwrap_or_default();
    assert!(written == text, "{path} is out of date: run the tests with FERROCKET_WRITE_DOCS=1");
}

/// The rows of a table that the tables before it do not have.
fn own(name: &str) -> Vec<&'static Setting> {
    let tables = tables();
    let rows = &tables.iter().find(|(known, _)| *known == name).unwrap().1;
    let producer = if name == "transaction_producer" { tables[1].1.clone() } else { Vec::new() };
    rows.iter().copied().filter(|row| producer.iter().all(|known| known.key != row.key)).collect()
}

/// `ClientSettings` and its kin.
fn type_name(table: &str) -> String {
    let words = table.split('_').map(|word| word[..1].to_uppercase() + &word[1..]);
    words.collect::<String>() + "Settings"
}

/// Java's name as Python writes names, without the words that stand before all.
fn snake(key: &str) -> String {
    let key = key.strip_prefix("rocketmq.").unwrap_or(key);
    let key: Vec<char> = key.strip_prefix("client.").unwrap_or(key).chars().collect();
    let mut name = String::new();
    for (at, letter) in key.iter().enumerate() {
        let before = at.checked_sub(1).map_or('_', |before| key[before]);
        let is_next_lower = key.get(at + 1).is_some_and(|next| next.is_lowercase());
        let begins = before.is_lowercase() || before.is_uppercase() && is_next_lower;
        if letter.is_uppercase() && begins {
            name.push('_');
        }
        name.push(if *letter == '.' { '_' } else { letter.to_ascii_lowercase() });
    }
    name
}

fn is_time(row: &Setting) -> bool {
    row.doc.contains(", ms")
}

/// What a value may be, and the default, in a sentence; the types say the rest.
fn bounds(row: &Setting, default: &str) -> String {
    let bounds = match row.kind {
        Kind::Int { .. } => format!(" {}.", row.kind.to_string().replacen("a number f", "F", 1)),
        Kind::Text | Kind::Bool | Kind::OneOf(_) => String::new(),
    };
    let default = if default.is_empty() { String::new() } else { format!(" Default: {default}.") };
    format!("{}{bounds}{default}", row.doc)
}

/// Words in lines of at most 100 characters, each after `indent`.
fn wrapped(text: &str, indent: &str) -> String {
    let mut lines = vec![indent.to_owned()];
    for word in text.split_whitespace() {
        if lines.last().unwrap().len() + word.len() > 100 {
            lines.push(indent.to_owned());
        }
        let line = lines.last_mut().unwrap();
        if line.len() > indent.len() {
            line.push(' ');
        }
        line.push_str(word);
    }
    lines.join("\n")
}

/// The book's page of settings.
#[test]
fn page_of_settings() {
    let mut page = String::from(
        "# Settings of the client\n\nEvery builder takes these by key (`set(\"sendMsgTimeout\", \"5000\")`), and most have a \
         method, too. Keys are those of\nJava's classes and system properties. A wrong key is refused with the nearest \
         one, a wrong value with what is allowed.\n\nPython has them as keyword arguments in its own case \
         (`send_msg_timeout=5000`), Node as properties of the options, C\nthrough `fr_config_set`.\n",
    );
    for (table, title, builder) in TITLES {
        let more = if table == "transaction_producer" { " The producer's settings, and:" } else { "" };
        writeln!(page, "\n## {title}\n\n{builder}.{more}\n").unwrap();
        page += "| key | value | default | meaning |\n|---|---|---|---|\n";
        for row in own(table) {
            let default = if row.default.is_empty() { String::new() } else { format!("`{}`", row.default) };
            writeln!(page, "| `{}` | {} | {default} | {} |", row.key, row.kind, row.doc).unwrap();
        }
    }
    holds("docs/src/settings-client.md", &page);
}

/// The book's page of errors.
#[test]
fn page_of_errors() {
    let mut page = String::from(
        "# Errors of the client\n\nEvery error has a kind, a sentence, and where a server answered its code, remark and \
         address. A failed send gives the\nmessages back. The kinds are the same in all languages: `ErrorKind` in Rust, \
         a subclass of `FerrocketError` in Python\nand Node, an `fr_status_t` in C.\n\n\
         | number | kind | try again | meaning |\n|---|---|---|---|\n",
    );
    for kind in ErrorKind::ALL {
        let retryable = match kind.retryable() {
            Some(true) => "yes",
            Some(false) => "no",
            None => "by code",
        };
        writeln!(page, "| {} | `{}` | {retryable} | {} |", kind.number(), kind.name(), kind.doc()).unwrap();
    }
    holds("docs/src/errors-client.md", &page);
}

/// Python's keyword arguments.
#[test]
fn python_settings() {
    let mut module = format!(
        "\"\"\"Settings as keyword arguments, each with its type and default.\n\n{BY_WHOM}\n\"\"\"\n\n\
         from datetime import timedelta\nfrom typing import Literal, TypedDict\n"
    );
    let mut keys: Vec<(String, &str)> = Vec::new();
    for (table, title, _) in &TITLES[..5] {
        let base = if *table == "transaction_producer" { "ProducerSettings" } else { "TypedDict" };
        write!(
            module,
            "\n\nclass {}({base}, total=False):\n    \"\"\"Settings of a {}.\"\"\"\n",
            type_name(table),
            title.to_lowercase()
        )
        .unwrap();
        // The NameServers' address is an argument of its own.
        for row in own(table).into_iter().filter(|row| row.key != "namesrvAddr") {
            let (kind, default) = match row.kind {
                Kind::Bool => {
                    ("bool".to_owned(), if row.default == "true" { "`True`" } else { "`False`" }.to_owned())
                }
                Kind::Int { .. } if is_time(row) => ("int | timedelta".to_owned(), row.default.to_owned()),
                Kind::Int { .. } => ("int".to_owned(), row.default.to_owned()),
                Kind::OneOf(words) => {
                    let words: Vec<String> = words.iter().map(|word| format!("\"{word}\"")).collect();
                    (format!("Literal[{}]", words.join(", ")), format!("`{}`", row.default))
                }
                Kind::Text if row.default.is_empty() => ("str".to_owned(), String::new()),
                Kind::Text => ("str".to_owned(), format!("`{}`", row.default)),
            };
            let name = snake(row.key);
            let words = wrapped(&format!("\"\"\"{}\"\"\"", bounds(row, &default)), "    ");
            let kind = match kind.strip_prefix("Literal[").and_then(|kind| kind.strip_suffix(']')) {
                // Ruff's form of long lines.
                Some(words) if name.len() + kind.len() + 6 > 110 => {
                    format!("Literal[\n        {words}\n    ]")
                }
                _ => kind,
            };
            write!(module, "\n    {name}: {kind}\n{words}\n").unwrap();
            keys.push((name, row.key));
        }
    }
    keys.sort();
    keys.dedup();
    assert!(keys.windows(2).all(|two| two[0].0 != two[1].0), "one name for two keys");
    module += "\n\nKEYS: dict[str, str] = {\n";
    for (name, key) in keys {
        writeln!(module, "    \"{name}\": \"{key}\",").unwrap();
    }
    module += "}\n\"\"\"Java's names.\"\"\"\n";
    holds("bindings/python/python/ferrocket/_settings.py", &module);
}

/// Python's exceptions.
#[test]
fn python_errors() {
    let mut module = format!(
        "\"\"\"Exceptions, one for each kind of error.\n\n{BY_WHOM}\n\"\"\"\n\n\
         from __future__ import annotations\n\nfrom collections.abc import Sequence\n\
         from typing import TYPE_CHECKING, ClassVar\n\nif TYPE_CHECKING:\n    from ferrocket._core import Message\n"
    );
    module += r#"

class FerrocketError(Exception):
    """Anything that went wrong in this package."""

    kind: ClassVar[str] = ""
    """The name of the kind, the same in all languages."""

    code: int | None
    """The server's response code, if a server answered."""

    remark: str | None
    """The server's remark, word for word."""

    addr: str | None
    """The address that was talked to."""

    retryable: bool
    """Whether the same call may succeed later without any change by the caller."""

    unsent: list[Message]
    """The messages of a failed send, as they were handed in.

    After a timeout and a lost connection a broker may have stored them all the same.
    """

    def __init__(
        self,
        text: str = "",
        code: int | None = None,
        remark: str | None = None,
        addr: str | None = None,
        retryable: bool = False,
        unsent: Sequence[Message] = (),
    ) -> None:
        super().__init__(text)
        self.code = code
        self.remark = remark
        self.addr = addr
        self.retryable = retryable
        self.unsent = list(unsent)
"#;
    let class_of = |kind: ErrorKind| match kind {
        // The built-in has the other name.
        ErrorKind::Timeout => "RequestTimeoutError".to_owned(),
        _ => format!("{}Error", kind.name()),
    };
    for kind in ErrorKind::ALL.iter().copied() {
        // What programs catch already.
        let also = match kind {
            ErrorKind::Timeout => ", TimeoutError",
            ErrorKind::Connect => ", ConnectionError",
            ErrorKind::Config | ErrorKind::InvalidMessage => ", ValueError",
            ErrorKind::Io => ", OSError",
            _ => "",
        };
        write!(
            module,
            "\n\nclass {}(FerrocketError{also}):\n{}\n\n    kind = \"{}\"\n",
            class_of(kind),
            wrapped(&format!("\"\"\"{}\"\"\"", kind.doc()), "    "),
            kind.name(),
        )
        .unwrap();
    }
    module += "\n\nBY_KIND: dict[str, type[FerrocketError]] = {\n";
    for kind in ErrorKind::ALL {
        writeln!(module, "    \"{}\": {},", kind.name(), class_of(*kind)).unwrap();
    }
    module += "}\n\"\"\"The exceptions by the names of their kinds.\"\"\"\n\n__all__ = [\n";
    let mut all: Vec<String> = ErrorKind::ALL.iter().map(|kind| class_of(*kind)).collect();
    all.extend(["BY_KIND".to_owned(), "FerrocketError".to_owned()]);
    all.sort();
    for name in all {
        writeln!(module, "    \"{name}\",").unwrap();
    }
    module += "]\n";
    holds("bindings/python/python/ferrocket/_errors.py", &module);
}

/// Node's options.
#[test]
fn node_settings() {
    let mut module = format!("// Settings as properties, each with its type and default.\n// {BY_WHOM}\n");
    for (table, title, _) in &TITLES[..5] {
        let base = if *table == "transaction_producer" { " extends ProducerSettings" } else { "" };
        write!(
            module,
            "\n/** Settings of a {}. */\nexport interface {}{base} {{\n",
            title.to_lowercase(),
            type_name(table)
        )
        .unwrap();
        for row in own(table) {
            let (kind, default) = match row.kind {
                Kind::Bool => ("boolean".to_owned(), format!("`{}`", row.default)),
                Kind::Int { .. } => ("number".to_owned(), row.default.to_owned()),
                Kind::OneOf(words) => {
                    let words: Vec<String> = words.iter().map(|word| format!("'{word}'")).collect();
                    (words.join(" | "), format!("`{}`", row.default))
                }
                Kind::Text if row.key == "consumeTimestamp" => {
                    ("string | number | Date".to_owned(), String::new())
                }
                Kind::Text if row.default.is_empty() => ("string".to_owned(), String::new()),
                Kind::Text => ("string".to_owned(), format!("`{}`", row.default)),
            };
            let words = bounds(row, &default).replace("*/", "*\\/");
            let words = wrapped(&words, "   * ");
            let name = if row.key.contains('.') { format!("'{}'", row.key) } else { row.key.to_owned() };
            write!(module, "  /**\n{words}\n   */\n  {name}?: {kind} | undefined;\n").unwrap();
        }
        module += "}\n";
    }
    holds("bindings/node/src/settings.ts", &module);
}

/// Node's kinds of errors.
#[test]
fn node_errors() {
    let mut module =
        format!("// The kinds of errors.\n// {BY_WHOM}\n\n/**\n * What kind of fault an error is.\n *\n");
    for kind in ErrorKind::ALL {
        let words = wrapped(&format!("- `{}`: {}", kind.name(), kind.doc()), " * ");
        writeln!(module, "{words}").unwrap();
    }
    module += " */\nexport type ErrorKind =\n";
    for (at, kind) in ErrorKind::ALL.iter().enumerate() {
        let end = if at + 1 == ErrorKind::ALL.len() { ";" } else { "" };
        writeln!(module, "  | '{}'{end}", kind.name()).unwrap();
    }
    module += "\n/** Whether another try may help; of answers of brokers the code decides. @internal */\n";
    module += "export const ERROR_KINDS: Record<ErrorKind, { retryable: boolean }> = {\n";
    for kind in ErrorKind::ALL {
        writeln!(module, "  {}: {{ retryable: {} }},", kind.name(), kind.retryable().unwrap_or(false))
            .unwrap();
    }
    module += "};\n";
    holds("bindings/node/src/error-kinds.ts", &module);
}
