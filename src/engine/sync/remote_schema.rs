//! Reads the schema of a remote, without a database.

use std::rc::Rc;

use crate::{
    error::{Error, ErrorCode, Result},
    ports::{Http, HttpResponse, LocalFuture, Method, Platform},
    sync::{
        config::{checked::Config, credentials::check_token, options::RemoteOptions},
        postgrest::{
            remote::{self, Known, Refusal, Remote, Tokens as _},
            request::Requester,
            response::NOT_POSTGREST,
        },
        schema::{
            local_schema::{LocalSchema, local_schema},
            remote_schema::{RemoteTable, from_function, from_openapi},
        },
    },
};

/// The source of access tokens.
pub type TokenSource<'a> = &'a dyn Fn() -> LocalFuture<'a, Result<Option<String>>>;

struct CheckedTokens<'a> {
    ask: TokenSource<'a>,
    secrets_allowed: bool,
}

impl remote::Tokens for CheckedTokens<'_> {
    fn fresh(&self) -> LocalFuture<'_, Result<Option<String>>> {
        Box::pin(async { check_token((self.ask)().await?, self.secrets_allowed) })
    }
}

/// The name of the request in errors.
const ABOUT: &str = "tidelock_schema";

/// Returns the local tables for a remote's: those of `remote.tables`, or all listed ones if that is empty. Their schema
/// comes from the function `tidelock_schema`, if the project has it, and from PostgREST's OpenAPI document, which
/// Supabase shows to secret keys only.
///
/// Fails with `invalid_argument`, `sync_unauthorized` if the remote lists no tables for this key,
/// `sync_schema_mismatch` if it doesn't list a named one, and with the other codes of sync.
pub async fn schema_from_remote<'a>(
    remote: RemoteOptions,
    http: Rc<dyn Http>,
    platform: &'a Platform,
    tokens: TokenSource<'a>,
) -> Result<LocalSchema> {
    let named: Vec<String> = remote.tables.iter().map(|table| table.remote().to_owned()).collect();
    let wanted = (!named.is_empty()).then_some(&named[..]);
    let config = Config::without_tables(remote)?;
    let tokens = CheckedTokens { ask: tokens, secrets_allowed: config.options.secrets_allowed };
    let token = if config.options.has_access_token { tokens.fresh().await? } else { None };
    let known = Known::default();
    let remote = Remote::new(&config, &*http, platform, &known, token, Box::new(tokens));
    let mut described = match get(&remote, "/rpc/tidelock_schema").await {
        Ok(body) => from_function(&body),
        Err(refusal) => {
            fatal(refusal)?;
            None
        }
    };
    let complete = |described: &Vec<RemoteTable>| {
        wanted.is_some_and(|wanted| wanted.iter().all(|name| described.iter().any(|table| table.name == *name)))
    };
    if !described.as_ref().is_some_and(complete) {
        let found = match get(&remote, "/").await {
            Ok(body) => from_openapi(&body).ok_or_else(|| {
                Error::new(ErrorCode::SyncProtocol, "The remote's root returned no OpenAPI document")
                    .hint(NOT_POSTGREST)
            }),
            Err(refusal) => Err(fatal(refusal)?),
        };
        described = match (described, found) {
            (Some(mut described), Ok(found)) => {
                // The function's description of a table has more details, so it wins.
                described.extend(
                    found
                        .into_iter()
                        .filter(|table| !described.iter().any(|known| known.name == table.name))
                        .collect::<Vec<_>>(),
                );
                Some(described)
            }
            (Some(described), Err(_)) => Some(described),
            (None, found) => Some(found?),
        };
    }
    local_schema(described.unwrap_or_default(), wanted)
}

fn no_schema(code: ErrorCode) -> Error {
    Error::new(code, "The remote does not show its schema for this key")
        .hint("Run the SQL of sqlHelpers in the project, or use a secret key, in Node only")
}

/// Returns the error to report if the remote lists no tables for this key. Fails with any other refusal.
fn fatal(refusal: Refusal) -> Result<Error> {
    match refusal {
        Refusal::Mismatch(error) => Ok(no_schema(ErrorCode::SyncSchemaMismatch).cause(&error.message)),
        Refusal::Rejected(error) => Ok(no_schema(ErrorCode::SyncUnauthorized).cause(&error.message)),
        Refusal::Failed(error) if error.is(ErrorCode::SyncUnauthorized) => {
            Ok(no_schema(ErrorCode::SyncUnauthorized).cause(&error.message))
        }
        refusal => Err(refusal.into_error()),
    }
}

async fn get(remote: &Remote<'_>, path: &str) -> Result<String, Refusal> {
    let make = |requester: &Requester| requester.request(Method::Get, format!("{}{path}", requester.root()), "", None);
    let text = |response: &HttpResponse| Ok(String::from_utf8_lossy(&response.body).into_owned());
    remote.read(ABOUT, &mut remote.tries(), &make, &text).await.map(|(text, _)| text)
}
