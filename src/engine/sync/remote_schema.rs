//! Asking a remote for its tables, without a database.

use std::rc::Rc;

use crate::{
    error::{Error, ErrorCode, Result},
    ports::{Http, HttpResponse, LocalFuture, Method, Platform},
    sync::{
        config::{Config, RemoteOptions},
        local_schema::{LocalSchema, local_schema},
        remote_schema::{RemoteTable, from_function, from_openapi},
        request::Requester,
        response::{Verdict, backoff_ms, judge},
    },
};

/// Where access tokens come from.
pub type Tokens<'a> = &'a dyn Fn() -> LocalFuture<'a, Result<Option<String>>>;

/// The local tables for a remote's: those of `remote.tables`, or, where that is empty, all that it tells of. They come from the function `tidelock_schema`, where the
/// project has it, and from PostgREST's OpenAPI document, which Supabase shows to secret keys only.
///
/// Fails with `invalid_argument`, `sync_unauthorized` when the remote tells this key of no tables, `sync_schema_mismatch` when it doesn't
/// tell of one that was named, and with the other codes of sync.
pub async fn schema_from_remote<'a>(
    remote: RemoteOptions,
    http: Rc<dyn Http>,
    platform: &'a Platform,
    tokens: Tokens<'a>,
) -> Result<LocalSchema> {
    let named: Vec<String> = remote.tables.iter().map(|table| table.remote().to_owned()).collect();
    let wanted = (!named.is_empty()).then_some(&named[..]);
    let config = Config::without_tables(remote)?;
    let token = if config.options.has_access_token { tokens().await? } else { None };
    let mut asking = Asking { requester: Requester::new(&config, None, token), http, platform, tokens };
    let mut told = match asking.get("/rpc/tidelock_schema").await? {
        Answer::Body(body) => from_function(&body),
        Answer::Refused(_) | Answer::Absent(_) => None,
    };
    let complete = |told: &Vec<RemoteTable>| {
        wanted.is_some_and(|wanted| wanted.iter().all(|name| told.iter().any(|table| table.name == *name)))
    };
    if !told.as_ref().is_some_and(complete) {
        let found = match asking.get("/").await? {
            Answer::Body(body) => from_openapi(&body).ok_or_else(|| {
                Error::new(ErrorCode::SyncProtocol, "The remote's root is no OpenAPI document")
                    .hint("remote.url should be a Supabase project or a PostgREST root")
            }),
            Answer::Refused(error) => Err(untold(ErrorCode::SyncUnauthorized).cause(&error.message)),
            Answer::Absent(error) => Err(untold(ErrorCode::SyncSchemaMismatch).cause(&error.message)),
        };
        told = match (told, found) {
            (Some(mut told), Ok(found)) => {
                // The function knows more of its tables.
                told.extend(
                    found
                        .into_iter()
                        .filter(|table| !told.iter().any(|known| known.name == table.name))
                        .collect::<Vec<_>>(),
                );
                Some(told)
            }
            (Some(told), Err(_)) => Some(told),
            (None, found) => Some(found?),
        };
    }
    local_schema(told.unwrap_or_default(), wanted)
}

fn untold(code: ErrorCode) -> Error {
    Error::new(code, "The remote doesn't tell this key which tables it has")
        .hint("Run the SQL of sqlHelpers in the project, or use a secret key, in Node only")
}

enum Answer {
    Body(String),
    /// Not for this key.
    Refused(Error),
    /// There is no such thing.
    Absent(Error),
}

struct Asking<'a> {
    requester: Requester,
    http: Rc<dyn Http>,
    platform: &'a Platform,
    tokens: Tokens<'a>,
}

impl Asking<'_> {
    async fn get(&mut self, path: &str) -> Result<Answer> {
        let clock = &*self.platform.clock;
        let mut attempt = 0;
        loop {
            let url = format!("{}{path}", self.requester.root());
            let answer = self.http.send(self.requester.request(Method::Get, url, "", None)).await;
            let own = answer.as_ref().is_ok_and(says_postgrest);
            match judge("tidelock_schema", &answer, clock.now()) {
                Verdict::Body => {
                    self.requester.accepted();
                    let body = answer.map(|response| response.body).unwrap_or_default();
                    return Ok(Answer::Body(String::from_utf8_lossy(&body).into_owned()));
                }
                Verdict::Unauthorized(error) => {
                    if !self.requester.may_refresh() {
                        return Ok(Answer::Refused(error));
                    }
                    let token = (self.tokens)().await?;
                    self.requester.renewed(token);
                }
                Verdict::Retry { error, .. } if attempt >= self.requester.retries() => {
                    return Err(error.detail("attempts", attempt + 1));
                }
                Verdict::Retry { after_ms, .. } => {
                    clock.sleep(after_ms.unwrap_or_else(|| backoff_ms(attempt, 0.5))).await;
                    attempt += 1;
                }
                // PostgREST itself says that it has no such function: the root is right.
                Verdict::UnknownPath(error) if own => {
                    self.requester.accepted();
                    return Ok(Answer::Absent(error));
                }
                Verdict::UnknownPath(_) if self.requester.try_other_root() => {}
                Verdict::UnknownPath(error) => {
                    self.requester.go_back();
                    return Ok(Answer::Absent(error));
                }
                Verdict::Fail(error) if error.is(ErrorCode::SyncRejected) => return Ok(Answer::Refused(error)),
                Verdict::UnknownColumn(error) | Verdict::Fail(error) => return Err(error),
            }
        }
    }
}

/// Whether PostgREST itself has answered, and not that there is none at this root.
pub(super) fn says_postgrest(response: &HttpResponse) -> bool {
    response.body.windows(9).any(|word| word.starts_with(b"\"PGRST"))
}
