//! A connection that two can hold: hyper, which speaks HTTP on it, and the sandbox, which at times
//! has to misbehave on it in ways that no HTTP library allows. Plain or within TLS.

use std::io;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt, ReadBuf};
use tokio::net::TcpStream;
use tokio_rustls::server::TlsStream;

/// A share of a connection. The connection closes when the last share is dropped.
#[derive(Clone)]
pub(super) enum Socket {
    Plain(Arc<TcpStream>),
    /// Both holders belong to one task, so nobody ever waits for the lock.
    Tls(Arc<Mutex<Box<TlsStream<TcpStream>>>>),
}

impl Socket {
    pub fn plain(stream: TcpStream) -> Socket {
        Socket::Plain(Arc::new(stream))
    }

    pub fn tls(stream: TlsStream<TcpStream>) -> Socket {
        Socket::Tls(Arc::new(Mutex::new(Box::new(stream))))
    }

    /// Makes the closing of the connection a reset.
    pub fn reset_on_close(&self) {
        // Where this cannot be set the connection just closes, which is a lost connection too.
        let _ = match self {
            Socket::Plain(stream) => stream.set_zero_linger(),
            Socket::Tls(stream) => lock(stream).get_ref().0.set_zero_linger(),
        };
    }

    /// Sends bytes as they are, and says that they are the last.
    pub async fn send(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.write_all(bytes).await?;
        self.shutdown().await
    }
}

fn lock(stream: &Mutex<Box<TlsStream<TcpStream>>>) -> MutexGuard<'_, Box<TlsStream<TcpStream>>> {
    stream.lock().unwrap_or_else(PoisonError::into_inner)
}

fn poll_try_write(
    stream: &TcpStream,
    cx: &mut Context<'_>,
    mut write: impl FnMut(&TcpStream) -> io::Result<usize>,
) -> Poll<io::Result<usize>> {
    loop {
        ready!(stream.poll_write_ready(cx))?;
        match write(stream) {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
            done => return Poll::Ready(done),
        }
    }
}

impl AsyncRead for Socket {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        match &*self {
            Socket::Plain(stream) => loop {
                ready!(stream.poll_read_ready(cx))?;
                match stream.try_read_buf(buf) {
                    Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                    done => return Poll::Ready(done.map(drop)),
                }
            },
            Socket::Tls(stream) => Pin::new(&mut **lock(stream)).poll_read(cx, buf),
        }
    }
}

impl AsyncWrite for Socket {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        match &*self {
            Socket::Plain(stream) => poll_try_write(stream, cx, |stream| stream.try_write(buf)),
            Socket::Tls(stream) => Pin::new(&mut **lock(stream)).poll_write(cx, buf),
        }
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        match &*self {
            Socket::Plain(stream) => poll_try_write(stream, cx, |stream| stream.try_write_vectored(bufs)),
            Socket::Tls(stream) => Pin::new(&mut **lock(stream)).poll_write_vectored(cx, bufs),
        }
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &*self {
            Socket::Plain(_) => Poll::Ready(Ok(())),
            Socket::Tls(stream) => Pin::new(&mut **lock(stream)).poll_flush(cx),
        }
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &*self {
            // The connection closes when the last share of it is dropped.
            Socket::Plain(_) => Poll::Ready(Ok(())),
            // Without its farewell an answer that ends with its connection looks cut off.
            Socket::Tls(stream) => Pin::new(&mut **lock(stream)).poll_shutdown(cx),
        }
    }
}
