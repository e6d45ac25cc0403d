//! The answer of `Batch`: messages of calls come in, messages of results go out. Both directions move when the
//! connection asks for the next message, so a client that does not read is not read from either.

use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use futures_util::Stream;
use tokio::time::{Instant, Sleep, sleep_until};
use tonic::Status;

use crate::batch::{Batch, CHUNK};
use crate::contract::batchwire::v1::{self as pb, BatchRequest, BatchResponse};

/// Calls of a batch that are read and not yet sent as results; above it nothing is read.
const MAX_PENDING: usize = 1024;
/// Results are sent this long after the message before, unless they fill a chunk or nothing else is to come: a message
/// costs as much as several results.
const LINGER: Duration = Duration::from_millis(4);

pub struct Answers<I, S, F> {
    /// None: no further calls come.
    calls: Option<I>,
    batch: Batch<S, F>,
    failure: Option<Status>,
    ended: bool,
    sent: Instant,
    timer: Pin<Box<Sleep>>,
}

impl<I, S, F> Answers<I, S, F>
where
    I: Stream<Item = Result<BatchRequest, Status>> + Unpin,
    S: Fn(usize, pb::Call) -> F,
    F: Future<Output = (usize, pb::Result)>,
{
    pub fn new(calls: I, batch: Batch<S, F>, first: BatchRequest) -> Self {
        let now = Instant::now();
        let timer = Box::pin(sleep_until(now));
        let mut answers = Self { calls: Some(calls), batch, failure: None, ended: false, sent: now, timer };
        answers.admit(Ok(first));
        answers
    }

    fn admit(&mut self, message: Result<BatchRequest, Status>) {
        if let Err(failure) = message.and_then(|message| self.batch.admit(message.calls)) {
            self.failure = Some(failure);
            self.calls = None;
        }
    }

    fn read(&mut self, context: &mut Context<'_>) {
        while let Some(calls) = &mut self.calls {
            if self.batch.pending + self.batch.results.len() >= MAX_PENDING {
                return;
            }
            match Pin::new(calls).poll_next(context) {
                Poll::Ready(Some(message)) => self.admit(message),
                Poll::Ready(None) => self.calls = None,
                Poll::Pending => return,
            }
        }
    }

    /// Ready when what there is should be sent.
    fn wait(&mut self, context: &mut Context<'_>) -> Poll<()> {
        if self.batch.results.is_empty() {
            return Poll::Pending;
        }
        if self.batch.pending == 0 || self.batch.held >= CHUNK || self.sent.elapsed() >= LINGER {
            return Poll::Ready(());
        }
        let due = self.sent + LINGER;
        if self.timer.deadline() != due {
            self.timer.as_mut().reset(due);
        }
        self.timer.as_mut().poll(context)
    }

    /// The end: the last message, or why there is none.
    fn end(&mut self) -> Option<Result<BatchResponse, Status>> {
        if self.failure.is_some() && !self.batch.results.is_empty() {
            return Some(Ok(BatchResponse { results: self.batch.take(), summary: None }));
        }
        if std::mem::replace(&mut self.ended, true) {
            return None;
        }
        Some(match self.failure.take() {
            Some(failure) => Err(failure),
            None => Ok(BatchResponse { results: self.batch.take(), summary: Some(self.batch.summarize()) }),
        })
    }
}

impl<I, S, F> Stream for Answers<I, S, F>
where
    I: Stream<Item = Result<BatchRequest, Status>> + Unpin,
    S: Fn(usize, pb::Call) -> F + Unpin,
    F: Future<Output = (usize, pb::Result)>,
{
    type Item = Result<BatchResponse, Status>;

    fn poll_next(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let this = self.get_mut();
        this.read(context);
        this.batch.drive(context);
        if this.calls.is_none() && this.batch.pending == 0 {
            return Poll::Ready(this.end());
        }
        ready!(this.wait(context));
        this.sent = Instant::now();
        Poll::Ready(Some(Ok(BatchResponse { results: this.batch.take(), summary: None })))
    }
}
