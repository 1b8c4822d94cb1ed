//! HTTP by ureq, which blocks: each request has a thread of its own, which wakes the engine's at its end.

#[cfg(test)]
mod tests;

use std::{io::Read, sync::Arc, thread, time::Duration};

use futures_channel::oneshot;
use ureq::{
    Agent,
    http::{self, HeaderMap, HeaderValue},
    tls::{Certificate, PemItem, RootCerts, TlsConfig, parse_pem},
};

use crate::{
    error::{Error, Result},
    ports::{Http, HttpFailure, HttpRequest, HttpResponse, LocalFuture, Method},
};

/// The largest body of an error that is read, in bytes; the rest is left out.
const MAX_ERROR_BYTES: u64 = 1024 * 1024;
/// The size of the pieces in which a body is read, in bytes.
const PIECE_BYTES: usize = 64 * 1024;
/// As many connections stay open as sync has requests in flight at once.
const IDLE_CONNECTIONS: usize = 6;

/// A client with its open connections. Dropping it ends the requests in flight.
pub struct HttpClient(Agent);

impl HttpClient {
    /// Creates a client that trusts the given certificates, in PEM form; `None`: the public authorities, as Mozilla
    /// lists them. Fails with `invalid_argument` when there is no certificate in the text.
    pub fn new(root_certificates: Option<&[u8]>) -> Result<Self> {
        let roots = match root_certificates {
            Some(pem) => RootCerts::Specific(Arc::new(certificates_of(pem)?)),
            None => RootCerts::WebPki,
        };
        let config = Agent::config_builder()
            .tls_config(TlsConfig::builder().root_certs(roots).build())
            .http_status_as_error(false)
            // Another host would receive the credentials.
            .max_redirects(0)
            .max_redirects_will_error(false)
            .user_agent(concat!("tidelock/", env!("CARGO_PKG_VERSION")))
            .max_idle_connections_per_host(IDLE_CONNECTIONS)
            .build();
        Ok(Self(Agent::new_with_config(config)))
    }
}

/// Returns the certificates of a text in PEM form. Fails with `invalid_argument` when there is none.
pub fn certificates_of(pem: &[u8]) -> Result<Vec<Certificate<'static>>> {
    let unreadable = |cause: String| {
        Error::invalid("remote.root_certificates has no certificate that can be read")
            .hint("Pass the text of a PEM file: -----BEGIN CERTIFICATE-----")
            .detail("option", "remote.root_certificates")
            .cause(cause)
    };
    let items: Result<Vec<PemItem>, _> = parse_pem(pem).collect();
    let items = items.map_err(|error| unreadable(error.to_string()))?;
    let certificates = items.into_iter().filter_map(|item| match item {
        PemItem::Certificate(certificate) => Some(certificate),
        _ => None,
    });
    let certificates: Vec<_> = certificates.collect();
    if certificates.is_empty() {
        return Err(unreadable("no certificate".to_owned()));
    }
    Ok(certificates)
}

impl Drop for HttpClient {
    fn drop(&mut self) {
        self.0.clone().shutdown();
    }
}

impl Http for HttpClient {
    /// A request that is no longer wanted ends with the next piece of its body, or at its timeout.
    fn send(&self, request: HttpRequest) -> LocalFuture<'static, Result<HttpResponse, HttpFailure>> {
        let agent = self.0.clone();
        let (reply, answer) = oneshot::channel();
        let exchange = move || {
            let answer = exchange(&agent, &request, &|| reply.is_canceled());
            let _ = reply.send(answer);
        };
        let started = thread::Builder::new().name("tidelock http".to_owned()).spawn(exchange);
        Box::pin(async move {
            started.map_err(|error| HttpFailure::Network(format!("the system has no thread: {error}")))?;
            answer.await.unwrap_or_else(|_| Err(HttpFailure::Network("the thread of the request panicked".to_owned())))
        })
    }
}

fn exchange(
    agent: &Agent,
    request: &HttpRequest,
    is_cancelled: &dyn Fn() -> bool,
) -> Result<HttpResponse, HttpFailure> {
    let mut response = ask(agent, request).map_err(failure)?;
    let status = response.status().as_u16();
    if response.status().is_redirection() {
        let location = response.headers().get(http::header::LOCATION);
        let location = location.map(|value| place_of(&text(value), &request.url));
        let headers = location.into_iter().map(|location| ("location".to_owned(), location)).collect();
        return Ok(HttpResponse { status, headers, body: Vec::new() });
    }
    let headers = headers_of(response.headers());
    // What a HEAD announces, such as a compression, is not there.
    let body = if request.method == Method::Head {
        Vec::new()
    } else {
        read_body(response.body_mut().as_reader(), status >= 400, request.max_bytes, is_cancelled)?
    };
    Ok(HttpResponse { status, headers, body })
}

/// Sends a request, and waits for the headers of its response.
fn ask(agent: &Agent, request: &HttpRequest) -> Result<http::Response<ureq::Body>, ureq::Error> {
    // ureq knows schemes in lower case only.
    let (scheme, rest) = request.url.split_once(':').unwrap_or_default();
    let url = format!("{}:{rest}", scheme.to_ascii_lowercase());
    let mut asking = http::Request::builder().method(request.method.as_str()).uri(url);
    for (name, value) in &request.headers {
        // Header values are Latin-1.
        let value: Vec<u8> = value.chars().map(|char| u8::try_from(char).unwrap_or(b'?')).collect();
        asking = asking.header(name, HeaderValue::from_bytes(&value).map_err(http::Error::from)?);
    }
    let timeout = Some(Duration::from_millis(request.timeout_ms));
    match (&request.body, request.method) {
        (None, Method::Get | Method::Head | Method::Delete) => {
            agent.run(agent.configure_request(asking.body(())?).timeout_global(timeout).build())
        }
        (body, _) => {
            let body = body.as_deref().unwrap_or_default();
            agent.run(agent.configure_request(asking.body(body)?).timeout_global(timeout).build())
        }
    }
}

fn headers_of(headers: &HeaderMap) -> Vec<(String, String)> {
    headers.iter().map(|(name, value)| (name.as_str().to_owned(), text(value))).collect()
}

fn text(value: &HeaderValue) -> String {
    String::from_utf8_lossy(value.as_bytes()).into_owned()
}

/// Reads a body that may have `max_bytes` bytes; that of an error is read up to a limit.
fn read_body(
    mut reader: impl Read,
    is_error: bool,
    max_bytes: u64,
    is_cancelled: &dyn Fn() -> bool,
) -> Result<Vec<u8>, HttpFailure> {
    let limit = if is_error { max_bytes.min(MAX_ERROR_BYTES) } else { max_bytes };
    let limit = usize::try_from(limit).unwrap_or(usize::MAX);
    let mut body = Vec::new();
    let mut piece = vec![0; PIECE_BYTES];
    loop {
        if is_cancelled() {
            return Err(HttpFailure::Network("the request was cancelled".to_owned()));
        }
        let read = reader.read(&mut piece).map_err(|error| failure(error.into()))?;
        let room = limit - body.len();
        if read > room && !is_error {
            return Err(HttpFailure::TooLarge { limit: max_bytes });
        }
        body.try_reserve(read.min(room)).map_err(|_| HttpFailure::NoMemory)?;
        body.extend_from_slice(&piece[..read.min(room)]);
        if read == 0 || read > room {
            return Ok(body);
        }
    }
}

fn failure(error: ureq::Error) -> HttpFailure {
    match error {
        ureq::Error::Timeout(_) => HttpFailure::Timeout,
        error => HttpFailure::Network(error.to_string()),
    }
}

/// Returns where a redirect of the request to `url` leads: absolute, and without what may hold secrets.
fn place_of(location: &str, url: &str) -> String {
    let location = location.split(['?', '#']).next().unwrap_or_default();
    let url = url.split('?').next().unwrap_or_default();
    let (scheme, rest) = url.split_once("://").unwrap_or(("", url));
    let (host, path) = rest.split_once('/').unwrap_or((rest, ""));
    let (scheme, target) = match location.split_once("://") {
        Some((scheme, target)) => (scheme, target.to_owned()),
        None => match (location.strip_prefix("//"), location.strip_prefix('/')) {
            (Some(target), _) => (scheme, target.to_owned()),
            (None, Some(path)) => (scheme, format!("{host}/{path}")),
            (None, None) => {
                let folder = path.rsplit_once('/').map_or("", |(folder, _)| folder);
                (scheme, format!("{host}/{folder}{}{location}", if folder.is_empty() { "" } else { "/" }))
            }
        },
    };
    let (authority, path) = target.split_once('/').unwrap_or((&target, ""));
    let host = authority.rsplit_once('@').map_or(authority, |(_, host)| host);
    format!("{scheme}://{host}/{path}")
}
