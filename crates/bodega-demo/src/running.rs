//! One thread, one small runtime, one listener: what the origin, the S3 server and the relay have in common.
//! `stop` ends the runtime, and with it every connection, before it returns.

use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::thread::JoinHandle;

use parking_lot::Mutex;
use tokio::net::TcpListener;
use tokio::sync::oneshot;

/// A listener that is being served on a thread of its own; dropping it stops it.
#[derive(Debug)]
pub(crate) struct Running {
    address: SocketAddr,
    thread: Mutex<Option<(oneshot::Sender<()>, JoinHandle<()>)>>,
}

impl Running {
    /// Binds `listen` (port 0 for a free one) and runs `work` with the listener until it is stopped.
    pub(crate) fn start<W, F>(name: &str, listen: &str, work: W) -> io::Result<Self>
    where
        W: FnOnce(TcpListener) -> F + Send + 'static,
        F: Future<Output = ()>,
    {
        let listener = std::net::TcpListener::bind(listen)?;
        listener.set_nonblocking(true)?;
        let address = listener.local_addr()?;
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let listener = {
            let _guard = runtime.enter();
            TcpListener::from_std(listener)?
        };
        let (stop, stopped) = oneshot::channel();
        let thread = std::thread::Builder::new().name(name.to_owned()).spawn(move || {
            runtime.block_on(async move {
                tokio::select! {
                    () = work(listener) => {}
                    _ = stopped => {}
                }
            });
        })?;
        Ok(Self { address, thread: Mutex::new(Some((stop, thread))) })
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    /// Closes the listener and every connection; a second call does nothing.
    pub(crate) fn stop(&self) {
        let Some((stop, thread)) = self.thread.lock().take() else {
            return;
        };
        let _ = stop.send(());
        let _ = thread.join();
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.stop();
    }
}
