//! [`ToItsEnd`]: a write that has begun is not broken off when nobody waits for its answer any more.

use std::pin::Pin;
use std::task::{Context, Poll};

use futures_util::future::BoxFuture;
use loopd_kernel::trace::{self, Current};
use tokio::runtime::Handle;

/// Polled where it stands, so that a call costs no task of its own. Dropped before its end, as hyper does when the client goes away
/// and the edge when time is up, it goes on as a task.
pub(crate) struct ToItsEnd<T: Send + 'static> {
    /// Away while it is polled: work that panicked is over.
    work: Option<BoxFuture<'static, T>>,
    request: Option<Current>,
}

impl<T: Send + 'static> ToItsEnd<T> {
    /// `work`, as a part of the request that is being answered here.
    pub fn new(work: BoxFuture<'static, T>) -> Self {
        Self { work: Some(work), request: trace::current() }
    }
}

impl<T: Send + 'static> Future for ToItsEnd<T> {
    type Output = T;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<T> {
        let mut work = self.work.take().expect("not polled after its end");
        let polled = work.as_mut().poll(context);
        if polled.is_pending() {
            self.work = Some(work);
        }
        polled
    }
}

impl<T: Send + 'static> Drop for ToItsEnd<T> {
    fn drop(&mut self) {
        // Without a runtime the process is ending.
        let (Some(work), Ok(runtime)) = (self.work.take(), Handle::try_current()) else { return };
        match self.request.take() {
            Some(request) => drop(runtime.spawn(trace::within(request, work))),
            None => drop(runtime.spawn(work)),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicU32, Ordering::Relaxed};
    use std::time::Duration;

    use futures_util::FutureExt as _;
    use tokio::sync::Notify;

    use super::ToItsEnd;

    /// Work in two steps, the second after `gate`.
    fn work(gate: &Arc<Notify>, steps: &Arc<AtomicU32>) -> ToItsEnd<u32> {
        let (gate, steps) = (gate.clone(), steps.clone());
        ToItsEnd::new(
            async move {
                steps.fetch_add(1, Relaxed);
                gate.notified().await;
                steps.fetch_add(1, Relaxed) + 1
            }
            .boxed(),
        )
    }

    #[tokio::test]
    async fn goes_on_when_it_is_dropped() {
        let (gate, steps) = (Arc::new(Notify::new()), Arc::new(AtomicU32::new(0)));
        assert!(tokio::time::timeout(Duration::ZERO, work(&gate, &steps)).await.is_err());
        assert_eq!(steps.load(Relaxed), 1);
        gate.notify_one();
        while steps.load(Relaxed) < 2 {
            tokio::task::yield_now().await;
        }
    }

    #[tokio::test]
    async fn answers_whoever_waits() {
        let (gate, steps) = (Arc::new(Notify::new()), Arc::new(AtomicU32::new(0)));
        gate.notify_one();
        assert_eq!(work(&gate, &steps).await, 2);
    }

    #[tokio::test]
    async fn work_that_was_never_begun_is_begun_all_the_same() {
        let (gate, steps) = (Arc::new(Notify::new()), Arc::new(AtomicU32::new(0)));
        gate.notify_one();
        drop(work(&gate, &steps));
        while steps.load(Relaxed) < 2 {
            tokio::task::yield_now().await;
        }
    }

    #[tokio::test]
    async fn work_that_panicked_is_not_polled_again() {
        let panicking = ToItsEnd::<()>::new(async { panic!("on purpose") }.boxed());
        let caught = std::panic::AssertUnwindSafe(panicking).catch_unwind().await;
        assert!(caught.is_err());
    }
}
