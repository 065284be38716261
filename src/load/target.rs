use std::sync::atomic::AtomicU32;

use crate::client::RequestRecord;

/// Something that a load can send requests to.
pub trait Target: Send + Sync + 'static {
    /// Carries out one request to its end, however it ends.
    ///
    /// `events` is set to the number of content events received so far, as they arrive.
    fn request(&self, events: &AtomicU32) -> impl Future<Output = RequestRecord> + Send;
}
