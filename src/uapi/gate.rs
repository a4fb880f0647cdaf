//! The gate before the wire: once a server is halted, no request leaves that has not left yet.
//!
//! A request waits in more than one place: for a connection to be made, for one to become free, for
//! its turn on the one that it has. So the gate stands twice. Before the connection, where it ends
//! the waiting at once; and at the very last, inside the request: HTTP/1.1 asks for a request's body
//! when its head is ready and nothing of it has been sent, and a body that fails then takes the
//! whole request back. What has been sent is answered as ever.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::Bytes;
use hyper::body::{Body, Frame, SizeHint};
use tokio::sync::watch;
use tower_layer::Layer;
use tower_service::Service;

type BoxError = Box<dyn std::error::Error + Send + Sync>;

/// Lets requests through until it is closed, for good.
#[derive(Clone, Debug, Default)]
pub struct Gate {
    is_closed: Arc<watch::Sender<bool>>,
}

/// Why a request was not sent.
#[derive(Debug, thiserror::Error)]
#[error("called back before it was sent: the server is halted")]
pub struct CalledBack;

impl Gate {
    /// Lets nothing more through, and calls back what still waits.
    pub fn close(&self) {
        self.is_closed.send_replace(true);
    }

    fn is_closed(&self) -> bool {
        *self.is_closed.borrow()
    }

    /// A request's body that lets the request leave only while the gate is open.
    pub fn body(&self, bytes: impl Into<Bytes>) -> reqwest::Body {
        reqwest::Body::wrap(GatedBody { bytes: bytes.into(), is_out: false, gate: self.clone() })
    }
}

impl<S> Layer<S> for Gate {
    type Service = Gated<S>;

    fn layer(&self, inner: S) -> Gated<S> {
        Gated { inner, gate: self.clone() }
    }
}

/// A connector behind a [`Gate`].
#[derive(Clone)]
pub struct Gated<S> {
    inner: S,
    gate: Gate,
}

impl<S, R> Service<R> for Gated<S>
where
    S: Service<R, Error = BoxError>,
    S::Future: Send + 'static,
    S::Response: 'static,
{
    type Response = S::Response;
    type Error = BoxError;
    type Future = Pin<Box<dyn Future<Output = Result<S::Response, BoxError>> + Send>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        self.inner.poll_ready(context)
    }

    fn call(&mut self, to: R) -> Self::Future {
        let connecting = self.inner.call(to);
        let mut is_closed = self.gate.is_closed.subscribe();
        Box::pin(async move {
            tokio::select! {
                biased;
                Ok(_) = is_closed.wait_for(|is_closed| *is_closed) => Err(CalledBack.into()),
                connection = connecting => connection,
            }
        })
    }
}

/// See [`Gate::body`].
struct GatedBody {
    bytes: Bytes,
    is_out: bool,
    gate: Gate,
}

impl Body for GatedBody {
    type Data = Bytes;
    type Error = CalledBack;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, CalledBack>>> {
        if self.is_end_stream() {
            return Poll::Ready(None);
        }
        if self.gate.is_closed() {
            return Poll::Ready(Some(Err(CalledBack)));
        }
        self.is_out = true;
        Poll::Ready(Some(Ok(Frame::data(std::mem::take(&mut self.bytes)))))
    }

    /// An empty body is asked for nothing but this and its size. So what keeps a request without a
    /// body back is one that claims a byte.
    fn is_end_stream(&self) -> bool {
        self.is_out || (self.bytes.is_empty() && !self.gate.is_closed())
    }

    fn size_hint(&self) -> SizeHint {
        let size = if self.gate.is_closed() { self.bytes.len().max(1) } else { self.bytes.len() };
        SizeHint::with_exact(size as u64)
    }
}
