//! The compatibility matrix: its cells and the selections of them worth running.

use std::collections::BTreeSet;

use crate::peer::Client;
use crate::scenario::Scenario;

/// Whose server.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Server {
    /// Ferrocket.
    Ours,
    /// Apache RocketMQ 4.9.7.
    Java49,
    /// Apache RocketMQ 5.3.3.
    Java53,
}

impl Server {
    /// All three, in table order.
    pub const ALL: [Self; 3] = [Self::Ours, Self::Java49, Self::Java53];

    /// The name in tables and on the command line.
    pub fn label(self) -> &'static str {
        match self {
            Self::Ours => "ours",
            Self::Java49 => "Java 4.9.7",
            Self::Java53 => "Java 5.3.3",
        }
    }
}

/// One combination to test.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Cell {
    /// The NameServer.
    pub namesrv: Server,
    /// The Broker.
    pub broker: Server,
    /// The producers and consumers.
    pub client: Client,
}

impl Cell {
    /// `NameServer / Broker / client`, what `--only` looks into.
    pub fn label(self) -> String {
        format!("{} / {} / {}", self.namesrv.label(), self.broker.label(), self.client.label())
    }

    /// Why `scenario` cannot be played here; `None` if it can. With [`Client::lacks`] the only place
    /// where a scenario is left out.
    pub fn lacks(self, scenario: Scenario) -> Option<&'static str> {
        // See `Cluster::may_lose_topics`: a client's topic is made again until it is heard of, this one cannot be.
        if (self.namesrv, self.broker) == (Server::Java49, Server::Java53)
            && matches!(scenario, Scenario::Park | Scenario::Unit)
        {
            return Some("a 4.9.7 NameServer may not hear of the topic that a 5.3.3 Broker makes");
        }
        match (self.broker, self.client, scenario) {
            (Server::Java53, Client::Cpp, Scenario::DeadLetter) => Some(
                "5.3.3 fails (NullPointerException) on a message sent back for the last time without the name \
                 of its topic, which this library leaves out",
            ),
            (Server::Java49, Client::Java53, Scenario::LitePull) => {
                Some("4.9.7 does not know request 361, with which this client pulls")
            }
            (Server::Java53, _, Scenario::Acl) => {
                Some("5.3.3 has another access control, which is not part of 4.9")
            }
            _ => self.client.lacks(scenario),
        }
    }

    fn has_ours(self) -> bool {
        self.namesrv == Server::Ours || self.broker == Server::Ours || self.client.is_ours()
    }

    fn pairs(self) -> [Pair; 3] {
        [
            Pair::Servers(self.namesrv, self.broker),
            Pair::AtBroker(self.broker, self.client),
            Pair::AtNamesrv(self.namesrv, self.client),
        ]
    }
}

/// Two parts that meet in a cell.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Pair {
    Servers(Server, Server),
    AtBroker(Server, Client),
    AtNamesrv(Server, Client),
}

/// Every cell, those without anything of ours included.
fn everything() -> Vec<Cell> {
    let mut cells = Vec::new();
    for namesrv in Server::ALL {
        for broker in Server::ALL {
            cells.extend(Client::ALL.iter().map(|&client| Cell { namesrv, broker, client }));
        }
    }
    cells
}

/// Every cell in which something is ours.
pub fn full() -> Vec<Cell> {
    everything().into_iter().filter(|cell| cell.has_ours()).collect()
}

/// Java servers and foreign clients only: proves the harness, not the product.
pub fn java_only() -> Vec<Cell> {
    everything().into_iter().filter(|cell| !cell.has_ours()).collect()
}

/// A small selection in which every pair of parts meets, and every client meets both our servers
/// together. Greedy: take the cell that adds most pairs, until all of [`full`] are seen.
pub fn covering() -> Vec<Cell> {
    let all = full();
    let ours = |cell: &&Cell| cell.namesrv == Server::Ours && cell.broker == Server::Ours;
    let mut chosen: Vec<Cell> = all.iter().filter(ours).copied().collect();
    let mut open: BTreeSet<Pair> = all.iter().flat_map(|cell| cell.pairs()).collect();
    for cell in &chosen {
        open.retain(|pair| !cell.pairs().contains(pair));
    }
    while !open.is_empty() {
        let gain = |cell: &Cell| cell.pairs().iter().filter(|pair| open.contains(pair)).count();
        // Of equals the first in table order, for a stable selection.
        let best = all.iter().rev().copied().max_by_key(gain).expect("the matrix has cells");
        open.retain(|pair| !best.pairs().contains(pair));
        chosen.push(best);
    }
    chosen.sort();
    chosen
}

/// The cells in which a scenario of Broker and client alone is played: one for each such pair.
pub fn one_per_broker(cells: &[Cell]) -> BTreeSet<Cell> {
    let mut cells = cells.to_vec();
    cells.sort();
    let mut seen = BTreeSet::new();
    cells.into_iter().filter(|cell| seen.insert((cell.broker, cell.client))).collect()
}

/// Cells that can share a NameServer and a Broker, in order.
pub fn grouped(cells: &[Cell]) -> Vec<Vec<Cell>> {
    let mut cells = cells.to_vec();
    cells.sort();
    cells.chunk_by(|a, b| (a.namesrv, a.broker) == (b.namesrv, b.broker)).map(<[Cell]>::to_vec).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// How many clients are not ours.
    const FOREIGN: usize = 5;

    /// The whole matrix is 3 x 3 pairs of servers; foreign clients on four Java pairs are nobody's business.
    #[test]
    fn full_leaves_out_what_has_nothing_of_ours() {
        assert_eq!(Client::ALL.iter().filter(|client| !client.is_ours()).count(), FOREIGN);
        assert_eq!(full().len(), 9 * Client::ALL.len() - 4 * FOREIGN);
        assert_eq!(java_only().len(), 4 * FOREIGN);
        assert!(full().iter().all(|cell| cell.has_ours()));
    }

    /// Every pair of parts meets, every client meets both our servers, and no cell is superfluous.
    #[test]
    fn covering_covers_every_pair() {
        let chosen = covering();
        let met: BTreeSet<Pair> = chosen.iter().flat_map(|cell| cell.pairs()).collect();
        assert!(full().iter().flat_map(|cell| cell.pairs()).all(|pair| met.contains(&pair)));
        for &client in Client::ALL {
            assert!(chosen.contains(&Cell { namesrv: Server::Ours, broker: Server::Ours, client }));
        }
        // Beside both our servers together, a foreign client needs four cells to meet the other four servers; of
        // our own, two each, and the cells of one of them have every pair of servers.
        let ours = Client::ALL.len() - FOREIGN;
        assert_eq!(chosen.len(), Client::ALL.len() + 4 * FOREIGN + 2 * (ours - 1) + 4);
    }

    /// Every pair of Broker and client is met once.
    #[test]
    fn brokers_meet_each_client_once() {
        let chosen = one_per_broker(&covering());
        let pairs: BTreeSet<_> = chosen.iter().map(|cell| (cell.broker, cell.client)).collect();
        assert_eq!((chosen.len(), pairs.len()), (3 * Client::ALL.len(), 3 * Client::ALL.len()));
    }

    /// Groups keep all cells and never mix servers.
    #[test]
    fn groups_share_their_servers() {
        let groups = grouped(&covering());
        assert_eq!(groups.len(), 9);
        assert_eq!(groups.iter().map(Vec::len).sum::<usize>(), covering().len());
    }
}
