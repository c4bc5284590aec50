//! The book's pages of settings are written from the tables that the servers obey.

use ferrocket_broker::BrokerSettings;
use ferrocket_namesrv::NamesrvSettings;
use ferrocket_protocol::settings::{Setting, Settings};

const NONE: &str = "## Settings without effect\n\n\
                    A file of Java's starts unchanged: these keys are accepted, each with a line of the log at start, and\n\
                    named in the answer to a change at runtime.\n\n\
                    | keys | why |\n|---|---|";
const HOW: &str = "A file given with `-c` has lines `key=value`. Keys marked *restart* are read at start only. The others can also be\n\
                   changed while the server runs, with Java's `mqadmin`:";

fn page(
    name: &str,
    title: &str,
    how: &str,
    table: &'static [Setting],
    without_effect: impl Iterator<Item = (&'static str, Vec<&'static str>)>,
) {
    let mut text = format!("# {title}\n\n{HOW}\n{how}\n\n{}\n{NONE}\n", Settings::docs_table(table));
    for (why, keys) in without_effect {
        let keys: Vec<String> = keys.iter().map(|key| format!("`{key}`")).collect();
        text += &format!("| {} | {why} |\n", keys.join(", "));
    }
    let path = format!("{}/../../docs/src/{name}.md", env!("CARGO_MANIFEST_DIR"));
    if std::env::var_os("FERROCKET_WRITE_DOCS").is_some() {
        std::fs::write(&path, &text).unwrap();
    }
    let written = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(written == text, "docs/src/{name}.md is out of date: run the tests with FERROCKET_WRITE_DOCS=1");
    let summary = format!("{}/../../docs/src/SUMMARY.md", env!("CARGO_MANIFEST_DIR"));
    assert!(
        std::fs::read_to_string(summary).unwrap().contains(&format!("({name}.md)")),
        "{name} is not linked"
    );
}

/// The Broker's page.
#[test]
fn broker_page() {
    page(
        "settings-broker",
        "Settings of the Broker",
        "`updateBrokerConfig` saves its changes into that file; without one they hold until the next start.",
        BrokerSettings::table(),
        BrokerSettings::without_effect(),
    );
}

/// The NameServer's page.
#[test]
fn namesrv_page() {
    page(
        "settings-namesrv",
        "Settings of the NameServer",
        "`updateNamesrvConfig` saves its changes into that file.",
        NamesrvSettings::table(),
        NamesrvSettings::without_effect(),
    );
}
