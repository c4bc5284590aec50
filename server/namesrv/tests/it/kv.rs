//! The key-value table.

use std::sync::mpsc;

use ferrocket_protocol::requests::RequestCode::*;
use tokio::task::JoinSet;

use crate::peer::{World, call, refusal, request, text};

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

/// 1,024 changes wait to be written; one more is refused, questions are answered, and later there is room again.
#[test]
fn changes_that_wait_have_a_limit() {
    // One thread may block, and is kept busy: nothing is written meanwhile.
    let runtime =
        tokio::runtime::Builder::new_current_thread().enable_all().max_blocking_threads(1).build().unwrap();
    runtime.block_on(async {
        let world = World::start().await;
        let (free, busy) = mpsc::channel::<()>();
        tokio::task::spawn_blocking(move || busy.recv());
        let key = [("namespace", "NS"), ("key", "k")];
        let put = move || request(PutKvConfig, &[key[0], key[1], ("value", "v")]);
        let mut waiting = JoinSet::new();
        for _ in 0..=1_024 {
            let peer = world.peer.clone();
            waiting.spawn(async move { call(&peer, put()).await });
        }
        let refused = waiting.join_next().await.unwrap().unwrap();
        assert_eq!(refusal(&refused), (2, "too many changes wait to be written"));
        assert_eq!(world.call(GetKvConfig, &key).await.code, 0);
        assert!(waiting.try_join_next().is_none());
        free.send(()).unwrap();
        for reply in waiting.join_all().await {
            text(&reply);
        }
        text(&call(&world.peer, put()).await);
    });
}
