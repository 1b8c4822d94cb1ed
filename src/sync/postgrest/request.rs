//! Requests: where they go, and what they say about who asks.

use super::query::{Range, Selection};
use crate::{
    ports::{HttpRequest, Method},
    sync::config::{checked::Config, credentials::Secrets, jwt},
};

/// Knows root and credentials.
pub struct Requester {
    root: String,
    other_root: Option<String>,
    /// A proper answer has proved the root.
    proved: bool,
    /// The present root is the second one.
    tried: bool,
    headers: Vec<(String, String)>,
    key: String,
    token: Option<String>,
    has_access_token: bool,
    timeout_ms: u64,
    max_bytes: u64,
    secrets: Secrets,
}

impl Requester {
    /// `root`: the one that answered before; `token`: what the access token function gave.
    pub fn new(config: &Config, root: Option<String>, token: Option<String>) -> Self {
        let options = &config.options;
        let mut headers =
            vec![("accept".to_owned(), "application/json".to_owned()), ("apikey".to_owned(), options.key.clone())];
        // Without it PostgREST serves its first schema, whatever that is called.
        if options.schema != "public" {
            headers.push(("accept-profile".to_owned(), options.schema.clone()));
        }
        for (name, value) in &options.headers {
            let name = name.to_ascii_lowercase();
            headers.retain(|(known, _)| *known != name);
            headers.push((name, value.clone()));
        }
        let mut secrets = Secrets::new(options);
        token.iter().for_each(|token| secrets.add(token));
        Self {
            proved: root.is_some(),
            tried: false,
            root: root.unwrap_or_else(|| config.root.clone()),
            other_root: config.other_root.clone(),
            headers,
            key: options.key.clone(),
            token,
            has_access_token: options.has_access_token,
            timeout_ms: options.timeout_ms,
            max_bytes: options.max_response_bytes,
            secrets,
        }
    }

    /// The present root.
    pub fn root(&self) -> &str {
        &self.root
    }

    /// A request was answered properly: the root is right. Whether that is news.
    pub fn accepted(&mut self) -> bool {
        !std::mem::replace(&mut self.proved, true)
    }

    /// Takes the fresh token.
    pub fn renewed(&mut self, token: Option<String>) {
        token.iter().for_each(|token| self.secrets.add(token));
        self.token = token;
    }

    /// What went out with the requests so far and must not be kept.
    pub fn secrets(&self) -> &Secrets {
        &self.secrets
    }

    /// The `remote.url` that a redirect hints at: a request to `url`, under the present root, was sent on to `location`.
    pub fn moved_root(&self, url: &str, location: &str) -> Option<String> {
        let path = url.strip_prefix(&self.root)?.split('?').next()?;
        let root = location.strip_suffix(path)?;
        let given = if self.other_root.is_some() { root.strip_suffix("/rest/v1").unwrap_or(root) } else { root };
        Some(given.to_owned())
    }

    /// Whether there is a function that gives tokens.
    pub fn has_access_token(&self) -> bool {
        self.has_access_token
    }

    /// A request with everything that says who asks. `prefer`: the header of that name, if it isn't empty.
    pub fn request(&self, method: Method, url: String, prefer: &str, body: Option<String>) -> HttpRequest {
        let mut headers = self.headers.clone();
        let bearer = self.token.as_deref().or_else(|| Some(&*self.key).filter(|key| jwt::is_jwt(key)));
        if let Some(bearer) = bearer {
            headers.retain(|(name, _)| name != "authorization");
            headers.push(("authorization".to_owned(), format!("Bearer {bearer}")));
        }
        if !prefer.is_empty() {
            headers.push(("prefer".to_owned(), prefer.to_owned()));
        }
        if method != Method::Get {
            headers.push(("content-type".to_owned(), "application/json".to_owned()));
            for (name, _) in &mut headers {
                if name == "accept-profile" {
                    "content-profile".clone_into(name);
                }
            }
        }
        let body = body.map(String::into_bytes);
        HttpRequest { method, url, headers, body, timeout_ms: self.timeout_ms, max_bytes: self.max_bytes }
    }

    /// Goes to the other root. `false`: there is none, or this one is proved, or both were tried: whatever is asked for next may
    /// be at either.
    pub fn try_other_root(&mut self) -> bool {
        let Some(other) = self.other_root.as_mut().filter(|_| !self.proved) else { return false };
        std::mem::swap(other, &mut self.root);
        self.tried = !self.tried;
        self.tried
    }
}

/// One page to ask for.
pub struct Request<'a> {
    /// What is read.
    pub selection: &'a Selection,
    /// Which rows.
    pub range: &'a Range,
    /// How many at most.
    pub limit: u32,
    /// How to count them all, as the `Prefer` header has it; empty: not at all.
    pub count: &'static str,
}

impl Request<'_> {
    /// The request that brings no row, only how many there are.
    pub fn head(&self, requester: &Requester) -> HttpRequest {
        HttpRequest { method: Method::Head, ..self.build(requester) }
    }

    /// The request to send.
    pub fn build(&self, requester: &Requester) -> HttpRequest {
        let url = self.selection.url(&requester.root, self.range, self.limit);
        requester.request(Method::Get, url, self.count, None)
    }
}
