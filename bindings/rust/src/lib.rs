//! A connector for hyper-util's client that races both families (RFC 8305) in place of its own.

use hyper::Uri;
use hyper_util::rt::TokioIo;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;
use tokio::net::TcpStream;

/// Connects to the host of a URI. For `hyper_util::client::legacy::Client::builder(..).build(Connector::default())`.
#[derive(Clone, Debug, Default)]
pub struct Connector {
    /// Limit over the lookup and the connect; None: no limit.
    pub timeout: Option<Duration>,
}

impl tower_service::Service<Uri> for Connector {
    type Response = TokioIo<TcpStream>;
    type Error = std::io::Error;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, Self::Error>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, uri: Uri) -> Self::Future {
        let open_timeout = self.timeout;
        Box::pin(async move {
            let host = uri.host().unwrap_or_default().trim_matches(['[', ']']);
            let options = happysock::Options { open_timeout, ..Default::default() };
            let stream = happysock::tokio::connect_with((host, uri.port_u16().unwrap_or(80)), &options).await?;
            Ok(TokioIo::new(stream))
        })
    }
}
