//! The server's thread: it listens, has each connection served by a task, and takes orders.
//!
//! A dead server keeps its port without listening on it: connecting is refused at once, as on a
//! machine where the service is down, and nobody else can take the port before it comes back.

use std::error::Error;
use std::io;
use std::net::{Ipv4Addr, SocketAddr, SocketAddrV4};
use std::sync::Arc;
use std::sync::mpsc::SyncSender;
use std::time::Duration;

use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::runtime::Builder;
use tokio::sync::mpsc::UnboundedReceiver;
use tokio::task::JoinSet;

use super::exchange::{Break, Origin, exchange};
use super::socket::Socket;
use super::state::Shared;

/// What the handle can ask of the thread.
pub(super) enum Order {
    /// Close all, or listen again. The answer, if one is wanted, comes when it is so.
    Dead { dead: bool, done: Option<SyncSender<io::Result<()>>> },
    /// End.
    Stop,
}

const BACKLOG: u32 = 1024;

/// Takes a port on loopback, without listening yet; 0 takes any that is free.
pub(super) fn take_port(port: u16) -> io::Result<TcpSocket> {
    bind(SocketAddrV4::new(Ipv4Addr::LOCALHOST, port).into())
}

/// Serves until it is told to stop, or the handle is gone; what is under way then is dropped. Says
/// when it listens, or why it cannot.
pub(super) fn run(
    socket: TcpSocket,
    shared: &Arc<Shared>,
    orders: UnboundedReceiver<Order>,
    ready: &SyncSender<io::Result<()>>,
) {
    let listening = Builder::new_current_thread().enable_io().enable_time().build().and_then(|runtime| {
        let _inside = runtime.enter();
        let address = socket.local_addr()?;
        let listener = socket.listen(BACKLOG)?;
        Ok((listener, address, runtime))
    });
    // Who started this waits for nothing else; it cannot have gone.
    match listening {
        Ok((listener, address, runtime)) => {
            let _ = ready.send(Ok(()));
            runtime.block_on(serve(listener, address, shared, orders));
        }
        Err(error) => {
            let _ = ready.send(Err(error));
        }
    }
}

fn bind(address: SocketAddr) -> io::Result<TcpSocket> {
    let socket = TcpSocket::new_v4()?;
    socket.set_reuseaddr(true)?;
    socket.bind(address)?;
    Ok(socket)
}

/// The hold on the port.
enum Port {
    Listening(TcpListener),
    /// Held, so that nobody else takes it; or not even that.
    Closed(Option<TcpSocket>),
}

async fn serve(
    listener: TcpListener,
    address: SocketAddr,
    shared: &Arc<Shared>,
    mut orders: UnboundedReceiver<Order>,
) {
    let mut port = Port::Listening(listener);
    let mut connections = JoinSet::new();
    let mut connection = 0;
    loop {
        tokio::select! {
            order = orders.recv() => match order {
                None | Some(Order::Stop) => return,
                Some(Order::Dead { dead, done }) => {
                    let changed = match (dead, port) {
                        (true, Port::Listening(listener)) => {
                            drop(listener);
                            connections.shutdown().await;
                            port = Port::Closed(bind(address).ok());
                            Ok(())
                        }
                        (false, Port::Closed(held)) => {
                            match held.map_or_else(|| bind(address), Ok).and_then(|held| held.listen(BACKLOG)) {
                                Ok(listener) => {
                                    port = Port::Listening(listener);
                                    Ok(())
                                }
                                Err(error) => {
                                    port = Port::Closed(None);
                                    Err(error)
                                }
                            }
                        }
                        (_, as_it_is) => {
                            port = as_it_is;
                            Ok(())
                        }
                    };
                    if let Some(done) = done {
                        // Who asked may have stopped waiting.
                        let _ = done.send(changed);
                    }
                }
            },
            (stream, peer) = accept(&port) => {
                let origin = Origin { peer: peer.ip(), connection };
                connection += 1;
                connections.spawn(attend(stream, origin, Arc::clone(shared)));
            }
            Some(_) = connections.join_next() => {}
        }
    }
}

/// The next connection; never, while the port is closed.
async fn accept(port: &Port) -> (TcpStream, SocketAddr) {
    let Port::Listening(listener) = port else { return std::future::pending().await };
    loop {
        match listener.accept().await {
            Ok(accepted) => return accepted,
            // Out of descriptors, or the client has gone already: neither gets better at once.
            Err(_) => tokio::time::sleep(Duration::from_millis(5)).await,
        }
    }
}

/// Serves one connection to its end.
async fn attend(stream: TcpStream, origin: Origin, shared: Arc<Shared>) {
    // Without it answers are only later.
    let _ = stream.set_nodelay(true);
    let mut socket = match &shared.tls {
        None => Socket::plain(stream),
        // Who does not like the certificate, or speaks plain HTTP, has gone: nothing has arrived.
        Some(shown) => match shown.acceptor.accept(stream).await {
            Ok(stream) => Socket::tls(stream),
            Err(_) => return,
        },
    };
    let service = service_fn(|request| exchange(Arc::clone(&shared), origin, request));
    let served = http1::Builder::new().serve_connection(TokioIo::new(socket.clone()), service).await;
    let Err(error) = served else { return };
    match error.source().and_then(|cause| cause.downcast_ref::<Break>()) {
        Some(Break::Reset) => socket.reset_on_close(),
        Some(Break::Raw(bytes)) => {
            // A client that has gone has what it wanted.
            let _ = socket.send(bytes).await;
        }
        None => {}
    }
}
