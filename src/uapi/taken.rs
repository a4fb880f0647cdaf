//! An answer taken in from the wire: no more of it than it may have, and what is there of a refusal.

use std::cell::RefCell;
use std::time::SystemTime;

use bytes::Bytes;
use futures::FutureExt;
use reqwest::Response;
use reqwest::header::{CONTENT_TYPE, HeaderMap, HeaderValue, LOCATION, RETRY_AFTER};

use super::fault::chain;
use super::json::Json;
use super::room::{SMALL_BYTES, Share};
use super::transport::Verdict;
use super::verdict::{Body, Received, is_refusal, judge_and_keep};
use super::wire::Expected;
use crate::domain::ErrorClass;

/// An answer as it came.
pub struct Taken {
    pub status: u16,
    headers: HeaderMap,
    bytes: Bytes,
    /// Why there are no more bytes, if there should be.
    pub lost: Option<Body<'static>>,
}

impl Taken {
    /// What it means, if it is an answer of this kind.
    pub fn judge(&self, expected: Expected) -> Verdict {
        self.judge_and_keep(expected).0
    }

    /// The same; of a success also what it says.
    pub fn judge_and_keep(&self, expected: Expected) -> (Verdict, Option<Json<'_>>) {
        let text = |name| self.headers.get(name).and_then(|value: &HeaderValue| value.to_str().ok());
        let received = Received {
            status: self.status,
            content_type: text(CONTENT_TYPE).unwrap_or_default(),
            retry_after: text(RETRY_AFTER),
            location: text(LOCATION),
            expected,
            body: self.lost.clone().unwrap_or(Body::Whole(&self.bytes)),
        };
        judge_and_keep(&received, SystemTime::now())
    }

    /// The same of an answer to a call. Most are letter for letter like the one before, and what a
    /// 200 says depends on its bytes alone: a success that comes again is not read again.
    pub fn judge_by(&self, last: &LastSuccess) -> Verdict {
        let is_whole = self.status == 200 && self.lost.is_none();
        if is_whole && !self.bytes.is_empty() && *last.0.borrow() == self.bytes[..] {
            return Verdict::Done;
        }
        let verdict = self.judge(Expected::Uapi);
        if verdict == Verdict::Done && self.bytes.len() <= LastSuccess::MOST {
            self.bytes.as_ref().clone_into(&mut last.0.borrow_mut());
        }
        verdict
    }

    /// What came of it.
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }
}

/// The last answer to a call that was a success, if it was short.
#[derive(Default)]
pub struct LastSuccess(RefCell<Vec<u8>>);

impl LastSuccess {
    const MOST: usize = 1024;
}

/// Takes an answer in, up to `limit` bytes of it; a listing needs room for them.
pub async fn take(mut response: Response, limit: usize, mut share: Option<&mut Share<'_>>) -> Taken {
    let status = response.status().as_u16();
    // Nearly every answer comes in one piece, which then need not be copied.
    let mut first: Option<Bytes> = None;
    let mut joined = Vec::new();
    // A refusal counts from its first line on: its words are taken only if they are there already.
    let is_refusal = is_refusal(status);
    let mut patience = 3;
    let lost = loop {
        if is_refusal {
            match response.chunk().now_or_never() {
                Some(Ok(Some(chunk))) if first.is_none() => first = Some(chunk),
                None if patience > 0 => {
                    patience -= 1;
                    tokio::task::yield_now().await;
                    continue;
                }
                _ => {}
            }
            break None;
        }
        let read = first.as_ref().map_or(0, Bytes::len).max(joined.len());
        match response.chunk().await {
            Ok(Some(chunk)) if read + chunk.len() > limit => break Some(Body::TooLong(limit)),
            Ok(Some(chunk)) => {
                if let Some(share) = &mut share {
                    share.hold(read + chunk.len()).await;
                }
                match &first {
                    None => first = Some(chunk),
                    Some(first) => {
                        if joined.is_empty() {
                            joined.extend_from_slice(first);
                        }
                        if joined.len() + chunk.len() > joined.capacity() && joined.len() > SMALL_BYTES {
                            // At once all that may come: doubling would take more than the listing may.
                            joined.reserve_exact(limit - joined.len());
                        }
                        joined.extend_from_slice(&chunk);
                    }
                }
            }
            Ok(None) => break None,
            Err(fault) => {
                let class = if fault.is_timeout() { ErrorClass::Timeout } else { ErrorClass::Connect };
                break Some(Body::Lost {
                    class,
                    error: format!("the answer was cut off: {}", chain(&fault)),
                });
            }
        }
    };
    let bytes = if joined.is_empty() { first.unwrap_or_default() } else { joined.into() };
    Taken { status, headers: std::mem::take(response.headers_mut()), bytes, lost }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const BODIES: [&str; 6] = [
        r#"{"status":1,"errors":null,"data":null}"#,
        r#"{"status":1,"errors":null,"data":1}"#,
        r#"{"status":0,"errors":["no"],"data":null}"#,
        r#"{"status":1,"#,
        "<html>",
        "",
    ];

    proptest! {
        #[test]
        fn what_came_before_changes_no_verdict(
            answers in prop::collection::vec((prop::sample::select(vec![200, 200, 200, 201, 500]), 0..BODIES.len(), prop::bool::weighted(0.2)), 1..20)
        ) {
            let last = LastSuccess::default();
            for (status, body, is_lost) in answers {
                let lost = is_lost.then_some(Body::TooLong(7));
                let bytes = Bytes::from_static(BODIES[body].as_bytes());
                let taken = Taken { status, headers: HeaderMap::new(), bytes, lost };
                prop_assert_eq!(taken.judge_by(&last), taken.judge(Expected::Uapi));
            }
        }
    }
}
