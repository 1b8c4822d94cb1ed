//! The user to whom a database belongs.

use super::driver::Sync;
use crate::{
    error::{Error, ErrorCode, Result},
    sqlite::Connection,
    sync::{config::jwt, state::properties},
};

impl Sync {
    /// Checks that the token belongs to the database's owner, who is the user of its first sync. Fails with
    /// `sync_user_mismatch`.
    pub(super) fn check_owner(&self, connection: &Connection, token: Option<&str>) -> Result<()> {
        let user = self.config.options.user_id.clone().or_else(|| jwt::claim(token?, "sub"));
        let stored = properties::owner(connection)?;
        let is_stored = stored.is_some();
        match (stored.or_else(|| self.config.options.owner.clone()), user) {
            (None, None) => Ok(()),
            (None, Some(user)) => properties::save_owner(connection, &user),
            (Some(owner), Some(user)) if owner == user => match is_stored {
                true => Ok(()),
                false => properties::save_owner(connection, &user),
            },
            (Some(_), user) => {
                let signed_in = user.is_some();
                let who = if signed_in { "another user is signed in" } else { "no user is signed in" };
                let hint = match signed_in {
                    true => "Set remote.perUser to open a database for each user, or delete this one first",
                    false => "Sign in as that user: unsent changes wait until then",
                };
                Err(Error::new(ErrorCode::SyncUserMismatch, format!("This database belongs to a user, and {who}"))
                    .hint(hint)
                    .detail("signedIn", signed_in))
            }
        }
    }
}
