//! Access control: a Broker with accounts, and what those with and without a right get done.

use super::{Names, Scenario, verdict};
use crate::peer::Client;
use crate::play::Play;

const ADMIN: [(&str, &str); 2] = [("access-key", "administrator"), ("secret-key", "12345678")];
const USER: [(&str, &str); 2] = [("access-key", "somebody"), ("secret-key", "87654321")];
const WRONG: [(&str, &str); 2] = [("access-key", "somebody"), ("secret-key", "87654322")];

/// The accounts' file. Each client's topic and group are open to the account `somebody`; of the topics beside it one
/// may not be sent to, one not be consumed.
pub fn accounts() -> String {
    let label = Scenario::Acl.label();
    let names: Vec<String> = Client::ALL.iter().map(|client| format!("{}-{label}", client.word())).collect();
    let rows = |of: &dyn Fn(&String) -> String| names.iter().map(of).collect::<String>();
    let topics = rows(&|name| {
        format!(
            "  - it-{name}=PUB|SUB\n  - it-{name}-closed=SUB\n  - it-{name}-secret=PUB\n  - it-{name}-wrong=PUB|SUB\n"
        )
    });
    let groups = rows(&|name| format!("  - g-{name}=SUB\n  - g-{name}-secret=SUB\n  - g-{name}-wrong=SUB\n"));
    format!(
        "accounts:\n\
         - accessKey: administrator\n  secretKey: \"12345678\"\n  admin: true\n\
         - accessKey: somebody\n  secretKey: \"87654321\"\n  admin: false\n  defaultTopicPerm: DENY\n  \
         defaultGroupPerm: DENY\n  topicPerms:\n{topics}  groupPerms:\n{groups}"
    )
}

pub(super) fn play_rights(mut play: Play<'_>, names: &Names) -> Result<(), String> {
    let Names { topic, group } = names;
    let beside = |side: &str| (format!("{topic}-{side}"), format!("{group}-{side}"));
    let ((closed, _), (secret, secret_group), (wrong, wrong_group)) =
        (beside("closed"), beside("secret"), beside("wrong"));
    for topic in [topic, &closed, &secret, &wrong] {
        let options = [("topic", topic.as_str()), ADMIN[0], ADMIN[1]];
        play.admin("create-topic", &options)?;
        play.wait_route(topic)?;
    }
    let denied = format!("{topic}-denied");
    for keys in [USER.as_slice(), &WRONG, &[]] {
        let options = [&[("topic", denied.as_str())], keys].concat();
        let failure = play.admin_refused("create-topic", &options)?;
        if !failure.contains("AclException") {
            return Err(format!("administration was refused for another reason: {failure}"));
        }
    }
    play.send_with(topic, "sync", "m", 16, &USER)?;
    play.send_with(&wrong, "sync", "wrong", 4, &USER)?;
    play.send_with(&secret, "sync", "secret", 4, &USER)?;
    play.send_refused(topic, "sync", "wrong-secret", 1, &WRONG)?;
    play.send_refused(topic, "sync", "no-key", 1, &[])?;
    play.send_refused(&closed, "sync", "closed", 1, &USER)?;
    // First those that must get nothing, so that they have had their time when the other is done.
    let outsiders = [
        play.start_outsider(&wrong, &wrong_group, &WRONG)?,
        play.start_outsider(&secret, &secret_group, &USER)?,
    ];
    let consumer = play.start_consumer(topic, group, &USER)?;
    let counts = |body: &str| body.starts_with("m-");
    play.pump("all received", |play| play.ledger.missing(Some(consumer), counts).is_empty())?;
    play.send_with(topic, "sync", "m-late", 16, &USER)?;
    play.pump("late ones received", |play| play.ledger.missing(Some(consumer), counts).is_empty())?;
    play.stop(consumer)?;
    // Of other topics.
    play.ledger.forget_places(|body| !counts(body));
    let mut faults = play.ledger.send_faults();
    for outsider in outsiders {
        play.stop(outsider)?;
        faults.extend(play.ledger.bodies(Some(outsider)).iter().map(|body| format!("{body} was delivered")));
    }
    faults.extend(crate::ledger::named("repeated", &play.ledger.repeated(|_| true)));
    faults.extend(crate::ledger::named("unexpected", &play.ledger.unexpected(counts)));
    if play.stage.cluster.knows(&denied)? {
        faults.push(format!("{denied} was made"));
    }
    verdict(faults)
}
