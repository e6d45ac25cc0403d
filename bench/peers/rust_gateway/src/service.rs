//! The two RPCs: moves messages between gRPC and a batch.

use std::future::poll_fn;
use std::pin::Pin;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use futures_util::Stream;
use tokio::time::Instant;
use tonic::metadata::MetadataMap;
use tonic::{Request, Response, Status, Streaming};

use crate::batch::Batch;
use crate::caller::{Caller, duration};
use crate::contract::batchwire::v1::batch_service_server::BatchService;
use crate::contract::batchwire::v1::{
    self as pb, BatchOptions, BatchRequest, BatchResponse, ExecuteRequest, ExecuteResponse, ResultOrder,
};
use crate::contract::google::api::HttpBody;
use crate::request::Common;
use crate::stream::Answers;

/// The answer of Execute is one message; a larger one would be refused by the client.
const MAX_EXECUTE_BYTES: usize = 64 << 20;

type Answer<T> = Pin<Box<dyn Stream<Item = Result<T, Status>> + Send>>;

/// BatchService with Execute and Batch.
pub struct Gateway {
    pub caller: Arc<Caller>,
    pub in_flight: usize,
}

/// What all calls of a batch have in common.
struct Context {
    caller: Arc<Caller>,
    common: Common,
    began: Instant,
    latest: Option<Instant>,
}

impl Context {
    async fn run(self: Arc<Self>, number: usize, call: pb::Call) -> (usize, pb::Result) {
        let started = Instant::now();
        let mut result = self.caller.run(call, &self.common, started, self.latest).await;
        result.timings = Some(pb::Timings {
            started_us: started.duration_since(self.began).as_micros() as u64,
            elapsed_us: started.elapsed().as_micros() as u64,
        });
        (number, result)
    }
}

impl Gateway {
    fn context(&self, options: BatchOptions, metadata: &MetadataMap) -> Result<Arc<Context>, Status> {
        if options.result_order() == ResultOrder::Request {
            return Err(Status::unimplemented("results come as they finish only"));
        }
        let began = Instant::now();
        let limits = [options.deadline.map(duration), rpc_timeout(metadata)];
        let latest = limits.into_iter().flatten().min().map(|limit| began + limit);
        let common = Common::new(options.headers);
        Ok(Arc::new(Context { caller: self.caller.clone(), common, began, latest }))
    }
}

/// The client's own deadline, in gRPC's notation: at most eight digits and a unit.
fn rpc_timeout(metadata: &MetadataMap) -> Option<Duration> {
    let text = metadata.get("grpc-timeout")?.to_str().ok()?;
    let (digits, unit) = text.split_at_checked(text.len().checked_sub(1)?)?;
    let amount = digits.parse::<u32>().ok()?;
    Some(match unit {
        "H" => Duration::from_secs(3600) * amount,
        "M" => Duration::from_secs(60) * amount,
        "S" => Duration::from_secs(1) * amount,
        "m" => Duration::from_millis(1) * amount,
        "u" => Duration::from_micros(1) * amount,
        "n" => Duration::from_nanos(1) * amount,
        _ => return None,
    })
}

#[tonic::async_trait]
impl BatchService for Gateway {
    type BatchStream = Answer<BatchResponse>;
    type BatchJsonStream = Answer<HttpBody>;
    type BatchHttpStream = Answer<HttpBody>;

    async fn execute(&self, request: Request<ExecuteRequest>) -> Result<Response<ExecuteResponse>, Status> {
        let (metadata, _, request) = request.into_parts();
        let options = request.options.unwrap_or_default();
        let stops = options.continue_on_error == Some(false);
        let context = self.context(options, &metadata)?;
        let began = context.began;
        let start = move |number, call| context.clone().run(number, call);
        let mut batch = Batch::new(began, self.in_flight, stops, start);
        batch.admit(request.calls)?;
        let mut size = 0;
        poll_fn(|waker| {
            loop {
                let more = batch.drive(waker);
                size += std::mem::take(&mut batch.held);
                if size > MAX_EXECUTE_BYTES {
                    let text = "the answer does not fit one message; use Batch";
                    return Poll::Ready(Err(Status::resource_exhausted(text)));
                }
                if batch.pending == 0 {
                    return Poll::Ready(Ok(()));
                }
                if !more {
                    return Poll::Pending;
                }
            }
        })
        .await?;
        Ok(Response::new(ExecuteResponse { results: batch.take(), summary: Some(batch.summarize()) }))
    }

    async fn batch(&self, request: Request<Streaming<BatchRequest>>) -> Result<Response<Self::BatchStream>, Status> {
        let (metadata, _, mut calls) = request.into_parts();
        let mut first = calls.message().await?.unwrap_or_default();
        let options = first.options.take().unwrap_or_default();
        let stops = options.continue_on_error == Some(false);
        let context = self.context(options, &metadata)?;
        let began = context.began;
        let start = move |number, call| context.clone().run(number, call);
        let batch = Batch::new(began, self.in_flight, stops, start);
        Ok(Response::new(Box::pin(Answers::new(calls, batch, first))))
    }

    async fn batch_json(&self, _: Request<Streaming<HttpBody>>) -> Result<Response<Self::BatchJsonStream>, Status> {
        Err(Status::unimplemented("only Execute and Batch are served"))
    }

    async fn batch_http(&self, _: Request<Streaming<HttpBody>>) -> Result<Response<Self::BatchHttpStream>, Status> {
        Err(Status::unimplemented("only Execute and Batch are served"))
    }
}
