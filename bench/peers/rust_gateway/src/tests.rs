//! The gateway against an upstream of the test, over loopback connections, as a client sees it.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::net::TcpListener;
use tonic::Code;

use crate::caller::Caller;
use crate::contract::batchwire::v1::batch_service_client::BatchServiceClient;
use crate::contract::batchwire::v1::{BatchOptions, BatchRequest, Call, ExecuteRequest, Header};
use crate::request::Base;
use crate::service::Gateway;

type TestClient = BatchServiceClient<Client<HttpConnector, tonic::body::Body>>;

/// Says what it was asked. /fail, /slow and /break do what they are named for.
async fn upstream(request: http::Request<Incoming>) -> Result<http::Response<Full<Bytes>>, std::io::Error> {
    let (head, body) = request.into_parts();
    let body = body.collect().await.map_err(std::io::Error::other)?.to_bytes();
    let values =
        |name: &str| head.headers.get_all(name).iter().map(|v| v.to_str().unwrap()).collect::<Vec<_>>().join(" ");
    let said = format!(
        "{} {} {}|{}|{}",
        head.method,
        head.uri,
        String::from_utf8_lossy(&body),
        values("x-a"),
        values("x-forwarded-for")
    );
    let mut answer = http::Response::builder().header("x-latin", &b"caf\xe9"[..]).header("keep-alive", "timeout=5");
    match head.uri.path() {
        "/fail" => answer = answer.status(500),
        "/slow" => tokio::time::sleep(Duration::from_millis(300)).await,
        "/break" => return Err(std::io::Error::other("as asked")),
        _ => {}
    }
    Ok(answer.body(Full::new(said.into())).unwrap())
}

async fn listen() -> (TcpListener, String) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    (listener, url)
}

async fn start() -> TestClient {
    let (calls, upstream_url) = listen().await;
    tokio::spawn(async move {
        loop {
            let io = TokioIo::new(calls.accept().await.unwrap().0);
            tokio::spawn(hyper::server::conn::http1::Builder::new().serve_connection(io, service_fn(upstream)));
        }
    });
    let (batches, url) = listen().await;
    let caller = Arc::new(Caller::new(Base::new(&upstream_url).unwrap(), 8));
    tokio::spawn(crate::server::serve(batches, Gateway { caller, in_flight: 4 }));
    let http = Client::builder(TokioExecutor::new()).http2_only(true).build_http();
    BatchServiceClient::with_origin(http, url.parse().unwrap())
}

fn get(id: &str, url: &str, depends_on: &[&str]) -> Call {
    let depends_on = depends_on.iter().map(ToString::to_string).collect();
    Call { id: id.into(), method: "get".into(), url: url.into(), depends_on, ..Default::default() }
}

fn header(name: &str, value: &str) -> Header {
    Header { name: name.into(), value: value.into() }
}

type Results = HashMap<String, crate::contract::batchwire::v1::Result>;

async fn execute(calls: Vec<Call>, options: Option<BatchOptions>) -> Results {
    let count = calls.len();
    let answer = start().await.execute(ExecuteRequest { options, calls }).await.unwrap().into_inner();
    assert_eq!((answer.summary.unwrap().calls as usize, answer.results.len()), (count, count));
    answer.results.into_iter().map(|result| (result.id.clone(), result)).collect()
}

#[tokio::test]
async fn headers_and_bodies_pass_both_ways() {
    let headers = vec![header("x-a", "1"), header("X-A", "2"), header("X-Forwarded-For", "1.2.3.4")];
    let call = Call { method: "POST".into(), body: Some("hello".into()), headers, ..get("1", "things?x=1", &[]) };
    let result = &execute(vec![call], None).await["1"];
    let body = result.body.as_deref().unwrap();
    assert_eq!((result.status, body), (200, &b"POST /things?x=1 hello|1 2|"[..]));
    let found: HashMap<_, _> = result.headers.iter().map(|header| (&*header.name, &*header.value)).collect();
    assert_eq!(found["x-latin"], "café");
    assert!(!found.contains_key("keep-alive") && found.contains_key("content-length"));
}

#[tokio::test]
async fn every_call_gets_its_status() {
    let short = prost_types::Duration { seconds: 0, nanos: 50_000_000 };
    let broken = vec![header("A", "b\r\nC: d")];
    let expected = [
        (get("good", "x", &[]), 200),
        (get("fail", "/fail", &[]), 500),
        (get("after-fail", "x", &["fail"]), 424),
        (get("after-good", "x", &["good"]), 200),
        (get("after-skipped", "x", &["after-fail"]), 424),
        (get("forward", "x", &["later"]), 424),
        (get("later", "x", &[]), 200),
        (Call { timeout: Some(short), ..get("late", "slow", &[]) }, 504),
        (get("break", "break", &[]), 502),
        (get("up", "../x", &[]), 400),
        (get("up-encoded", "a/%2e%2e/x", &[]), 400),
        (get("cut", "a%2", &[]), 400),
        (get("space", "a b?c d", &[]), 200),
        (get("other", "//other/x", &[]), 400),
        (get("absolute", "http://other/x", &[]), 400),
        (get("reference", "$good/x", &[]), 501),
        (Call { method: "TRACE".into(), ..get("method", "x", &[]) }, 400),
        (Call { body: Some("x".into()), ..get("body", "x", &[]) }, 400),
        (Call { headers: broken, ..get("header", "x", &[]) }, 400),
    ];
    let found = execute(expected.iter().map(|(call, _)| call.clone()).collect(), None).await;
    for (call, status) in expected {
        assert_eq!(found[&call.id].status, status, "{}: {:?}", call.id, found[&call.id].body);
    }
}

#[tokio::test]
async fn stops_after_failure_when_asked() {
    let options = BatchOptions { continue_on_error: Some(false), ..Default::default() };
    let calls = vec![
        get("slow", "slow", &[]),
        get("good", "x", &[]),
        get("fail", "fail", &["good"]),
        get("never", "x", &["slow"]),
    ];
    let found = execute(calls, Some(options)).await;
    assert_eq!((found["slow"].status, found["never"].status), (200, 424));
}

#[tokio::test]
async fn stream_of_many_calls() {
    const MESSAGES: usize = 60;
    const EACH: usize = 50;
    let messages = (0..MESSAGES).map(|i| BatchRequest {
        calls: (0..EACH).map(|j| get(&format!("{i}-{j}"), "x", &[])).collect(),
        ..Default::default()
    });
    let mut answers = start().await.batch(tokio_stream::iter(messages)).await.unwrap().into_inner();
    let (mut seen, mut summary) = (Results::new(), None);
    while let Some(answer) = answers.message().await.unwrap() {
        assert!(summary.is_none());
        summary = answer.summary;
        for result in answer.results {
            assert_eq!((result.status, result.body.as_deref()), (200, Some(&b"GET /x ||"[..])));
            assert!(seen.insert(result.id.clone(), result).is_none());
        }
    }
    assert_eq!((seen.len(), summary.unwrap().succeeded as usize), (MESSAGES * EACH, MESSAGES * EACH));
}

#[tokio::test]
async fn lone_result_is_sent_while_the_stream_is_open() {
    let (sender, receiver) = tokio::sync::mpsc::channel(1);
    let one = |id: usize| BatchRequest { calls: vec![get(&id.to_string(), "x", &[])], ..Default::default() };
    sender.send(one(0)).await.unwrap();
    let calls = tokio_stream::wrappers::ReceiverStream::new(receiver);
    let mut answers = start().await.batch(calls).await.unwrap().into_inner();
    for id in 0..3 {
        let answer = answers.message().await.unwrap().unwrap();
        assert_eq!((answer.results.len(), &*answer.results[0].id), (1, &*id.to_string()));
        assert!(answer.summary.is_none());
        sender.send(one(id + 1)).await.unwrap();
    }
}

#[tokio::test]
async fn broken_envelope_ends_the_batch() {
    let mut client = start().await;
    for calls in [vec![get("a", "x", &[]), get("a", "x", &[])], vec![get("", "x", &[])], vec![get("a b", "x", &[])]] {
        let refused = client.execute(ExecuteRequest { options: None, calls: calls.clone() }).await.unwrap_err();
        assert_eq!(refused.code(), Code::InvalidArgument);
        let messages = tokio_stream::iter([BatchRequest { options: None, calls }]);
        let mut answers = client.batch(messages).await.unwrap().into_inner();
        assert_eq!(answers.message().await.unwrap_err().code(), Code::InvalidArgument);
    }
}
