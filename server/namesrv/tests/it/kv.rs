//! The key-value table.

use ferrocket_protocol::requests::RequestCode::*;

use crate::peer::{World, refusal, text};

/// Values are put, found, listed, deleted, and last over a restart in Java's file.
#[tokio::test]
async fn key_value_table() {
    let world = World::start().await;
    let key = [("namespace", "NS"), ("key", "k")];
    let reply = world.call(GetKvConfig, &key).await;
    assert_eq!(refusal(&reply), (22, "No config item, Namespace: NS Key: k"));
    let reply = world.call(GetKvlistByNamespace, &key[..1]).await;
    assert_eq!(refusal(&reply), (22, "No config item, Namespace: NS"));
    text(&world.call(DeleteKvConfig, &key).await);
    text(&world.call(PutKvConfig, &[key[0], key[1], ("value", "a=b;c")]).await);
    text(&world.call(PutKvConfig, &[key[0], ("key", "other"), ("value", "")]).await);
    let file = std::fs::read_to_string(world.folder.path().join("kvConfig.json")).unwrap();
    assert_eq!(file, r#"{"configTable":{"NS":{"k":"a=b;c","other":""}}}"#);

    let world = World::start_in(world.stop().await, &[]).await;
    let reply = world.call(GetKvConfig, &key).await;
    assert_eq!((reply.code, &**reply.ext_fields.get("value").unwrap()), (0, "a=b;c"));
    let list = world.body(GetKvlistByNamespace, &key[..1]).await;
    assert_eq!(list, r#"{"table":{"k":"a=b;c","other":""}}"#);
    text(&world.call(DeleteKvConfig, &key).await);
    assert_eq!(world.call(GetKvConfig, &key).await.code, 22);
    let reply = world.call(PutKvConfig, &key).await;
    assert_eq!(refusal(&reply), (1, "field value is missing, a value of type text is expected"));
}

/// A table that cannot be written is no success.
#[tokio::test]
async fn unwritable_table() {
    let world = World::start().await;
    std::fs::create_dir(world.folder.path().join("kvConfig.json")).unwrap();
    let reply = world.call(PutKvConfig, &[("namespace", "NS"), ("key", "k"), ("value", "v")]).await;
    assert_eq!(reply.code, 1);
    assert!(refusal(&reply).1.starts_with("the key-value table cannot be written: "));
}
