//! Java 4.9.7 and ours answer the same bytes alike, but for what `docs/src/deviations.md` lists; every row of that
//! list is still true. What only 5.x asks for is answered as Java 5.3.3 does. `FERROCKET_ANSWERS=FILE` writes down
//! every difference, with Java 5.3.3's answer.

use std::fmt::Write as _;

use ferrocket_interop_tests::cluster::Cluster;
use ferrocket_interop_tests::differential::answer::Answer;
use ferrocket_interop_tests::differential::deviations::{Ours, Page, matches};
use ferrocket_interop_tests::differential::{cases, play};
use ferrocket_interop_tests::matrix::Server;
use ferrocket_interop_tests::setup::Workshop;

type Answers = Vec<(String, Answer)>;

fn answers(server: Server) -> Result<Answers, String> {
    let workshop = Workshop::find()?;
    let folder = tempfile::tempdir().map_err(|e| e.to_string())?;
    let cluster = Cluster::start(&workshop, server, server, folder.path())?;
    play(&cluster, &cases::all()).map_err(|fault| format!("{server:?}: {fault}"))
}

#[test]
fn answers_as_java_does() {
    let [java49, java53, ours] = [Server::Java49, Server::Java53, Server::Ours]
        .map(|server| std::thread::spawn(move || answers(server)))
        .map(|player| player.join().expect("a player panicked").unwrap());
    let workshop = Workshop::find().unwrap();
    let file = workshop.peers.join("../../docs/src/deviations.md");
    let page = Page::parse(&std::fs::read_to_string(&file).unwrap()).unwrap();
    // Which parts of each row were seen to differ.
    let mut seen: Vec<Vec<&str>> = vec![Vec::new(); page.kept.len()];
    let (mut faults, mut report) = (String::new(), String::new());
    for (((case, java), (_, newer)), (_, ours)) in java49.iter().zip(&java53).zip(&ours) {
        let code = case.split(' ').next().unwrap_or_default();
        let java = if cases::OF_5.contains(&code) { newer } else { java };
        let differs = ours.differs(java, code);
        if differs.is_empty() {
            continue;
        }
        let _ = writeln!(
            report,
            "{case}: {}\n  Java:  {java:#}\n  5.3.3: {newer:#}\n  ours:  {ours:#}",
            differs.join(", ")
        );
        if ours.code == "3" && code.parse().is_ok_and(|code| page.not_yet.contains(&code)) {
            continue;
        }
        let said = format!("{} {}", ours.code, ours.remark);
        for part in differs {
            let rows = page.kept.iter().enumerate().filter(|(_, row)| {
                row.cases.iter().any(|pattern| matches(pattern, case))
                    && row.parts.iter().any(|listed| listed == part)
                    && match &row.ours {
                        Ours::Any => true,
                        Ours::AsJava53 => ours.part(part) == newer.part(part),
                        Ours::Like(pattern) => matches(pattern, &said),
                    }
            });
            let rows: Vec<usize> = rows.map(|(at, _)| at).collect();
            if rows.is_empty() {
                let _ = writeln!(
                    faults,
                    "{case}: {part} differs\n  Java:  {java}\n  5.3.3: {newer}\n  ours:  {ours}"
                );
            }
            rows.iter().for_each(|at| seen[*at].push(part));
        }
    }
    for (row, seen) in page.kept.iter().zip(&seen) {
        for part in row.parts.iter().filter(|part| !seen.contains(&part.as_str())) {
            let _ = writeln!(faults, "deviations.md: {:?} no longer differ in {part}", row.cases);
        }
    }
    if let Some(file) = std::env::var_os("FERROCKET_ANSWERS") {
        std::fs::write(file, report).unwrap();
    }
    println!("{} cases", java49.len());
    assert!(faults.is_empty(), "\n{faults}");
}
