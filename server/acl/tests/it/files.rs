//! Accounts in their files: read, read again, changed.

use std::path::PathBuf;

use ferrocket_acl::{Access, AccountRow};
use ferrocket_protocol::RemotingCommand;
use ferrocket_protocol::RequestCode;
use ferrocket_protocol::acl::Credentials;
use ferrocket_protocol::requests::Empty;
use tempfile::TempDir;

/// As Java ships it, but for the addresses.
const JAVAS: &str = "\
globalWhiteRemoteAddresses:
  - 10.10.103.*
  - 192.168.0.*

accounts:
  - accessKey: RocketMQ
    secretKey: 12345678
    whiteRemoteAddress:
    admin: false
    defaultTopicPerm: DENY
    defaultGroupPerm: SUB
    topicPerms:
      - topicA=DENY
      - topicB=PUB|SUB
      - topicC=SUB
    groupPerms:
      # the group should convert to retry topic
      - groupA=DENY
      - groupB=PUB|SUB
      - groupC=SUB

  - accessKey: rocketmq2
    secretKey: 12345678
    whiteRemoteAddress: 192.168.1.*
    # if it is admin, it could access all resources
    admin: true
";

struct Home(TempDir);

impl Home {
    fn new() -> Self {
        let home = Self(tempfile::tempdir().unwrap());
        home.write("plain_acl.yml", JAVAS);
        home
    }

    fn file(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn write(&self, name: &str, text: &str) {
        let path = self.file(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
    }

    fn open(&self) -> Result<Access, String> {
        Access::open(&self.file("plain_acl.yml"))
    }
}

/// Whether an account is known with this secret.
fn knows(access: &Access, key: &str, secret: &str) -> bool {
    let mut request = RemotingCommand::request(RequestCode::GetBrokerClusterInfo, &Empty);
    Credentials::new(key.to_owned(), secret.to_owned()).sign(&mut request);
    access.check(&request, [1, 2, 3, 4].into()).is_ok()
}

fn row(key: &str, secret: &str) -> AccountRow {
    AccountRow { access_key: Some(key.into()), secret_key: Some(secret.into()), ..AccountRow::default() }
}

/// Java's own file and the folder beside it; of two accounts of one name the folder's counts.
#[test]
fn reads_javas_files() {
    let home = Home::new();
    home.write("acl/more/team.yaml", "accounts:\n- {accessKey: team-one, secretKey: abcdefgh, admin: yes}\n");
    home.write("acl/z.yml", "accounts:\n- accessKey: rocketmq2\n  secretKey: '00001111'\n");
    home.write("acl/empty.yml", "");
    home.write("acl/notes.txt", "accounts: 1");
    let access = home.open().unwrap();
    assert!(knows(&access, "RocketMQ", "12345678") && knows(&access, "team-one", "abcdefgh"));
    assert!(knows(&access, "rocketmq2", "00001111") && !knows(&access, "rocketmq2", "12345678"));
    assert_eq!((access.version().counter, access.versions().len()), (0, 4));
    let shown = access.masked();
    assert_eq!(shown.global_white_addrs, ["10.10.103.*", "192.168.0.*"]);
    assert_eq!(shown.plain_access_configs.len(), 3);
    assert!(!format!("{shown:?}").contains("1234"), "{shown:?}");
}

/// 256 files, the default one among them; eight folders below each other; 1 MiB each. What goes beyond is an error,
/// or, if it lies too deep, not looked at.
#[test]
fn files_have_limits() {
    let home = Home::new();
    for number in 0..255 {
        home.write(&format!("acl/{number}.yml"), "");
    }
    assert_eq!(home.open().unwrap().versions().len(), 256);
    home.write("acl/one-more.yml", "");
    let error = home.open().unwrap_err();
    assert!(error.ends_with("acl: more than 256 files"), "{error}");

    let home = Home::new();
    let account = |key: &str| format!("accounts:\n- {{accessKey: {key}, secretKey: abcdefgh}}\n");
    let deep = "1/2/3/4/5/6/7/8";
    home.write(&format!("acl/{deep}/a.yml"), &account("deep-one"));
    home.write(&format!("acl/{deep}/9/b.yml"), &account("deeper"));
    let access = home.open().unwrap();
    assert!(knows(&access, "deep-one", "abcdefgh") && !knows(&access, "deeper", "abcdefgh"));

    let mut text = account("team-one");
    text.push_str(&"#".repeat((1 << 20) - text.len()));
    home.write("acl/long.yml", &text);
    assert!(access.look() && knows(&access, "team-one", "abcdefgh"));
    text.push('#');
    home.write("acl/long.yml", &text);
    let error = home.open().unwrap_err();
    assert!(error.ends_with("long.yml: longer than 1048576 bytes"), "{error}");
}

/// Changes are noticed; a faulty file changes nothing, and its fault is named without its secrets.
#[test]
fn looks_again() {
    let home = Home::new();
    let access = home.open().unwrap();
    assert!(!access.look());
    home.write("acl/a.yml", "accounts:\n- accessKey: team-one\n  secretKey: abcdefgh\n");
    assert!(access.look() && knows(&access, "team-one", "abcdefgh"));
    for faulty in [
        "accounts: [",
        "accounts:\n- accessKey: team-one\n",
        "acounts: []",
        "globalWhiteRemoteAddresses: [x]",
    ] {
        home.write("acl/a.yml", faulty);
        assert!(!access.look() && !access.look(), "{faulty}");
        assert!(knows(&access, "team-one", "abcdefgh") && knows(&access, "RocketMQ", "12345678"));
    }
    home.write("acl/a.yml", "accounts:\n- accessKey: team-one\n  secretKey: topsecret\n  admn: true\n");
    let error = home.open().unwrap_err();
    assert!(error.contains("a.yml") && error.contains("admn") && !error.contains("topsecret"), "{error}");
    std::fs::remove_file(home.file("acl/a.yml")).unwrap();
    assert!(access.look() && !knows(&access, "team-one", "abcdefgh"));
    assert!(knows(&access, "RocketMQ", "12345678"));
}

/// A tool's changes hold at once, are in the right file, survive, and each raises that file's version by one.
#[test]
fn tools_change_accounts() {
    let home = Home::new();
    home.write(
        "acl/a.yml",
        "accounts:\n- {accessKey: team-one, secretKey: abcdefgh, defaultTopicPerm: PUB}\n",
    );
    let access = home.open().unwrap();
    access.update_account(row("team-two", "12121212"), 7).unwrap();
    access.update_account(row("team-one", "13131313"), 8).unwrap();
    assert!(knows(&access, "team-two", "12121212") && knows(&access, "team-one", "13131313"));
    assert_eq!((access.version().counter, access.version().timestamp), (1, 7));
    let in_folder = home.file("acl/a.yml").display().to_string();
    assert_eq!((access.versions()[&in_folder].counter, access.versions()[&in_folder].timestamp), (1, 8));
    let kept = access.masked();
    let team_one = kept.plain_access_configs.iter().find(|row| row.access_key.as_deref() == Some("team-one"));
    assert_eq!(team_one.unwrap().default_topic_perm.as_deref(), Some("PUB"));

    assert_eq!(access.update_white(vec!["10.0.0.1".into()], "", 9), Ok(true));
    assert_eq!(access.update_white(vec!["10.0.0.2".into()], &in_folder, 9), Ok(true));
    assert_eq!(access.update_white(vec!["10.0.0.2".into()], "/etc/hosts", 9), Ok(false));
    assert_eq!(
        access.update_white(vec!["10.0.0.2".into()], &home.file("acl/b.yml").display().to_string(), 9),
        Ok(false)
    );
    assert!(access.update_white(vec!["10.0".into()], "", 9).is_err());
    assert_eq!(access.masked().global_white_addrs, ["10.0.0.2", "10.0.0.1"]);

    assert_eq!(access.delete_account("team-one", 10), Ok(true));
    assert_eq!(access.delete_account("team-one", 10), Ok(false));
    assert!(!knows(&access, "team-one", "13131313"));
    let error = access.update_account(row("ab", "cd"), 11).unwrap_err();
    assert!(error.starts_with("The accessKey=ab and secretKey=cd "), "{error}");
    assert_eq!(access.version().counter, 2);

    // Its own changes are no news.
    assert!(!access.look());
    let read_anew = home.open().unwrap();
    assert!(knows(&read_anew, "team-two", "12121212") && !knows(&read_anew, "team-one", "13131313"));
    assert_eq!((read_anew.versions(), read_anew.masked()), (access.versions(), access.masked()));
}

/// Without any file nobody could ever get in: that is a mistake in the settings.
#[test]
fn needs_a_file() {
    let folder = tempfile::tempdir().unwrap();
    assert!(Access::open(&folder.path().join("plain_acl.yml")).unwrap_err().contains("no file of accounts"));
    assert!(Access::for_settings(false, "", "").unwrap().is_none());
    assert!(Access::for_settings(true, "", "").unwrap_err().contains("aclFile"));
    let home = folder.path().join("home");
    std::fs::create_dir_all(home.join("conf")).unwrap();
    std::fs::write(home.join("conf/plain_acl.yml"), JAVAS).unwrap();
    let access = Access::for_settings(true, "", home.to_str().unwrap()).unwrap().unwrap();
    assert!(knows(&access, "RocketMQ", "12345678"));
    let named = Access::for_settings(true, home.join("conf/plain_acl.yml").to_str().unwrap(), "");
    assert!(named.unwrap().is_some());
}
