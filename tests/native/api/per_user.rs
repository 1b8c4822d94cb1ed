//! The option `per_user` of a remote: one database for each user.

use std::{
    convert::Infallible,
    future::ready,
    sync::{Arc, Mutex},
};

use tidelock::{Error, ErrorCode, OpenOptions, RemoteOptions, Storage};

use super::{Scratch, block_on, memory};

/// Tokens whose `sub` is `ann` and `bob`.
const ANN: &str = "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiJhbm4ifQ.x";
const BOB: &str = "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiJib2IifQ.x";

/// A remote that nothing answers for.
fn remote() -> RemoteOptions {
    RemoteOptions::new("http://127.0.0.1:9/", "sb_publishable_example").tables(["notes"]).retries(0).per_user(true)
}

#[test]
fn the_signed_in_user_is_part_of_the_name() {
    block_on(async {
        let signed_in = Arc::new(Mutex::new(None));
        let session = signed_in.clone();
        let by_token = remote().access_token(move || ready(Ok::<_, Infallible>(session.lock().unwrap().clone())));
        let open = || tidelock::open(memory().remote(by_token.clone()));

        let error = open().await.unwrap_err();
        assert_eq!(error.code, ErrorCode::SyncUnauthorized, "{error}");
        assert_eq!(error.details["option"], "remote.per_user".into());
        assert_eq!(error.details["signedIn"], false.into());

        signed_in.lock().unwrap().replace(ANN.to_owned());
        let of_ann = open().await?;
        assert_eq!(of_ann.name(), "memory/ann");
        // The database is hers already before its first sync.
        signed_in.lock().unwrap().replace(BOB.to_owned());
        of_ann.exec("CREATE TABLE notes(id INTEGER PRIMARY KEY, body TEXT)").await?;
        let error = of_ann.sync().run().await.unwrap_err();
        assert_eq!(error.code, ErrorCode::SyncUserMismatch, "{error}");
        assert_eq!(open().await?.name(), "memory/bob");

        let by_id = tidelock::open(memory().remote(remote().user_id("5f3e"))).await?;
        assert_eq!(by_id.name(), "memory/5f3e");
        Ok(())
    });
}

#[test]
fn users_have_no_folder_in_common() {
    block_on(async {
        let scratch = Scratch::new();
        let error = tidelock::open(scratch.options().remote(remote().user_id("ann"))).await.unwrap_err();
        assert_eq!((error.code, &error.details["option"]), (ErrorCode::InvalidArgument, &"path".into()), "{error}");
        assert!(!scratch.path().exists());

        let failing = remote().access_token(|| ready(Err::<Option<String>, _>(Error::invalid("secret"))));
        let error = tidelock::open(memory().remote(failing)).await.unwrap_err();
        assert_eq!(error.code, ErrorCode::SyncUnauthorized, "{error}");
        assert!(!format!("{error:?}").contains("secret"), "{error:?}");

        // A user whose id can't be in a name.
        let long = OpenOptions::new("x".repeat(126)).storage(Storage::Memory).remote(remote().user_id("ann"));
        let error = tidelock::open(long).await.unwrap_err();
        assert_eq!(error.code, ErrorCode::InvalidArgument, "{error}");
        Ok(())
    });
}
