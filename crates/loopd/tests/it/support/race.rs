//! Races against a revocation, by what came before what and never by the clock.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use loopd_testkit::Client;

/// Eight callers for each client use it without pause while `revoke` runs: what leaves after `revoke` has its answer must be refused with
/// 401, and before it begins all are let in.
pub async fn refused_from_then_on(clients: &[Client], path: &str, revoke: impl AsyncFnOnce()) {
    let is_revoked = Arc::<AtomicBool>::default();
    let path: Arc<str> = path.into();
    let callers: Vec<_> = clients
        .iter()
        .flat_map(|client| std::iter::repeat_n(client, 8))
        .map(|client| {
            let (client, is_revoked, path) = (client.clone(), is_revoked.clone(), path.clone());
            tokio::spawn(async move {
                let mut after = 0;
                while after < 3 {
                    // Looked at before the request leaves.
                    let must_be_refused = is_revoked.load(Ordering::SeqCst);
                    let answer = client.get(&path).await;
                    let is_right = answer.status == 401 || (answer.status == 200 && !must_be_refused);
                    assert!(is_right, "{}", answer.text());
                    after += u32::from(must_be_refused);
                }
            })
        })
        .collect();
    for client in clients {
        for _ in 0..5 {
            client.get(&path).await.expect_status(200);
        }
    }
    revoke().await;
    is_revoked.store(true, Ordering::SeqCst);
    for caller in callers {
        caller.await.expect("a caller that was let in after the revocation");
    }
}
