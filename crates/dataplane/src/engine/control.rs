//! The control thread: health checks, the measuring of the node, and whatever else must not run between requests.

use std::sync::Arc;
use std::thread::JoinHandle;

use tokio::sync::oneshot;

use crate::balance::checks;
use crate::engine::{EngineError, meter};
use crate::node::Node;

pub struct Control {
    stop: oneshot::Sender<()>,
    handle: JoinHandle<()>,
}

impl Control {
    pub fn start(node: &Arc<Node>) -> Result<Self, EngineError> {
        let refused = |error| EngineError::Engine(format!("control thread: {error}"));
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(refused)?;
        let (node, services) = (Arc::clone(node), Arc::clone(&node.services));
        let (stop, stopped) = oneshot::channel::<()>();
        let work = move || {
            let shutdown = async {
                // Being dropped means the same as being told.
                let _ = stopped.await;
            };
            let local = tokio::task::LocalSet::new();
            // Ends with the runtime.
            local.spawn_local(meter::run(node));
            local.block_on(&runtime, checks::run(services, shutdown));
        };
        let handle = std::thread::Builder::new().name("control".to_owned()).spawn(work).map_err(refused)?;
        Ok(Self { stop, handle })
    }

    pub fn stop(self) {
        let _ = self.stop.send(());
        let _ = self.handle.join();
    }
}
