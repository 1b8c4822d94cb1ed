//! Requests to the remote: their root, their headers and their credentials.

use super::query::{Range, Selection};
use crate::{
    ports::{HttpRequest, Method},
    sync::config::{checked::Config, credentials::Secrets, jwt},
};

/// Builds requests with the present root and credentials.
pub struct Requester {
    root: String,
    other_root: Option<String>,
    /// PostgREST has answered under the root.
    proved: bool,
    /// The present root is the second one of the two.
    tried: bool,
    headers: Vec<(String, String)>,
    key: String,
    token: Option<String>,
    has_access_token: bool,
    timeout_ms: u64,
    /// The largest response, in bytes.
    pub max_bytes: u64,
    secrets: Secrets,
}

impl Requester {
    /// Creates the requester. `root` is the one that has answered before; `token` is the result of the access token
    /// function.
    pub fn new(config: &Config, root: Option<String>, token: Option<String>) -> Self {
        let options = &config.options;
        let mut headers =
            vec![("accept".to_owned(), "application/json".to_owned()), ("apikey".to_owned(), options.key.clone())];
        // Without this header PostgREST serves its first schema, whatever its name.
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

    /// Returns the present root.
    pub fn root(&self) -> &str {
        &self.root
    }

    /// Notes that PostgREST has answered under the root. Returns whether that wasn't known before.
    pub fn accepted(&mut self) -> bool {
        !std::mem::replace(&mut self.proved, true)
    }

    /// Replaces the token by a fresh one.
    pub fn renewed(&mut self, token: Option<String>) {
        token.iter().for_each(|token| self.secrets.add(token));
        self.token = token;
    }

    /// Returns the secrets sent with the requests so far, which must not be stored or shown.
    pub fn secrets(&self) -> &Secrets {
        &self.secrets
    }

    /// Returns the `remote.url` that a redirect suggests. `url` is the request's, under the present root; `location`
    /// the header's.
    pub fn moved_root(&self, url: &str, location: &str) -> Option<String> {
        let path = url.strip_prefix(&self.root)?.split('?').next()?;
        let root = location.strip_suffix(path)?;
        let given = if self.other_root.is_some() { root.strip_suffix("/rest/v1").unwrap_or(root) } else { root };
        Some(given.to_owned())
    }

    /// Returns whether the user configured an access token function.
    pub fn has_access_token(&self) -> bool {
        self.has_access_token
    }

    /// Builds a request with all headers and credentials. `prefer` is the value of the header `Prefer`, if not empty.
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

    /// Switches to the other root. Returns `false` if there is none, if the present one has answered, or if both were
    /// tried; then the next request starts with the first root again.
    pub fn try_other_root(&mut self) -> bool {
        let Some(other) = self.other_root.as_mut().filter(|_| !self.proved) else { return false };
        std::mem::swap(other, &mut self.root);
        self.tried = !self.tried;
        self.tried
    }
}

/// A request for one page.
pub struct Request<'a> {
    /// The table, its columns and filters.
    pub selection: &'a Selection,
    /// The rows.
    pub range: &'a Range,
    /// Maximum number of rows.
    pub limit: u32,
    /// How to count all rows, as the `Prefer` header has it. Empty: not at all.
    pub count: &'static str,
}

impl Request<'_> {
    /// Builds a HEAD request, which returns the number of rows and no row.
    pub fn head(&self, requester: &Requester) -> HttpRequest {
        HttpRequest { method: Method::Head, ..self.build(requester) }
    }

    /// Builds the GET request of the page.
    pub fn build(&self, requester: &Requester) -> HttpRequest {
        let url = self.selection.url(&requester.root, self.range, self.limit);
        requester.request(Method::Get, url, self.count, None)
    }
}
