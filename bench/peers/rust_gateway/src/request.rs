//! Makes the inner request of a call. It must never let a URL out of the service root, nor a client's hop-by-hop field
//! through.

use std::borrow::Cow;

use bytes::Bytes;
use http::header::{self, HeaderMap, HeaderName, HeaderValue};
use http::uri::{Authority, PathAndQuery, Scheme};
use http::{Method, Request, Uri};
use http_body_util::Full;

use crate::answer::Refusal;
use crate::contract::batchwire::v1::{self as pb, Outcome};

const NOT_IMPLEMENTED: Refusal = Refusal {
    status: 501,
    outcome: Outcome::Refused,
    code: "NotImplemented",
    message: "groups, conditions and references are not supported",
};

const fn bad(message: &'static str) -> Refusal {
    Refusal { status: 400, outcome: Outcome::Refused, code: "BadRequest", message }
}

/// Where all calls go, and under which path.
pub struct Base {
    authority: Authority,
    host: HeaderValue,
    path: String,
}

impl Base {
    pub fn new(url: &str) -> Option<Self> {
        let url: Uri = url.parse().ok()?;
        let authority = url.authority()?.clone();
        let host = HeaderValue::from_str(authority.as_str()).ok()?;
        let mut path = url.path().to_owned();
        if !path.ends_with('/') {
            path.push('/');
        }
        (url.scheme() == Some(&Scheme::HTTP)).then_some(Base { authority, host, path })
    }

    /// The target of a call under the base; nothing leads out of it.
    fn resolve(&self, text: String) -> Option<Uri> {
        if text.bytes().any(|byte| matches!(byte, b'#' | b'\\') || byte.is_ascii_control()) || text.starts_with("//") {
            return None;
        }
        if text.split(['/', '?']).next()?.contains(':') {
            return None;
        }
        let text = if text.starts_with('/') { text } else { [self.path.as_str(), text.as_str()].concat() };
        let path = decoded(text.split('?').next()?)?;
        if !path.starts_with(self.path.as_bytes()) || path.contains(&b'\\') {
            return None;
        }
        if path.split(|byte| *byte == b'/').any(|segment| matches!(segment, b"." | b"..")) {
            return None;
        }
        let mut parts = http::uri::Parts::default();
        parts.scheme = Some(Scheme::HTTP);
        parts.authority = Some(self.authority.clone());
        parts.path_and_query = Some(PathAndQuery::from_maybe_shared(Bytes::from(encoded(text))).ok()?);
        Uri::from_parts(parts).ok()
    }
}

/// A path with its percent-encoded bytes as they are meant; None when an escape is broken.
fn decoded(path: &str) -> Option<Cow<'_, [u8]>> {
    if !path.contains('%') {
        return Some(Cow::Borrowed(path.as_bytes()));
    }
    let mut rest = path.bytes();
    let mut found = Vec::with_capacity(path.len());
    let digit = |byte: Option<u8>| char::from(byte?).to_digit(16);
    while let Some(byte) = rest.next() {
        found.push(if byte == b'%' { (digit(rest.next())? << 4 | digit(rest.next())?) as u8 } else { byte });
    }
    Some(Cow::Owned(found))
}

/// What a request line cannot hold is percent-encoded.
fn encoded(text: String) -> String {
    let plain =
        |byte: u8| byte.is_ascii_graphic() && !matches!(byte, b'"' | b'<' | b'>' | b'`' | b'{' | b'}' | b'|' | b'^');
    if text.bytes().all(plain) {
        return text;
    }
    let mut found = String::with_capacity(text.len() * 3);
    for byte in text.bytes() {
        if plain(byte) {
            found.push(byte.into());
        } else {
            found.push_str(&format!("%{byte:02X}"));
        }
    }
    found
}

type Field = (HeaderName, HeaderValue);

/// The fields that are added to every call that has none of the same name; None: one of them is not valid.
pub struct Common(Option<Vec<Field>>);

impl Common {
    pub fn new(headers: Vec<pb::Header>) -> Self {
        Self(headers.into_iter().map(field).collect())
    }
}

fn field(header: pb::Header) -> Option<Field> {
    let name = HeaderName::from_bytes(header.name.as_bytes()).ok()?;
    Some((name, HeaderValue::from_maybe_shared(Bytes::from(header.value)).ok()?))
}

/// Fields of a call that are the connection's business, or that a client must not claim.
fn forwarded(name: &HeaderName) -> bool {
    !matches!(
        name.as_str(),
        "accept-encoding"
            | "batchwire-hop"
            | "connection"
            | "content-length"
            | "forwarded"
            | "host"
            | "keep-alive"
            | "proxy-authenticate"
            | "proxy-authorization"
            | "proxy-connection"
            | "te"
            | "trailer"
            | "transfer-encoding"
            | "true-client-ip"
            | "upgrade"
            | "via"
            | "x-real-ip"
    ) && !name.as_str().starts_with("x-forwarded-")
}

fn method(name: &str) -> Option<Method> {
    [Method::GET, Method::PUT, Method::POST, Method::PATCH, Method::DELETE]
        .into_iter()
        .find(|method| name.eq_ignore_ascii_case(method.as_str()))
}

/// The inner request of a call, or why it is refused. What it needs of the call is taken.
pub fn request(base: &Base, call: &mut pb::Call, common: &Common) -> Result<Request<Full<Bytes>>, Refusal> {
    if !call.atomicity_group.is_empty() || call.condition.is_some() || call.url.starts_with('$') {
        return Err(NOT_IMPLEMENTED);
    }
    let method = method(&call.method).ok_or(bad("the method is not supported"))?;
    let bodiless = method == Method::GET || method == Method::DELETE;
    if call.body.is_some() && bodiless {
        return Err(bad("a call of this method has no body"));
    }
    let target = base.resolve(std::mem::take(&mut call.url)).ok_or(bad("the URL is not one under the service root"))?;
    let common = common.0.as_ref().ok_or(bad("a header field of the batch is not valid"))?;
    let mut headers = HeaderMap::with_capacity(call.headers.len() + common.len() + 2);
    headers.insert(header::HOST, base.host.clone());
    for header in std::mem::take(&mut call.headers) {
        let (name, value) = field(header).ok_or(bad("a header field is not valid"))?;
        if forwarded(&name) {
            headers.append(name, value);
        }
    }
    for (name, value) in common {
        if forwarded(name) && !headers.contains_key(name) {
            headers.append(name.clone(), value.clone());
        }
    }
    let body = call.body.take().unwrap_or_default();
    if body.is_empty() && !bodiless {
        // hyper says nothing of a body that is not there, and some servers then wait for one.
        headers.insert(header::CONTENT_LENGTH, HeaderValue::from_static("0"));
    }
    let mut request = Request::new(Full::new(body));
    *request.method_mut() = method;
    *request.uri_mut() = target;
    *request.headers_mut() = headers;
    Ok(request)
}
