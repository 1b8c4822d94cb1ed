//! Several databases, opened together.

use tidelock::{
    Error, ErrorCode, GroupMemberState, HealthStatus, LockOptions, Migration, MigrationState, OnBusy, OpenOptions,
    Storage, open_group,
};

use super::{Scratch, block_on, code, memory};

fn named(scratch: &Scratch, name: &str) -> OpenOptions {
    OpenOptions::new(name).storage(Storage::File).path(scratch.path().join(name)).snapshots(None)
}

fn history(table: &str) -> [Migration; 1] {
    [Migration::new("1", table, format!("CREATE TABLE {table}(n)"))]
}

#[test]
fn each_database_has_its_own_options_and_is_reached_by_its_name_in_the_group() {
    let scratch = Scratch::new();
    block_on(async {
        let orders = named(&scratch, "shop").migrations(history("orders"));
        let group = open_group([("primary", orders), ("data", named(&scratch, "catalogue"))]).await?;
        group["primary"].run("INSERT INTO orders VALUES (1)", ()).await?;
        assert_eq!(code(group["data"].query("SELECT * FROM orders", ()).await), Some(ErrorCode::SqliteError));
        assert!(group.get("other").is_none());
        let opened: Vec<_> = group.iter().map(|(member, database)| (member, database.name())).collect();
        assert_eq!(opened, [("data", "catalogue"), ("primary", "shop")], "in the order of the databases' names");

        let migrations = group.migrations().status().await?;
        assert_eq!(migrations["primary"][0].state, MigrationState::Applied);
        assert!(migrations["data"].is_empty());

        let health = group.health().await?;
        assert_eq!((health.status, health.details["data"].name.as_str()), (HealthStatus::Ok, "catalogue"));
        group["data"].close().await?;
        let health = group.health().await?;
        assert_eq!(health.status, HealthStatus::Failed);
        assert_eq!(health.databases["data"], GroupMemberState::Failed);
        assert_eq!(health.databases["primary"], GroupMemberState::Connected);
        assert!(health.timestamp >= health.details["primary"].timestamp);

        group.close().await?;
        group.close().await?;
        assert!(group["primary"].is_closed());
        let error = group.migrations().status().await.unwrap_err();
        assert_eq!((error.code, &error.details["database"]), (ErrorCode::Closed, &"data".into()));
        Ok(())
    });
}

#[test]
fn a_failed_opening_closes_the_others_and_names_the_member() {
    let scratch = Scratch::new();
    block_on(async {
        let broken = [Migration::new("1", "broken", "INSERT INTO missing VALUES (1)")];
        let members = [("data", named(&scratch, "a")), ("primary", named(&scratch, "b").migrations(broken))];
        let error = open_group(members).await.unwrap_err();
        assert_eq!((error.code, &error.details["database"]), (ErrorCode::MigrationFailed, &"primary".into()));

        // Both locks are free.
        let group = open_group([("x", named(&scratch, "b")), ("y", named(&scratch, "a"))]).await?;
        let refused = open_group([("data", named(&scratch, "a"))]).await.unwrap_err();
        assert_eq!((refused.code, &refused.details["database"]), (ErrorCode::DatabaseInUse, &"data".into()));
        drop(group);
        drop(open_group([("data", named(&scratch, "a"))]).await?);
        Ok(())
    });
}

#[test]
fn two_groups_of_the_same_databases_wait_for_each_other_without_a_deadlock() {
    let scratch = Scratch::new();
    let group = |first: &str, second: &str| {
        let lock = LockOptions { on_busy: OnBusy::Wait, timeout_ms: 20_000 };
        let members = [first, second].map(|name| (name.to_owned(), named(&scratch, name).lock(lock)));
        async move {
            let group = open_group(members).await?;
            group["a"].exec("CREATE TABLE IF NOT EXISTS t(n); INSERT INTO t VALUES (1)").await?;
            group.close().await
        }
    };
    std::thread::scope(|scope| {
        for (first, second) in [("a", "b"), ("b", "a")] {
            let group = group(first, second);
            scope.spawn(move || block_on(group));
        }
    });
    block_on(async {
        let db = tidelock::open(named(&scratch, "a")).await?;
        assert_eq!(db.get_as::<i64>("SELECT count(*) FROM t", ()).await?, Some(2));
        Ok(())
    });
}

#[test]
fn wrong_groups_are_refused_as_in_typescript() {
    block_on(async {
        let other = || OpenOptions::new("other").storage(Storage::Memory);
        let none: [(&str, OpenOptions); 0] = [];
        let refused = async |members: Vec<(&str, OpenOptions)>| open_group(members).await.unwrap_err();
        assert_eq!(code(open_group(none).await), Some(ErrorCode::InvalidArgument));
        let message = |error: Error| (error.code, error.message.clone());
        let twice = message(refused(vec![("a", memory()), ("b", memory())]).await);
        assert_eq!(twice, (ErrorCode::InvalidArgument, "'a' and 'b' are the same database, 'memory'".to_owned()));
        let twice = message(refused(vec![("a", memory()), ("a", other())]).await);
        assert_eq!(twice, (ErrorCode::InvalidArgument, "Two databases of the group have the name 'a'".to_owned()));
        let error = refused(vec![("a", memory().path("x"))]).await;
        assert_eq!((error.code, &error.details["database"]), (ErrorCode::InvalidArgument, &"a".into()));
        Ok(())
    });
}
