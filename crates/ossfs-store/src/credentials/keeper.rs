//! Keeps credentials fresh.
//!
//! Temporary credentials are renewed in the background well before they expire, so that no request waits for it; while a
//! renewal fails, the old ones serve as long as they are valid.

use super::{CredentialError, CredentialSource, Credentials};
use ossfs_types::{Clock, Timestamp};
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::Duration;

/// Renewed when this little of their life is left, or a fifth of it, whichever is less: Alibaba's services hand out new
/// ones only some minutes before the old ones end.
const RENEW_BEFORE_EXPIRY: Duration = Duration::from_secs(5 * 60);
/// Between attempts that fail: first and longest.
const RETRY_FIRST: Duration = Duration::from_secs(1);
const RETRY_MAX: Duration = Duration::from_secs(30);
/// The longest sleep without a look at the clock, which may be set or stand still while a machine is suspended.
const LOOK_AGAIN: Duration = Duration::from_secs(30);

/// The credentials to use now.
pub struct CredentialKeeper {
    source: Box<dyn CredentialSource>,
    clock: Arc<dyn Clock>,
    current: Mutex<Arc<Credentials>>,
    /// Held while the source is asked, so that it is asked once for all who wait.
    renewing: tokio::sync::Mutex<()>,
}

impl fmt::Debug for CredentialKeeper {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "CredentialKeeper({})", self.source.origin())
    }
}

impl CredentialKeeper {
    /// Takes the first credentials from the source, and starts to renew them if they expire. The renewal ends with the
    /// keeper.
    pub async fn start(source: Box<dyn CredentialSource>, clock: Arc<dyn Clock>) -> Result<Arc<Self>, CredentialError> {
        let first = source.load().await?;
        let expires = first.expires_at().is_some();
        let keeper = Arc::new(Self {
            source,
            clock,
            current: Mutex::new(Arc::new(first)),
            renewing: tokio::sync::Mutex::new(()),
        });
        if expires {
            tokio::spawn(keep_renewing(Arc::downgrade(&keeper)));
        }
        Ok(keeper)
    }

    /// The credentials to use now, even if they have expired: OSS's answer is then the better message.
    pub fn current(&self) -> Arc<Credentials> {
        self.current.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Asks the source anew because OSS refused `refused`. Returns others, if there are any by now.
    pub async fn replace(&self, refused: &Credentials) -> Option<Arc<Credentials>> {
        let _renewing = self.renewing.lock().await;
        let current = self.current();
        if *current != *refused {
            return Some(current);
        }
        match self.source.load().await {
            Ok(loaded) if loaded != *refused => Some(self.install(loaded)),
            Ok(_) => None,
            Err(error) => {
                tracing::warn!(%error, "refused credentials could not be replaced");
                None
            }
        }
    }

    fn install(&self, credentials: Credentials) -> Arc<Credentials> {
        let credentials = Arc::new(credentials);
        *self.current.lock().unwrap_or_else(PoisonError::into_inner) = credentials.clone();
        credentials
    }

    /// Asks the source once; returns whether that gave credentials that live longer than the current ones.
    async fn renew(&self) -> bool {
        let _renewing = self.renewing.lock().await;
        match self.source.load().await {
            Ok(loaded) => {
                let longer = loaded.expires_at() != self.current().expires_at();
                self.install(loaded);
                longer
            }
            Err(error) => {
                tracing::warn!(%error, "credentials could not be renewed; the old ones serve on while they are valid");
                false
            }
        }
    }
}

/// How long to wait until credentials that were taken at `taken` are to be renewed; zero if it is time.
fn until_renewal(taken: Timestamp, expires_at: Timestamp, now: Timestamp) -> Duration {
    let life = Duration::try_from(expires_at.duration_since(taken)).unwrap_or_default();
    let left = Duration::try_from(expires_at.duration_since(now)).unwrap_or_default();
    left.saturating_sub(RENEW_BEFORE_EXPIRY.min(life / 5))
}

async fn keep_renewing(keeper: Weak<CredentialKeeper>) {
    let mut taken = match keeper.upgrade() {
        Some(keeper) => keeper.clock.now(),
        None => return,
    };
    let mut retry = RETRY_FIRST;
    loop {
        let Some(this) = keeper.upgrade() else { return };
        let Some(expires_at) = this.current().expires_at() else { return };
        let wait = until_renewal(taken, expires_at, this.clock.now());
        let wait = if !wait.is_zero() {
            wait.min(LOOK_AGAIN)
        } else if this.renew().await {
            taken = this.clock.now();
            retry = RETRY_FIRST;
            // Not at once: by a clock that is wrong, the new ones may seem to have expired too.
            RETRY_FIRST
        } else {
            let wait = retry;
            retry = (retry * 2).min(RETRY_MAX);
            wait
        };
        // Not held while asleep: the keeper's end is the task's end.
        drop(this);
        tokio::time::sleep(wait).await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use async_trait::async_trait;
    use std::sync::atomic::{AtomicU32, Ordering};

    fn at(seconds: i64) -> Timestamp {
        Timestamp::from_second(seconds).unwrap()
    }

    #[test]
    fn renewal_comes_before_expiry() {
        let wait = |expires, now| until_renewal(at(0), at(expires), at(now)).as_secs();
        assert_eq!(wait(3600, 0), 3300, "five minutes before the end of an hour");
        assert_eq!(wait(100, 0), 80, "a fifth before the end of a short life");
        assert_eq!(wait(3600, 3400), 0);
        assert_eq!(wait(3600, 9999), 0);
    }

    /// Follows tokio's clock, which tests can stop.
    #[derive(Debug)]
    struct TokioClock(tokio::time::Instant);

    impl Clock for TokioClock {
        fn now(&self) -> Timestamp {
            at(1_000_000 + i64::try_from(self.0.elapsed().as_secs()).unwrap())
        }
    }

    /// Hands out keys that live for 1,000 s; every second renewal fails.
    #[derive(Debug)]
    struct Rotating(Arc<AtomicU32>, Arc<dyn Clock>);

    #[async_trait]
    impl CredentialSource for Rotating {
        async fn load(&self) -> Result<Credentials, CredentialError> {
            let call = self.0.fetch_add(1, Ordering::SeqCst);
            if call % 2 == 1 {
                return Err(CredentialError::Unusable { origin: self.origin(), problem: "down".into() });
            }
            let expires_at = at(self.1.now().as_second() + 1000);
            Ok(Credentials::new(&format!("key{call}"), "s", None)?.expiring_at(Some(expires_at)))
        }

        fn origin(&self) -> String {
            "a test".into()
        }
    }

    #[tokio::test(start_paused = true)]
    async fn credentials_never_expire_in_use() {
        let clock: Arc<dyn Clock> = Arc::new(TokioClock(tokio::time::Instant::now()));
        let calls = Arc::new(AtomicU32::new(0));
        let source = Box::new(Rotating(calls.clone(), clock.clone()));
        let keeper = CredentialKeeper::start(source, clock.clone()).await.unwrap();
        for _ in 0..1000 {
            tokio::time::sleep(Duration::from_secs(10)).await;
            assert!(keeper.current().expires_at().unwrap() > clock.now());
        }
        assert!(calls.load(Ordering::SeqCst) >= 20);
        drop(keeper);
        tokio::time::sleep(Duration::from_secs(5000)).await;
        let after = calls.load(Ordering::SeqCst);
        tokio::time::sleep(Duration::from_secs(5000)).await;
        assert_eq!(calls.load(Ordering::SeqCst), after, "the renewal ends with the keeper");
    }

    #[tokio::test(start_paused = true)]
    async fn a_refused_key_is_replaced_once_for_all() {
        let clock: Arc<dyn Clock> = Arc::new(TokioClock(tokio::time::Instant::now()));
        let calls = Arc::new(AtomicU32::new(0));
        let source = Box::new(Rotating(calls.clone(), clock.clone()));
        let keeper = CredentialKeeper::start(source, clock).await.unwrap();
        let refused = keeper.current();
        assert!(keeper.replace(&refused).await.is_none(), "the source fails");
        let replaced = keeper.replace(&refused).await.unwrap();
        assert_eq!(replaced.id(), "key2");
        let asked = calls.load(Ordering::SeqCst);
        assert_eq!(keeper.replace(&refused).await.unwrap().id(), "key2");
        assert_eq!(calls.load(Ordering::SeqCst), asked, "who comes late gets what is there");
    }
}
