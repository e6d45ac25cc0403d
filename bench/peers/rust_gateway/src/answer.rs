//! The answer to a call: how it is read from the upstream, or made by the gateway.

use bytes::{Bytes, BytesMut};
use http::header::{self, HeaderMap, HeaderName, HeaderValue};
use http::{Response, StatusCode};
use http_body_util::BodyExt;
use hyper::body::{Body, Incoming};

use crate::contract::batchwire::v1::{self as pb, Outcome};

const MAX_RESPONSE_BYTES: usize = 16 << 20;
/// A body up to this is copied, so that hyper can use its read buffer for the next answer instead of making another.
const COPIED_BYTES: usize = 4 << 10;

/// The answer of the gateway itself to a call. Code and message need no escape in JSON.
pub struct Refusal {
    pub status: u16,
    pub outcome: Outcome,
    pub code: &'static str,
    pub message: &'static str,
}

pub fn refuse(id: String, refusal: &Refusal) -> pb::Result {
    let body = format!(r#"{{"error":{{"code":"{}","message":"{}"}}}}"#, refusal.code, refusal.message);
    pb::Result {
        id,
        status: refusal.status.into(),
        headers: vec![pb::Header { name: "content-type".into(), value: "application/json".into() }],
        body: Some(body.into()),
        outcome: refusal.outcome.into(),
        timings: Some(pb::Timings::default()),
        ..Default::default()
    }
}

/// Reads an answer to its end. None: it broke off or is too large.
pub async fn read(id: String, response: Response<Incoming>) -> Option<pb::Result> {
    let (head, body) = response.into_parts();
    let body = read_body(body).await?;
    let outcome = if head.status.is_success() { Outcome::Succeeded } else { Outcome::Failed };
    Some(pb::Result {
        id,
        status: StatusCode::as_u16(&head.status).into(),
        headers: fields(&head.headers),
        body: (!body.is_empty()).then_some(body),
        outcome: outcome.into(),
        ..Default::default()
    })
}

async fn read_body(mut body: Incoming) -> Option<Bytes> {
    if body.size_hint().lower() > MAX_RESPONSE_BYTES as u64 {
        return None;
    }
    let mut whole = Bytes::new();
    let mut parts = BytesMut::new();
    while let Some(frame) = body.frame().await {
        let Ok(data) = frame.ok()?.into_data() else { continue };
        if whole.len() + parts.len() + data.len() > MAX_RESPONSE_BYTES {
            return None;
        }
        if whole.is_empty() && parts.is_empty() {
            whole = data;
        } else {
            if parts.is_empty() {
                parts.extend_from_slice(&std::mem::take(&mut whole));
            }
            parts.extend_from_slice(&data);
        }
    }
    if !parts.is_empty() {
        return Some(parts.freeze());
    }
    Some(if whole.len() <= COPIED_BYTES { Bytes::copy_from_slice(&whole) } else { whole })
}

fn fields(headers: &HeaderMap) -> Vec<pb::Header> {
    let mut found = Vec::with_capacity(headers.len());
    for (name, value) in headers {
        if !hop_by_hop(name.as_str()) && !named_by_connection(headers, name) {
            found.push(pb::Header { name: name.as_str().to_owned(), value: text(value) });
        }
    }
    found
}

fn hop_by_hop(name: &str) -> bool {
    matches!(
        name,
        "connection"
            | "keep-alive"
            | "proxy-authenticate"
            | "proxy-connection"
            | "te"
            | "trailer"
            | "transfer-encoding"
            | "upgrade"
    )
}

fn named_by_connection(headers: &HeaderMap, name: &HeaderName) -> bool {
    headers.get_all(header::CONNECTION).iter().any(|value| {
        value
            .as_bytes()
            .split(|byte| *byte == b',')
            .any(|token| token.trim_ascii().eq_ignore_ascii_case(name.as_str().as_bytes()))
    })
}

/// A header value of an upstream as UTF-8; bytes that are not are read as Latin-1.
fn text(value: &HeaderValue) -> String {
    match std::str::from_utf8(value.as_bytes()) {
        Ok(text) => text.to_owned(),
        Err(_) => value.as_bytes().iter().map(|byte| char::from(*byte)).collect(),
    }
}
