//! The table of requests: complete, and the source of its page in the book.

use std::fmt::Write;
use std::path::Path;

use ferrocket_protocol::RequestCode;
use ferrocket_protocol::requests::{Field, Lane, Permission, Receiver};

/// Every request of 4.9.8 and 5.3.3 has its row.
#[test]
fn table_is_complete() {
    let rows = crate::vectors::csv_rows(include_str!("../../testdata/request_codes.csv"));
    assert_eq!(rows.len(), RequestCode::ALL.len());
    for row in rows {
        let code = RequestCode::from_code(row[1].parse().unwrap());
        assert_eq!(code.map(RequestCode::name), Some(row[0].as_str()));
    }
}

/// The page in the book is what the table says. With `FERROCKET_WRITE_DOCS=1` it is written anew.
#[test]
fn page_is_current() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/src/requests.md");
    let page = page();
    if std::env::var_os("FERROCKET_WRITE_DOCS").is_some() {
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(&path, &page).unwrap();
    }
    let written = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(written == page, "docs/src/requests.md is stale: run the tests with FERROCKET_WRITE_DOCS=1");
}

fn page() -> String {
    let mut page = String::from(
        "# Requests\n\n\
         Every request code of Apache RocketMQ 4.9.8 and 5.3.3, from the table in `protocol/src/requests.rs`; a test\n\
         keeps this page equal to it. A field with `?` may be absent. The permission is the right that a caller\n\
         needs once access control is on; requests to clients come from their broker and need none.\n",
    );
    for (receiver, title, intro) in [
        (Receiver::NameServer, "Requests to the NameServer", ""),
        (
            Receiver::Broker,
            "Requests to the Broker",
            "`SEND_MESSAGE_V2`, `SEND_BATCH_MESSAGE` and `SEND_REPLY_MESSAGE_V2` carry their fields under the names\n\
             `a` to `k`, `m` and `l`, in the order given here.\n\n",
        ),
        (Receiver::Client, "Requests from the Broker to a client", ""),
        (
            Receiver::BrokerAndClient,
            "Requests that the Broker relays to a client",
            "The client named by `clientId` gets the same request and its answer goes back.\n\n",
        ),
        (
            Receiver::Elsewhere,
            "Requests to other processes",
            "To the controller and the broker container of 5.x; answered with code 3 here.\n\n",
        ),
        (
            Receiver::Nobody,
            "Numbers without use",
            "Java has the constant, but nothing that sends or answers it.\n\n",
        ),
    ] {
        let _ = write!(page, "\n## {title}\n\n{intro}");
        if receiver == Receiver::Nobody {
            page += "| code | request |\n|---|---|\n";
        } else {
            page += "| code | request | lane | permission | fields | fields of the answer |\n|---|---|---|---|---|---|\n";
        }
        for row in RequestCode::ALL.iter().filter(|row| row.receiver() == receiver) {
            let (code, name) = (row.code(), row.name());
            if receiver == Receiver::Nobody {
                let _ = writeln!(page, "| {code} | `{name}` |");
                continue;
            }
            let _ = writeln!(
                page,
                "| {code} | `{name}` | {} | {} | {} | {} |",
                lane(row.lane()),
                permission(row.permission()),
                fields(row.header_fields()),
                fields(row.reply_fields())
            );
        }
    }
    page
}

fn lane(lane: Lane) -> String {
    if lane == Lane::Nowhere { "–".to_owned() } else { format!("{lane:?}").to_lowercase() }
}

fn permission(permission: Permission) -> &'static str {
    match permission {
        Permission::Pub => "publish",
        Permission::Sub => "subscribe",
        Permission::Client => "client",
        Permission::Route => "route",
        Permission::Broker => "broker",
        Permission::Admin => "admin",
        Permission::Nobody => "–",
    }
}

fn fields(fields: &[Field]) -> String {
    let texts: Vec<_> = fields
        .iter()
        .map(|field| format!("`{}`{} {}", field.name, if field.required { "" } else { "?" }, field.kind))
        .collect();
    if texts.is_empty() { "–".to_owned() } else { texts.join(", ") }
}
