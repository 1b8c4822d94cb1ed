//! Several databases, opened together.

use std::{collections::BTreeMap, ops::Index};

use serde::Serialize;

use super::{Database, open::open, options::OpenOptions};
use crate::{
    error::{Error, Result},
    health::{Health, HealthStatus},
    migrate::MigrationStatus,
    time::Timestamp,
};

/// The state of a database in a group.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum GroupMemberState {
    /// It is open and can be written.
    Connected,
    /// It is closed, has lost its lock, or can't be written.
    Failed,
}

/// The health of a group: see [`Group::health`].
#[derive(Clone, Debug, Serialize)]
#[non_exhaustive]
pub struct GroupHealth {
    /// The worst status of the databases.
    pub status: HealthStatus,
    /// The state of each database, by its name in the group.
    pub databases: BTreeMap<String, GroupMemberState>,
    /// The time of the report.
    pub timestamp: Timestamp,
    /// The health of each database, by its name in the group.
    pub details: BTreeMap<String, Health>,
}

/// Several open databases, each under its name in the group: the result of [`open_group`]. Dropping it drops its handles.
#[derive(Clone, Debug)]
pub struct Group {
    /// In the order of opening.
    members: Vec<(String, Database)>,
}

/// The migrations of a group: [`Group::migrations`].
#[derive(Clone, Copy, Debug)]
pub struct GroupMigrations<'a>(&'a Group);

/// Opens several databases, each with its own options, under names in the group. The locks are taken in the order of the
/// databases' names, so that two programs that wait for the same databases don't wait for each other.
///
/// If one fails to open, those that are open are closed, their locks are released, and the call fails with its error;
/// `details.database` is its name in the group. Two databases of one name, or none at all, are `invalid_argument`.
///
/// ```
/// # futures_executor::block_on(async {
/// use tidelock::{HealthStatus, OpenOptions, Storage, params};
///
/// # let folder = std::env::temp_dir().join(format!("tidelock-doc-group-{}", std::process::id()));
/// let shop = OpenOptions::new("shop").storage(Storage::File).path(folder.join("shop.tidelock"));
/// let catalogue = OpenOptions::new("catalogue").storage(Storage::Memory);
/// let group = tidelock::open_group([("primary", shop), ("data", catalogue)]).await?;
/// group["primary"].exec("CREATE TABLE orders(item TEXT)").await?;
/// group["primary"].run("INSERT INTO orders VALUES (?)", params!["tea"]).await?;
/// assert_eq!(group.health().await?.status, HealthStatus::Ok);
/// group.close().await?;
/// # std::fs::remove_dir_all(&folder).unwrap();
/// # Ok::<_, tidelock::Error>(()) }).unwrap();
/// ```
pub async fn open_group<N: Into<String>>(members: impl IntoIterator<Item = (N, OpenOptions)>) -> Result<Group> {
    let members = members.into_iter().map(|(member, options)| (member.into(), options)).collect();
    let mut group = Group { members: Vec::new() };
    for (member, options) in in_lock_order(members)? {
        match open(options).await {
            Ok(database) => group.members.push((member, database)),
            Err(error) => {
                // The error of opening is the cause; those of closing are dropped.
                let _ = group.close().await;
                return Err(error.detail("database", member));
            }
        }
    }
    Ok(group)
}

/// Sorts the members by the names of their databases, as the npm package does: by UTF-16 code units.
fn in_lock_order(mut members: Vec<(String, OpenOptions)>) -> Result<Vec<(String, OpenOptions)>> {
    if members.is_empty() {
        return Err(Error::invalid("open_group needs at least one database")
            .hint("Pass pairs of a name in the group and the options of open"));
    }
    for (index, (member, options)) in members.iter().enumerate() {
        let twice = |message: String, hint: &str| Err(Error::invalid(message).hint(hint).detail("database", &**member));
        for (other, other_options) in &members[..index] {
            if other == member {
                return twice(
                    format!("Two databases of the group have the name '{member}'"),
                    "Rename one in the group",
                );
            }
            if other_options.name == options.name {
                let message = format!("'{other}' and '{member}' are the same database, '{}'", options.name);
                return twice(message, "Give each database its own name");
            }
        }
    }
    members.sort_by(|(_, a), (_, b)| a.name.encode_utf16().cmp(b.name.encode_utf16()));
    Ok(members)
}

impl Group {
    /// Returns a database by its name in the group. `group["name"]` does the same, and panics without such a database.
    pub fn get(&self, member: &str) -> Option<&Database> {
        self.members.iter().find(|(name, _)| name == member).map(|(_, database)| database)
    }

    /// Returns the names in the group and the databases, in the order in which they were opened.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &Database)> {
        self.members.iter().map(|(member, database)| (&**member, database))
    }

    /// Returns the health of each database, and the worst status. Works on a closed group, too.
    pub async fn health(&self) -> Result<GroupHealth> {
        let mut details = BTreeMap::new();
        for (member, database) in &self.members {
            details.insert(member.clone(), database.health().await?);
        }
        let has = |status| details.values().any(|health| health.status == status);
        let status = match () {
            () if has(HealthStatus::Failed) => HealthStatus::Failed,
            () if has(HealthStatus::Degraded) => HealthStatus::Degraded,
            () => HealthStatus::Ok,
        };
        let state = |health: &Health| match health.status {
            HealthStatus::Failed => GroupMemberState::Failed,
            HealthStatus::Ok | HealthStatus::Degraded => GroupMemberState::Connected,
        };
        let databases = details.iter().map(|(member, health)| (member.clone(), state(health))).collect();
        let timestamp = details.values().map(|health| health.timestamp).max().unwrap_or(Timestamp(0));
        Ok(GroupHealth { status, databases, timestamp, details })
    }

    /// Returns the migrations of the databases.
    pub fn migrations(&self) -> GroupMigrations<'_> {
        GroupMigrations(self)
    }

    /// Closes all databases, the last opened first. When closing one fails, the others are still closed, and the call
    /// fails with the first error; `details.database` is the name in the group.
    pub async fn close(&self) -> Result<()> {
        let mut closed = Ok(());
        for (member, database) in self.members.iter().rev() {
            let result = database.close().await.map_err(|error| error.detail("database", &**member));
            closed = closed.and(result);
        }
        closed
    }
}

impl Index<&str> for Group {
    type Output = Database;

    fn index(&self, member: &str) -> &Database {
        self.get(member).unwrap_or_else(|| panic!("The group has no database '{member}'"))
    }
}

impl GroupMigrations<'_> {
    /// Returns the migrations of each database, one row per version, by its name in the group.
    pub async fn status(&self) -> Result<BTreeMap<String, Vec<MigrationStatus>>> {
        let mut all = BTreeMap::new();
        for (member, database) in &self.0.members {
            let status = database.migrations().status().await;
            all.insert(member.clone(), status.map_err(|error| error.detail("database", &**member))?);
        }
        Ok(all)
    }
}
