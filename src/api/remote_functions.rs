//! The functions of the program that sync calls: of the token, of filters and of conflicts.

use std::{future::Future, panic::AssertUnwindSafe, sync::Arc};

use futures_util::FutureExt;

use super::thread::ThreadSafe;
use crate::{
    collections::Map,
    error::{Error, ErrorCode, Result},
    ports::LocalFuture,
    sync::report::{Cells, Conflict},
};

/// A function of the program. Its future stays on the engine's thread; an error is the text of its cause.
pub(super) trait ProgramFunction<A, T>: Fn(A) -> LocalFuture<'static, Result<T, String>> + ThreadSafe {}

impl<A, T, F> ProgramFunction<A, T> for F where F: Fn(A) -> LocalFuture<'static, Result<T, String>> + ThreadSafe {}

/// Returns the token of the signed-in user.
pub(super) type TokenFunction = Arc<dyn ProgramFunction<(), Option<String>>>;
/// Returns the filters of a table, by column.
pub(super) type FilterFunction = Arc<dyn ProgramFunction<(), Map<String, String>>>;
/// Merges a row that changed on both sides.
pub(super) type ConflictFunction = Arc<dyn ProgramFunction<Conflict, Option<Cells>>>;

/// Boxes a function. A panic in it is an error: it doesn't concern the engine.
pub(super) fn boxed<A, T, E, F, Fut>(function: F, cause: fn(&E) -> String) -> Arc<dyn ProgramFunction<A, T>>
where
    A: 'static,
    T: 'static,
    E: 'static,
    F: Fn(A) -> Fut + ThreadSafe + 'static,
    Fut: Future<Output = Result<T, E>> + 'static,
{
    let function = Arc::new(function);
    Arc::new(move |argument: A| -> LocalFuture<'static, Result<T, String>> {
        let function = function.clone();
        Box::pin(async move {
            match AssertUnwindSafe(async move { function(argument).await }).catch_unwind().await {
                Ok(result) => result.map_err(|error| cause(&error)),
                Err(_) => Err("a panic".to_owned()),
            }
        })
    })
}

/// The functions of the program that sync calls.
#[derive(Default)]
pub(super) struct RemoteFunctions {
    pub access_token: Option<TokenFunction>,
    /// Those of each table, by its name.
    pub tables: Vec<(String, TableFunctions)>,
}

/// The functions of one table.
#[derive(Clone, Default)]
pub(super) struct TableFunctions {
    pub filter: Option<FilterFunction>,
    pub conflict: Option<ConflictFunction>,
}

impl RemoteFunctions {
    /// Requests the token of the signed-in user.
    pub fn access_token(&self) -> LocalFuture<'static, Result<Option<String>>> {
        let asked = self.access_token.as_ref().map(|function| function(()));
        Box::pin(async move {
            let Some(asked) = asked else { return Ok(None) };
            let failed = |cause: String| {
                Error::new(ErrorCode::SyncUnauthorized, "Getting the access token failed").cause(cause).hint(
                    "Sign in again. To learn more, log the error inside access_token; it may return None to use the key alone",
                )
            };
            match asked.await.map_err(failed)? {
                // Sent without it, the changes of a user would be those of an anonymous one.
                Some(token) if token.is_empty() => Err(Error::invalid("access_token must return a token or None")
                    .hint("Return None when no user is signed in")),
                token => Ok(token),
            }
        })
    }

    /// Asks the function of a table for its filters.
    pub fn filter(&self, table: &str) -> LocalFuture<'static, Result<Map<String, String>>> {
        let asked = self.table(table).and_then(|known| known.filter.as_ref()).map(|function| function(()));
        let table = table.to_owned();
        Box::pin(async move {
            let Some(asked) = asked else { return Ok(Map::default()) };
            asked.await.map_err(|cause| {
                Error::invalid(format!("The filter function of table {table} failed"))
                    .cause(cause)
                    .hint("It must return filters by column, as [(\"status\", \"eq.open\")]; the cause is its error")
                    .detail("table", table)
            })
        })
    }

    /// Asks the function of a table what becomes of a row that changed on both sides.
    pub fn resolve(&self, conflict: Conflict) -> LocalFuture<'static, Result<Option<Cells>>> {
        let table = conflict.table.clone();
        let asked = self.table(&table).and_then(|known| known.conflict.as_ref()).map(|function| function(conflict));
        Box::pin(async move {
            let Some(asked) = asked else { return Err(Error::internal("A conflict function is missing")) };
            asked.await.map_err(|cause| {
                Error::invalid(format!("The conflict function of table {table} failed"))
                    .cause(cause)
                    .hint("It must return a row, or None to delete it; the cause is its error")
                    .detail("table", table)
            })
        })
    }

    fn table(&self, name: &str) -> Option<&TableFunctions> {
        self.tables.iter().find(|(table, _)| table.eq_ignore_ascii_case(name)).map(|(_, functions)| functions)
    }
}
