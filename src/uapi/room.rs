//! How much of the listings is held at once.
//!
//! The answer to a call is small. A listing may be large, and as many may come at a time as there are
//! servers and requests to each. So they share one room: each may hold a little, and one of them at a
//! time all that a listing may have. Nothing is held before an answer has begun to come, so that a
//! server that never answers takes nothing from the others. Who holds a place waits for nothing but
//! the large one, and who holds that waits for nothing: no two wait for each other.

use tokio::sync::{Semaphore, SemaphorePermit};

use super::reading::MAX_READING_BYTES;

/// Most that all listings together hold, as they come from the wire.
pub(super) const MAX_HELD_BYTES: usize = 2 * MAX_READING_BYTES;

/// What each may hold beside the large one.
pub(super) const SMALL_BYTES: usize = 256 * 1024;

/// Room for listings.
pub(super) struct Room {
    small: Semaphore,
    large: Semaphore,
}

/// The one that all servers share.
pub(super) static ROOM: Room = Room::new();

/// What one listing holds of a room, until it is dropped.
pub(super) struct Share<'a> {
    room: &'a Room,
    small: Option<SemaphorePermit<'a>>,
    large: Option<SemaphorePermit<'a>>,
}

impl Room {
    pub const fn new() -> Room {
        let small = (MAX_HELD_BYTES - MAX_READING_BYTES) / SMALL_BYTES;
        Room { small: Semaphore::const_new(small), large: Semaphore::const_new(1) }
    }

    /// Nothing of it yet.
    pub fn share(&self) -> Share<'_> {
        Share { room: self, small: None, large: None }
    }
}

impl Share<'_> {
    /// Waits until there is room for so many bytes of one listing in all.
    pub async fn hold(&mut self, bytes: usize) {
        if self.small.is_none() {
            self.small = self.room.small.acquire().await.ok();
        }
        if bytes > SMALL_BYTES && self.large.is_none() {
            self.large = self.room.large.acquire().await.ok();
        }
    }
}

#[cfg(test)]
mod tests {
    use futures::FutureExt;

    use super::*;

    #[test]
    fn one_listing_at_a_time_is_large_and_all_together_are_bounded() {
        let room = Room::new();
        let mut shares: Vec<Share<'_>> = (0..300).map(|_| room.share()).collect();
        let small = shares.iter_mut().filter_map(|share| share.hold(SMALL_BYTES).now_or_never()).count();
        assert_eq!(small * SMALL_BYTES + MAX_READING_BYTES, MAX_HELD_BYTES);
        assert!(shares[0].hold(SMALL_BYTES + 1).now_or_never().is_some());
        assert!(shares[0].hold(MAX_READING_BYTES).now_or_never().is_some(), "it has the large place already");
        assert!(shares[1].hold(SMALL_BYTES + 1).now_or_never().is_none());
        shares.remove(0);
        assert!(shares[0].hold(SMALL_BYTES + 1).now_or_never().is_some());
        assert!(shares.last_mut().unwrap().hold(1).now_or_never().is_some(), "its small place is free too");
    }
}
