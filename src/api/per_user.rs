//! One database for each user of a remote.

use std::rc::Rc;

use super::{options::OpenOptions, platform::Worker, remote_functions::RemoteFunctions};
use crate::{
    error::{Error, ErrorCode, Result},
    sync::config::jwt,
};

/// Puts the signed-in user into the name, where the remote has the option `per_user`.
///
/// Fails with `invalid_argument` (a path, which all users would share), and with `sync_unauthorized` while no user is
/// signed in.
pub(super) async fn of_its_user(mut options: OpenOptions) -> Result<OpenOptions> {
    let Some(remote) = options.remote.as_mut().filter(|remote| remote.is_per_user()) else { return Ok(options) };
    if options.path.is_some() {
        return Err(Error::invalid("remote.per_user and path exclude each other: all users would share the folder")
            .hint("Leave path out: each user's folder is beside the others")
            .detail("option", "path"));
    }
    let user = match remote.user() {
        Some(user) => Some(user.to_owned()),
        None => token(remote.functions()).await?.and_then(|token| jwt::claim(&token, "sub")),
    };
    let user = user.ok_or_else(|| {
        Error::new(ErrorCode::SyncUnauthorized, "remote.per_user needs a signed-in user, and no user is signed in")
            .hint("Open the database once the user has signed in; with user_id it then opens without a network, too")
            .detail("option", "remote.per_user")
            .detail("signedIn", false)
    })?;
    options.name = format!("{}/{user}", options.name);
    remote.set_owner(user);
    Ok(options)
}

/// Asks for the token on a thread of its own, as the engine does.
async fn token(functions: RemoteFunctions) -> Result<Option<String>> {
    let worker = Worker::start("user", move |_| functions)?;
    worker.call(|functions: Rc<RemoteFunctions>| functions.access_token()).await
}
