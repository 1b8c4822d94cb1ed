//! HTTP as the sync engine sees it: whole bodies up to a limit, no streaming.
//!
//! Redirects are never followed: another host would receive the credentials, and a `POST` could become a `GET`.

use super::LocalFuture;

/// The request methods that PostgREST understands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Method {
    /// Read.
    Get,
    /// Read the headers only.
    Head,
    /// Insert, upsert, or call a function.
    Post,
    /// Update.
    Patch,
    /// Delete.
    Delete,
}

impl Method {
    /// Returns the name on the wire.
    pub const fn as_str(self) -> &'static str {
        match self {
            Method::Get => "GET",
            Method::Head => "HEAD",
            Method::Post => "POST",
            Method::Patch => "PATCH",
            Method::Delete => "DELETE",
        }
    }
}

/// One request. The URL is absolute and fully escaped.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HttpRequest {
    /// The method.
    pub method: Method,
    /// The absolute, escaped URL.
    pub url: String,
    /// Header names (lower case) and values.
    pub headers: Vec<(String, String)>,
    /// The body, if any.
    pub body: Option<Vec<u8>>,
    /// Milliseconds after which the request is cancelled with [`HttpFailure::Timeout`].
    pub timeout_ms: u64,
    /// A body with more bytes than this is not read to its end: [`HttpFailure::TooLarge`].
    pub max_bytes: u64,
}

/// A complete answer: the body arrived to its last byte.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct HttpResponse {
    /// The status code.
    pub status: u16,
    /// Header names (lower case) and values, as far as CORS exposes them. The `location` of a redirect is absolute and
    /// ends with its path; pages can't read it.
    pub headers: Vec<(String, String)>,
    /// The body, decompressed.
    pub body: Vec<u8>,
}

impl HttpResponse {
    /// Returns the value of a header, by its lower-case name.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str())
    }
}

/// Why there is no complete response.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum HttpFailure {
    /// No connection, a dropped one, or a body that ended early; with the platform's message.
    Network(String),
    /// No complete response within the request's `timeout_ms`.
    Timeout,
    /// A body of more than the request's `max_bytes`.
    TooLarge {
        /// The limit in bytes.
        limit: u64,
    },
    /// There is no memory for the body.
    NoMemory,
}

/// Sends requests. Dropping the returned future aborts the request.
pub trait Http {
    /// Sends one request and waits for the complete response, whatever its status.
    fn send(&self, request: HttpRequest) -> LocalFuture<'static, Result<HttpResponse, HttpFailure>>;
}
