//! One batch in flight: what waits for what, what runs, and what has not been sent. It knows neither HTTP nor gRPC.
//!
//! All calls of a batch run inside the task that answers it: no locks, no channels, and no task a call.

use std::collections::{HashMap, VecDeque};
use std::pin::Pin;
use std::task::{Context, Poll};

use foldhash::fast::RandomState;
use futures_util::Stream;
use futures_util::stream::FuturesUnordered;
use tokio::time::Instant;
use tonic::Status;

use crate::answer::{self, Refusal};
use crate::contract::batchwire::v1::{self as pb, Outcome};

/// Bytes of results: with this much nothing goes on, and no call starts, before they are taken.
pub const CHUNK: usize = 128 << 10;

const DEPENDENCY: Refusal = Refusal {
    status: 424,
    outcome: Outcome::DependencyFailed,
    code: "FailedDependency",
    message: "a call that this one depends on failed",
};
const STOPPED: Refusal = Refusal {
    status: 424,
    outcome: Outcome::DependencyFailed,
    code: "BatchStopped",
    message: "an earlier call failed and the batch is to stop then",
};

#[derive(Clone, Copy, PartialEq)]
enum State {
    Open,
    Succeeded,
    Failed,
}

/// What is kept of a call as long as the batch lasts, and what waits for it.
struct Node {
    state: State,
    blocked: bool,
    waits: u32,
    dependents: Vec<usize>,
    parked: Option<Box<pb::Call>>,
}

/// `start` makes the future of a call, which gives back the call's number with its result.
pub struct Batch<S, F> {
    start: S,
    in_flight: usize,
    stops: bool,
    stopped: bool,
    began: Instant,
    nodes: Vec<Node>,
    by_id: HashMap<String, usize, RandomState>,
    ready: VecDeque<(usize, pb::Call)>,
    running: FuturesUnordered<F>,
    summary: pb::BatchSummary,
    /// Calls without a result.
    pub pending: usize,
    /// Results that nobody has taken, and the bytes of their bodies.
    pub results: Vec<pb::Result>,
    pub held: usize,
}

impl<S, F> Batch<S, F>
where
    S: Fn(usize, pb::Call) -> F,
    F: Future<Output = (usize, pb::Result)>,
{
    /// stops: whether no call is to start after one that failed.
    pub fn new(began: Instant, in_flight: usize, stops: bool, start: S) -> Self {
        Self {
            start,
            in_flight,
            stops,
            stopped: false,
            began,
            nodes: Vec::new(),
            by_id: HashMap::default(),
            ready: VecDeque::new(),
            running: FuturesUnordered::new(),
            summary: pb::BatchSummary::default(),
            pending: 0,
            results: Vec::new(),
            held: 0,
        }
    }

    /// Takes the calls of a message, which is checked whole before any of them starts.
    pub fn admit(&mut self, calls: Vec<pb::Call>) -> Result<(), Status> {
        let first = self.nodes.len();
        self.by_id.reserve(calls.len());
        for (number, call) in (first..).zip(&calls) {
            if !valid_id(&call.id) {
                return Err(Status::invalid_argument("a call has no valid id"));
            }
            if self.by_id.insert(call.id.clone(), number).is_some() {
                return Err(Status::invalid_argument(format!("the id {} is used by two calls", call.id)));
            }
        }
        self.nodes.reserve(calls.len());
        self.results.reserve(calls.len());
        self.pending += calls.len();
        for (number, call) in (first..).zip(calls) {
            self.enter(number, call);
        }
        Ok(())
    }

    /// Puts a call behind the others, or behind those that it depends on.
    fn enter(&mut self, number: usize, call: pb::Call) {
        let mut node = Node { state: State::Open, blocked: false, waits: 0, dependents: Vec::new(), parked: None };
        for id in &call.depends_on {
            let before = self.by_id.get(id).filter(|before| **before < number).map(|before| &mut self.nodes[*before]);
            match before {
                Some(before) if before.state == State::Open => {
                    node.waits += 1;
                    before.dependents.push(number);
                }
                Some(before) => node.blocked |= before.state == State::Failed,
                None => node.blocked = true,
            }
        }
        if node.waits == 0 {
            self.ready.push_back((number, call));
        } else {
            node.parked = Some(Box::new(call));
        }
        self.nodes.push(node);
    }

    /// Starts what may start and takes what has finished, until nothing moves. True: results fill a chunk, and are to be
    /// taken before it goes on.
    pub fn drive(&mut self, context: &mut Context<'_>) -> bool {
        while self.held < CHUNK {
            self.launch();
            match Pin::new(&mut self.running).poll_next(context) {
                Poll::Ready(Some((number, result))) => self.finish(number, result),
                Poll::Ready(None) | Poll::Pending => return false,
            }
        }
        true
    }

    fn launch(&mut self) {
        while self.running.len() < self.in_flight {
            let Some((number, call)) = self.ready.pop_front() else { return };
            if self.nodes[number].blocked {
                self.finish(number, answer::refuse(call.id, &DEPENDENCY));
            } else if self.stopped {
                self.finish(number, answer::refuse(call.id, &STOPPED));
            } else {
                self.running.push((self.start)(number, call));
            }
        }
    }

    /// Keeps a result and releases what waited for it.
    fn finish(&mut self, number: usize, result: pb::Result) {
        let succeeded = result.outcome() == Outcome::Succeeded;
        self.stopped |= self.stops && !succeeded;
        self.count(result.outcome());
        self.held += result.body.as_ref().map_or(0, |body| body.len());
        self.results.push(result);
        self.pending -= 1;
        self.nodes[number].state = if succeeded { State::Succeeded } else { State::Failed };
        for next in std::mem::take(&mut self.nodes[number].dependents) {
            let node = &mut self.nodes[next];
            node.waits -= 1;
            node.blocked |= !succeeded;
            if node.waits == 0 {
                self.ready.extend(node.parked.take().map(|call| (next, *call)));
            }
        }
    }

    fn count(&mut self, outcome: Outcome) {
        let summary = &mut self.summary;
        summary.calls += 1;
        match outcome {
            Outcome::Unspecified => {}
            Outcome::Succeeded => summary.succeeded += 1,
            Outcome::Failed => summary.failed += 1,
            Outcome::Refused => summary.refused += 1,
            Outcome::DependencyFailed => summary.dependency_failed += 1,
            Outcome::Unreachable => summary.unreachable += 1,
            Outcome::TimedOut => summary.timed_out += 1,
        }
    }

    /// The results that are there.
    pub fn take(&mut self) -> Vec<pb::Result> {
        self.held = 0;
        std::mem::take(&mut self.results)
    }

    /// The counts of a batch that has finished.
    pub fn summarize(&self) -> pb::BatchSummary {
        pb::BatchSummary { elapsed: prost_types::Duration::try_from(self.began.elapsed()).ok(), ..self.summary }
    }
}

fn valid_id(id: &str) -> bool {
    !id.is_empty() && id.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b'~'))
}
