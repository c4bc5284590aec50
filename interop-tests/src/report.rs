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
    /// How many scenarios passed.
    pub passed: usize,
    /// What failed, and why.
    pub failed: Vec<(Scenario, String)>,
}

impl Outcome {
    fn word(&self) -> String {
        let all = self.passed + self.failed.len();
        if self.failed.is_empty() {
            format!("ok ({all})")
        } else {
            format!("FAIL {}/{all}", self.failed.len())
        }
    }
}

/// The table as Markdown, with the failures and what clients cannot do below it.
pub fn table(outcomes: &[Outcome]) -> String {
    let mut text = String::from("| NameServer / Broker |");
    for client in Client::ALL {
        let _ = write!(text, " {} |", client.label());
    }
    text.push_str("\n|---|");
    text.push_str(&"---|".repeat(Client::ALL.len()));
    for namesrv in Server::ALL {
        for broker in Server::ALL {
            let row = |o: &&Outcome| o.cell.namesrv == namesrv && o.cell.broker == broker;
            if !outcomes.iter().any(|o| row(&o)) {
                continue;
            }
            let _ = write!(text, "\n| {} / {} |", namesrv.label(), broker.label());
            for client in Client::ALL {
                let cell = outcomes.iter().filter(row).find(|o| o.cell.client == client);
                let _ = write!(text, " {} |", cell.map_or("n.a.".into(), Outcome::word));
            }
        }
    }
    text.push('\n');
    for outcome in outcomes {
        for (scenario, why) in &outcome.failed {
            let _ = write!(text, "\n- FAIL {}: {}: {why}", outcome.cell.label(), scenario.label());
        }
    }
    let present: BTreeSet<Client> = outcomes.iter().map(|o| o.cell.client).collect();
    for client in present {
        for scenario in Scenario::ALL {
            if let Some(why) = client.lacks(scenario) {
                let _ = write!(text, "\n- Left out: {}, {}: {why}", client.label(), scenario.label());
            }
        }
    }
    text.push('\n');
    text
}

/// A page with the table, the date and the scenarios.
pub fn page(outcomes: &[Outcome], now: SystemTime) -> String {
    let scenarios = Scenario::ALL.map(Scenario::label).join(", ");
    format!(
        "# Compatibility matrix\n\nRun on {}, Ferrocket {}. Each cell plays up to {} scenarios ({scenarios}) on \
         real processes and accounts for every message by content; the number in brackets is how many it \
         played. `n.a.`: not part of this run.\n\n{}",
        date(now),
        env!("CARGO_PKG_VERSION"),
        Scenario::ALL.len(),
        table(outcomes)
    )
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
        let text = table(&[Outcome { cell, passed: 11, failed }]);
        assert!(text.contains("| ours / Java 4.9.7 | n.a. | n.a. | n.a. | FAIL 1/12 | n.a. | n.a. |"));
        assert!(text.contains("- FAIL ours / Java 4.9.7 / Go 2.1.2: retry: 1 lost: r-3"));
    }
}
