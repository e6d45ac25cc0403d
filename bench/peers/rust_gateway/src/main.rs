//! The peer in Rust: the gateway as a good engineer would build it on tonic and hyper.
//!
//! It serves Execute and Batch of batchwire.v1 in front of one upstream, on one thread, with keep-alive connections,
//! dependsOn, bounds and deadlines. It has no atomicity groups, conditions, references, request order or document
//! dialects, and says so to a call that asks for them. It must never listen off loopback, nor answer a call that it did
//! not make.

mod answer;
mod batch;
mod caller;
mod contract;
mod request;
mod server;
mod service;
mod stream;
#[cfg(test)]
mod tests;

use std::process::ExitCode;
use std::sync::Arc;
use std::{env, error::Error};

use tokio::net::TcpListener;

use crate::caller::Caller;
use crate::request::Base;
use crate::service::Gateway;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

struct Options {
    upstream: String,
    connections: usize,
    in_flight: usize,
}

fn options(mut words: impl Iterator<Item = String>) -> Result<Options, Box<dyn Error>> {
    let mut found = Options { upstream: String::new(), connections: 128, in_flight: 64 };
    while let Some(name) = words.next() {
        let value = words.next().ok_or_else(|| format!("{name} needs a value"))?;
        match name.as_str() {
            "--upstream" => found.upstream = value,
            "--connections" => found.connections = value.parse()?,
            "--in-flight" => found.in_flight = value.parse()?,
            _ => return Err(format!("there is no option {name}").into()),
        }
    }
    if found.connections < 1 || found.in_flight < 1 {
        return Err("--connections and --in-flight must be at least 1".into());
    }
    Ok(found)
}

async fn run() -> Result<(), Box<dyn Error>> {
    let options = options(env::args().skip(1))?;
    let base = Base::new(&options.upstream).ok_or("--upstream must be an http URL")?;
    let caller = Arc::new(Caller::new(base, options.connections));
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    // The same line as batchwire's, so that the benchmark learns the address from either in one way.
    eprintln!(
        r#"{{"event": "listening", "front": "grpc", "address": "{}", "about": "{}, one thread, mimalloc"}}"#,
        listener.local_addr()?,
        env!("COMPILER"),
    );
    server::serve(listener, Gateway { caller, in_flight: options.in_flight }).await;
    Ok(())
}

fn main() -> ExitCode {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    match runtime.block_on(run()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(wrong) => {
            eprintln!("rust_gateway: {wrong}");
            ExitCode::FAILURE
        }
    }
}
