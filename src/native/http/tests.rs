//! The client against local servers that misbehave.

use std::{
    io::Write,
    net::{TcpListener, TcpStream},
    sync::mpsc,
    time::Instant,
};

use futures_executor::block_on;

use super::*;

/// Answers each request with `answer`, which gets its head and body → the server's URL.
fn serve(answer: impl Fn(&str, &mut TcpStream) -> std::io::Result<()> + Send + Sync + 'static) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let answer = Arc::new(answer);
    thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            let answer = answer.clone();
            thread::spawn(move || one_connection(stream, &*answer));
        }
    });
    url
}

/// Serves requests until the other side closes, or the answer fails.
fn one_connection(mut stream: TcpStream, answer: &dyn Fn(&str, &mut TcpStream) -> std::io::Result<()>) {
    let mut received = Vec::new();
    let mut piece = [0; 4096];
    while let Ok(read) = stream.read(&mut piece) {
        if read == 0 {
            return;
        }
        received.extend_from_slice(&piece[..read]);
        let text = String::from_utf8_lossy(&received).into_owned();
        let Some((head, body)) = text.split_once("\r\n\r\n") else { continue };
        let length = head.lines().find_map(|line| line.strip_prefix("content-length: "));
        if body.len() < length.map_or(0, |length| length.parse().unwrap()) {
            continue;
        }
        received.clear();
        if answer(&text, &mut stream).is_err() {
            return;
        }
    }
}

fn reply(stream: &mut TcpStream, status: &str, headers: &str, body: &[u8]) -> std::io::Result<()> {
    write!(stream, "HTTP/1.1 {status}\r\ncontent-length: {}\r\n{headers}\r\n", body.len())?;
    stream.write_all(body)
}

fn request(method: Method, url: String) -> HttpRequest {
    HttpRequest { method, url, headers: Vec::new(), body: None, timeout_ms: 10_000, max_bytes: 1_000_000 }
}

fn send(request: HttpRequest) -> Result<HttpResponse, HttpFailure> {
    block_on(HttpClient::new(None).unwrap().send(request))
}

fn get(url: String) -> Result<HttpResponse, HttpFailure> {
    send(request(Method::Get, url))
}

/// A gzip file of so many zeros.
fn gzip(zeros: usize) -> Vec<u8> {
    // Stored blocks of zeros would be as long as the zeros: a fixed Huffman block repeats the one before.
    let mut bits = Bits::default();
    bits.push(0b011, 3);
    bits.code(0x30, 8);
    // The length 258 at the distance 1.
    for _ in 0..zeros / 258 {
        bits.code(0b1100_0101, 8);
        bits.code(0, 5);
    }
    bits.code(0, 7);
    let length = 1 + zeros / 258 * 258;
    let mut crc = u32::MAX;
    for _ in 0..length {
        for _ in 0..8 {
            crc = if crc & 1 == 1 { crc >> 1 ^ 0xedb8_8320 } else { crc >> 1 };
        }
    }
    let head = [0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 255];
    [&head[..], &bits.bytes, &(!crc).to_le_bytes(), &(length as u32).to_le_bytes()].concat()
}

#[derive(Default)]
struct Bits {
    bytes: Vec<u8>,
    used: u32,
}

impl Bits {
    /// Adds bits, the lowest first.
    fn push(&mut self, value: u32, count: u32) {
        for at in 0..count {
            if self.used.is_multiple_of(8) {
                self.bytes.push(0);
            }
            *self.bytes.last_mut().unwrap() |= ((value >> at & 1) as u8) << (self.used % 8);
            self.used += 1;
        }
    }

    /// Adds a Huffman code, the highest bit first.
    fn code(&mut self, value: u32, count: u32) {
        self.push(value.reverse_bits() >> (32 - count), count);
    }
}

#[test]
fn what_is_sent_arrives_as_it_is() {
    let (heads, seen) = mpsc::channel();
    let url = serve(move |head, stream| {
        heads.send(head.to_owned()).unwrap();
        reply(stream, "201 Created", "X-Odd: a\r\nx-latin: \u{fc}\r\n", b"[1]")
    });
    let client = HttpClient::new(None).unwrap();
    let headers = vec![("apikey".to_owned(), "k\u{e9}y".to_owned()), ("prefer".to_owned(), "a=b".to_owned())];
    let post = HttpRequest {
        headers: headers.clone(),
        body: Some(b"{}".to_vec()),
        ..request(Method::Post, format!("{url}/t?a=eq.1%2B"))
    };
    for (method, body) in [(Method::Patch, Some(&b"{}"[..])), (Method::Delete, None), (Method::Post, None)] {
        let other = HttpRequest { method, body: body.map(<[u8]>::to_vec), ..post.clone() };
        assert_eq!(block_on(client.send(other)).unwrap().status, 201, "{method:?}");
        let head = seen.recv().unwrap();
        assert!(head.starts_with(method.as_str()), "{head}");
        assert_eq!(head.contains("content-length: "), method != Method::Delete, "{head}");
    }
    let answer = block_on(client.send(HttpRequest { url: post.url.replace("http", "HTTP"), ..post })).unwrap();
    assert_eq!((answer.status, &*answer.body, answer.header("x-odd")), (201, &b"[1]"[..], Some("a")));
    let head = seen.recv().unwrap();
    assert!(head.starts_with("POST /t?a=eq.1%2B HTTP/1.1\r\n") && head.ends_with("\r\n\r\n{}"), "{head}");
    let own = concat!("user-agent: tidelock/", env!("CARGO_PKG_VERSION"), "\r\n");
    for line in [own, "accept-encoding: gzip\r\n", "prefer: a=b\r\n", "content-length: 2\r\n", "apikey: k\u{fffd}y\r\n"]
    {
        assert!(head.contains(line), "{line} in {head}");
    }
}

#[test]
fn a_head_has_no_body_whatever_it_announces() {
    let url = serve(|_, stream| {
        stream.write_all(
            b"HTTP/1.1 200 OK\r\ncontent-length: 90\r\ncontent-encoding: gzip\r\ncontent-range: 0-1/7\r\n\r\n",
        )
    });
    let answer = send(request(Method::Head, url)).unwrap();
    assert_eq!((answer.body.len(), answer.header("content-range")), (0, Some("0-1/7")));
}

#[test]
fn redirects_are_not_followed_and_their_targets_hold_no_secrets() {
    let url = serve(|head, stream| match head.starts_with("GET /moved") {
        true => reply(stream, "302 Found", "location: http://u:p@other.example/rest?apikey=secret#s\r\n", b"<html>"),
        false => reply(stream, "200 OK", "", b"followed"),
    });
    let answer = get(format!("{url}/moved")).unwrap();
    assert_eq!((answer.status, answer.body.len()), (302, 0));
    assert_eq!(answer.headers, [("location".to_owned(), "http://other.example/rest".to_owned())]);
    let here = "https://host:8/a/b?x=1";
    for (location, place) in [
        ("/c?d", "https://host:8/c"),
        ("//else/c", "https://else/c"),
        ("c", "https://host:8/a/c"),
        ("http://else", "http://else/"),
    ] {
        assert_eq!(place_of(location, here), place);
    }
}

#[test]
fn larger_bodies_than_allowed_are_not_read_also_when_they_are_compressed() {
    let sent = gzip(4_000_000);
    assert!(sent.len() < 300_000, "{}", sent.len());
    let url = serve(move |head, stream| match head {
        head if head.starts_with("GET /bomb") => reply(stream, "200 OK", "content-encoding: gzip\r\n", &sent),
        head if head.starts_with("GET /error") => reply(stream, "500 No", "content-encoding: gzip\r\n", &sent),
        head if head.starts_with("GET /small") => reply(stream, "200 OK", "content-encoding: gzip\r\n", &gzip(258)),
        head if head.starts_with("GET /exact") => reply(stream, "200 OK", "", &[b' '; 1000]),
        _ => {
            stream.write_all(b"HTTP/1.1 200 OK\r\n\r\n")?;
            loop {
                stream.write_all(&[b' '; 10_000])?;
            }
        }
    });
    let limited = |path: &str| send(HttpRequest { max_bytes: 1000, ..request(Method::Get, format!("{url}{path}")) });
    for path in ["/bomb", "/endless"] {
        assert_eq!(limited(path), Err(HttpFailure::TooLarge { limit: 1000 }), "{path}");
    }
    assert_eq!(limited("/exact").unwrap().body.len(), 1000);
    assert_eq!(limited("/small").unwrap().body, [0; 259]);
    assert_eq!(limited("/error").unwrap().body.len(), 1000, "the beginning of an error is enough");
    let error = send(HttpRequest { max_bytes: u64::MAX, ..request(Method::Get, format!("{url}/error")) }).unwrap();
    assert_eq!((error.status, error.body.len() as u64), (500, MAX_ERROR_BYTES));
}

#[test]
fn what_ends_early_or_is_no_http_is_a_failure_of_the_network() {
    let url = serve(|head, stream| {
        match head.split(' ').nth(1).unwrap() {
            "/cut" => stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\n[1,2")?,
            "/chunk" => stream.write_all(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n9\r\n[1,2")?,
            "/gzip" => {
                let sent = gzip(2580);
                reply(stream, "200 OK", "content-encoding: gzip\r\n", &sent[..sent.len() - 9])?;
            }
            "/words" => stream.write_all(b"220 mail.example ESMTP\r\n\r\n")?,
            "/header" => loop {
                stream.write_all(b"HTTP/1.1 200 OK\r\nx: ")?;
                stream.write_all(&[b'x'; 10_000])?;
            },
            _ => {}
        }
        stream.shutdown(std::net::Shutdown::Both)
    });
    for path in ["/cut", "/chunk", "/gzip", "/words", "/header", "/nothing"] {
        let answer = get(format!("{url}{path}"));
        assert!(matches!(&answer, Err(HttpFailure::Network(text)) if !text.is_empty()), "{path}: {answer:?}");
    }
    let closed = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    for url in [format!("http://{closed}"), "http://no-such-host.invalid/".to_owned(), "http://a b/".to_owned()] {
        let answer = get(url);
        assert!(matches!(&answer, Err(HttpFailure::Network(text)) if !text.is_empty()), "{answer:?}");
    }
}

#[test]
fn slow_remotes_are_cancelled_at_the_timeout() {
    let url = serve(|head, stream| {
        let (head, pieces): (&[u8], &[u8]) = match head.split(' ').nth(1).unwrap() {
            "/silent" => (b"", b""),
            "/headers" => (b"HTTP/1.1 200 OK\r\n", b"x: x\r\n"),
            "/interim" => (b"", b"HTTP/1.1 102 Processing\r\n\r\n"),
            "/empty" => (b"HTTP/1.1 200 OK\r\ncontent-encoding: gzip\r\n\r\n", &gzip_without_content()),
            _ => (b"HTTP/1.1 200 OK\r\ncontent-length: 100000\r\n\r\n", b" "),
        };
        stream.write_all(head)?;
        loop {
            stream.write_all(pieces)?;
            thread::sleep(Duration::from_millis(10));
        }
    });
    for path in ["/silent", "/headers", "/interim", "/empty", "/body"] {
        let began = Instant::now();
        let answer = send(HttpRequest { timeout_ms: 300, ..request(Method::Get, format!("{url}{path}")) });
        assert_eq!(answer, Err(HttpFailure::Timeout), "{path}");
        assert!(began.elapsed() < Duration::from_secs(5), "{path}");
    }
}

/// A gzip member of no bytes.
fn gzip_without_content() -> Vec<u8> {
    [&[0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 255, 3, 0][..], &[0; 8]].concat()
}

#[test]
fn a_request_that_is_no_longer_wanted_ends_and_so_do_all_when_the_client_is_dropped() {
    let (ends, ended) = mpsc::channel();
    let (begins, began) = mpsc::channel();
    let url = serve(move |head, stream| {
        begins.send(()).unwrap();
        if head.starts_with("GET /body") {
            stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 100000000\r\n\r\n")?;
            while stream.write_all(b" ").is_ok() {
                thread::sleep(Duration::from_millis(1));
            }
        } else {
            // Until the other side closes.
            let _ = stream.read(&mut [0; 1]);
        }
        ends.send(()).unwrap();
        Ok(())
    });
    let client = HttpClient::new(None).unwrap();
    let long = |path: &str| HttpRequest { timeout_ms: 600_000, ..request(Method::Get, format!("{url}{path}")) };
    let unwanted = client.send(long("/body"));
    began.recv().unwrap();
    drop(unwanted);
    ended.recv_timeout(Duration::from_secs(10)).unwrap();
    let silent = client.send(long("/silent"));
    began.recv().unwrap();
    drop(client);
    assert!(matches!(block_on(silent), Err(HttpFailure::Network(_))));
    ended.recv_timeout(Duration::from_secs(10)).unwrap();
}

#[test]
fn certificates_are_read_and_must_be_there() {
    assert!(HttpClient::new(Some(include_bytes!("../../../tests/fixtures/tls/authority.pem"))).is_ok());
    for text in ["", "no PEM", "-----BEGIN CERTIFICATE-----\nAA\n"] {
        let error = HttpClient::new(Some(text.as_bytes())).err().expect(text);
        assert_eq!(error.code.as_str(), "invalid_argument");
    }
}
