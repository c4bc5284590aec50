//! What came of a run, as a table: rows NameServer / Broker, columns clients.

use std::collections::BTreeSet;
use std::fmt::Write;
use std::time::SystemTime;

use crate::matrix::{Cell, Server};
use crate::peer::Client;
use crate::scenario::Scenario;

/// What came of one cell.
#[derive(Debug)]
pub struct Outcome {
    /// The combination.
    pub cell: Cell,
    /// What passed.
    pub passed: Vec<Scenario>,
    /// What failed, and why.
    pub failed: Vec<(Scenario, String)>,
}

impl Outcome {
    fn word(&self) -> String {
        let all = self.passed.len() + self.failed.len();
        if self.failed.is_empty() {
            format!("ok ({all})")
        } else {
            format!("FAIL {}/{all}", self.failed.len())
        }
    }
}

/// Both tables as Markdown, with the failures and what cannot be played below them.
pub fn table(outcomes: &[Outcome]) -> String {
    let mut text = heading("NameServer / Broker");
    for namesrv in Server::ALL {
        for broker in Server::ALL {
            let row = |o: &&Outcome| o.cell.namesrv == namesrv && o.cell.broker == broker;
            if !outcomes.iter().any(|o| row(&o)) {
                continue;
            }
            let _ = write!(text, "\n| {} / {} |", namesrv.label(), broker.label());
            for &client in Client::ALL {
                let cell = outcomes.iter().filter(row).find(|o| o.cell.client == client);
                let _ = write!(text, " {} |", cell.map_or("n.a.".into(), Outcome::word));
            }
        }
    }
    text.push_str("\n\n");
    text.push_str(&heading("Scenario"));
    for scenario in Scenario::ALL {
        let _ = write!(text, "\n| {} |", scenario.label());
        for &client in Client::ALL {
            let _ = write!(text, " {} |", scenario_word(outcomes, client, scenario));
        }
    }
    text.push('\n');
    for outcome in outcomes {
        for (scenario, why) in &outcome.failed {
            let _ = write!(text, "\n- FAIL {}: {}: {why}", outcome.cell.label(), scenario.label());
        }
    }
    for line in left_out(outcomes) {
        let _ = write!(text, "\n- {line}");
    }
    text.push('\n');
    text
}

fn heading(first: &str) -> String {
    let mut text = format!("| {first} |");
    for &client in Client::ALL {
        let _ = write!(text, " {} |", client.label());
    }
    format!("{text}\n|---|{}", "---|".repeat(Client::ALL.len()))
}

/// In how many cells of `client` a scenario passed; `—` where the client cannot play it at all.
fn scenario_word(outcomes: &[Outcome], client: Client, scenario: Scenario) -> String {
    if client.lacks(scenario).is_some() {
        return "—".into();
    }
    let cells = outcomes.iter().filter(|o| o.cell.client == client);
    let (mut passed, mut failed) = (0, 0);
    for outcome in cells {
        passed += usize::from(outcome.passed.contains(&scenario));
        failed += usize::from(outcome.failed.iter().any(|(one, _)| *one == scenario));
    }
    match (passed, failed) {
        (0, 0) => "n.a.".into(),
        (_, 0) => format!("ok ({passed})"),
        _ => format!("FAIL {failed}/{}", passed + failed),
    }
}

/// What the clients of this run cannot play, and why: with no server, or with one Broker.
fn left_out(outcomes: &[Outcome]) -> Vec<String> {
    let clients: BTreeSet<Client> = outcomes.iter().map(|o| o.cell.client).collect();
    let mut lines = Vec::new();
    for scenario in Scenario::ALL {
        for client in &clients {
            let (name, what) = (client.label(), scenario.label());
            if let Some(why) = client.lacks(scenario) {
                lines.push(format!("Left out: {name}, {what}: {why}"));
                continue;
            }
            let cells = outcomes.iter().map(|o| o.cell).filter(|cell| cell.client == *client);
            let cells = cells.filter_map(|cell| Some((cell.broker, cell.lacks(scenario)?)));
            for (broker, why) in cells.collect::<BTreeSet<_>>() {
                lines.push(format!("Left out: {name} at Broker {}, {what}: {why}", broker.label()));
            }
        }
    }
    lines
}

/// A page with the tables, the date, the scenarios and what ran the peers.
pub fn page(outcomes: &[Outcome], now: SystemTime, tools: &[String]) -> String {
    let mut text = format!(
        "# Compatibility matrix\n\n\
         Real servers, real client libraries, every message accounted for by content. Run on {}, Ferrocket {}. \
         `cargo xtask interop --all` writes this page; without `--all` it plays a part in which every pair of \
         NameServer, Broker and client meets, and from `batch-limits` on, where the NameServer makes no difference, \
         every pair of Broker and client once.\n\n\
         The first table has the combinations, with the number of scenarios played; the second the scenarios, \
         with the number of combinations. `n.a.`: not part of this run, or nothing of ours is in it. `—`: the \
         client library cannot do it, for the reason below.\n\n\
         Servers and clients are the versions named in the tables, on {}.\n\n{}\n## The scenarios\n\n",
        date(now),
        env!("CARGO_PKG_VERSION"),
        tools.join(", "),
        table(outcomes)
    );
    for scenario in Scenario::ALL {
        let _ = writeln!(text, "- {}: {}", scenario.label(), scenario.about());
    }
    text
}

/// `YYYY-MM-DD` in UTC (civil-from-days after Howard Hinnant).
fn date(now: SystemTime) -> String {
    let seconds = now.duration_since(SystemTime::UNIX_EPOCH).map_or(0, |since| since.as_secs());
    let days = (seconds / 86_400) as i64 + 719_468;
    let era = days / 146_097;
    let day_of_era = days % 146_097;
    let year_of_era = (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * shifted + 2) / 5 + 1;
    let month = if shifted < 10 { shifted + 3 } else { shifted - 9 };
    let year = year_of_era + era * 400 + i64::from(month <= 2);
    format!("{year:04}-{month:02}-{day:02}")
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    /// Known days.
    #[test]
    fn dates() {
        let day = |days: u64| date(SystemTime::UNIX_EPOCH + Duration::from_secs(days * 86_400));
        assert_eq!(day(0), "1970-01-01");
        assert_eq!(day(19_782), "2024-02-29");
        assert_eq!(day(20_819), "2027-01-01");
    }

    /// A failure shows in its cell and is explained below; a cell not run is n.a.
    #[test]
    fn failures_are_listed() {
        let cell = Cell { namesrv: Server::Ours, broker: Server::Java49, client: Client::Go };
        let failed = vec![(Scenario::Retry, "1 lost: r-3".to_owned())];
        let passed: Vec<_> = Scenario::ALL.into_iter().filter(|s| *s != Scenario::Retry).collect();
        let text = table(&[Outcome { cell, passed, failed }]);
        let row =
            Client::ALL.iter().map(|client| if *client == Client::Go { " FAIL 1/29 |" } else { " n.a. |" });
        assert!(text.contains(&format!("| ours / Java 4.9.7 |{}", row.collect::<String>())));
        assert!(text.contains("- FAIL ours / Java 4.9.7 / Go 2.1.2: retry: 1 lost: r-3"));
    }
}
