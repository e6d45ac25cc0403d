//! Accepts connections and speaks HTTP/2 on them. tonic's service stands on hyper directly: its own transport would put a
//! router and layers between them, which one service has no use for.

use std::time::Duration;

use hyper::server::conn::http2;
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::service::TowerToHyperService;
use tokio::net::TcpListener;

use crate::contract::batchwire::v1::batch_service_server::BatchServiceServer;
use crate::service::Gateway;

/// Of a stream and of a connection: a message of a batch and the next fit.
const WINDOW: u32 = 1 << 20;
/// After a connection could not be accepted, for want of a file descriptor for example.
const PAUSE: Duration = Duration::from_millis(10);

pub async fn serve(listener: TcpListener, gateway: Gateway) {
    let service = TowerToHyperService::new(BatchServiceServer::new(gateway));
    let mut http = http2::Builder::new(TokioExecutor::new());
    http.initial_stream_window_size(WINDOW).initial_connection_window_size(WINDOW).auto_date_header(false);
    loop {
        let Ok((stream, _)) = listener.accept().await else {
            tokio::time::sleep(PAUSE).await;
            continue;
        };
        // Fails on a connection that has ended already, which is then seen below.
        let _ = stream.set_nodelay(true);
        let connection = http.serve_connection(TokioIo::new(stream), service.clone());
        tokio::spawn(async move {
            // How a client left is the client's business.
            let _ = connection.await;
        });
    }
}
