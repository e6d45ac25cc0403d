//! Sends calls to the upstream. It must never follow a redirect, keep a cookie, or let a call run without a deadline.

use std::time::Duration;

use bytes::Bytes;
use http_body_util::Full;
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::{TokioExecutor, TokioTimer};
use tokio::sync::Semaphore;
use tokio::time::{Instant, timeout_at};

use crate::answer::{self, Refusal};
use crate::contract::batchwire::v1::{self as pb, Outcome};
use crate::request::{Base, Common, request};

const CALL_TIMEOUT: Duration = Duration::from_secs(30);
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
const IDLE_TIMEOUT: Duration = Duration::from_secs(30);

const TOO_LATE: Refusal =
    Refusal { status: 504, outcome: Outcome::TimedOut, code: "Timeout", message: "the upstream took too long" };
const UNREACHABLE: Refusal = Refusal {
    status: 502,
    outcome: Outcome::Unreachable,
    code: "BadGateway",
    message: "the upstream could not be reached or broke off",
};

/// Sends calls to one upstream.
pub struct Caller {
    base: Base,
    client: Client<HttpConnector, Full<Bytes>>,
    /// hyper-util's client opens as many connections as there are requests; these bound it.
    connections: Semaphore,
}

impl Caller {
    pub fn new(base: Base, connections: usize) -> Self {
        let mut connector = HttpConnector::new();
        connector.set_nodelay(true);
        connector.set_connect_timeout(Some(CONNECT_TIMEOUT));
        let client = Client::builder(TokioExecutor::new())
            .pool_timer(TokioTimer::new())
            .pool_idle_timeout(IDLE_TIMEOUT)
            .pool_max_idle_per_host(connections)
            .set_host(false)
            .build(connector);
        Self { base, client, connections: Semaphore::new(connections) }
    }

    /// Makes a call that starts now: the result is the upstream's answer, or 400, 501, 502 or 504.
    pub async fn run(&self, mut call: pb::Call, common: &Common, now: Instant, latest: Option<Instant>) -> pb::Result {
        let request = match request(&self.base, &mut call, common) {
            Ok(request) => request,
            Err(refusal) => return answer::refuse(call.id, &refusal),
        };
        let own = now + call.timeout.map_or(CALL_TIMEOUT, duration);
        let deadline = latest.map_or(own, |latest| latest.min(own));
        let id = call.id.clone();
        let exchange = async {
            // Held until the body is read: so long the connection is in use. Only a closed semaphore gives none.
            let _connection = self.connections.acquire().await.ok()?;
            answer::read(id, self.client.request(request).await.ok()?).await
        };
        match timeout_at(deadline, exchange).await {
            Ok(Some(result)) => result,
            Ok(None) => answer::refuse(call.id, &UNREACHABLE),
            Err(_) => answer::refuse(call.id, &TOO_LATE),
        }
    }
}

/// A duration of the contract; one below zero is over at once, and one past a year is as good as none.
pub fn duration(value: prost_types::Duration) -> Duration {
    const LONGEST: Duration = Duration::from_secs(365 * 24 * 3600);
    Duration::try_from(value).unwrap_or_default().min(LONGEST)
}
