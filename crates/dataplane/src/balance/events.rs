//! Changes that others wait for.

use tokio::sync::{Notify, watch};

#[derive(Debug, Default)]
pub(super) struct Events {
    lists: Notify,
    health: watch::Sender<u64>,
}

impl Events {
    pub(super) fn lists_changed(&self) {
        // Remembered if nobody waits just now, so no change is lost between two looks.
        self.lists.notify_one();
    }

    pub(super) fn health_changed(&self) {
        self.health.send_modify(|count| *count += 1);
    }

    pub(super) fn health_changes(&self) -> watch::Receiver<u64> {
        self.health.subscribe()
    }

    /// Ready once the lists have changed since it was ready last.
    pub(super) async fn next_lists(&self) {
        self.lists.notified().await;
    }
}
