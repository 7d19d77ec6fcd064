//! The time of day, from outside: signing, expiry and the simulated time of tests all go through [`Clock`].

use jiff::Timestamp;

/// A source of the time of day.
pub trait Clock: Send + Sync + std::fmt::Debug {
    /// The time of day now.
    fn now(&self) -> Timestamp;
}

/// The operating system's clock.
#[derive(Debug, Clone, Copy, Default)]
pub struct SystemClock;

impl Clock for SystemClock {
    #[expect(clippy::disallowed_methods, reason = "the one place where the system's time enters")]
    fn now(&self) -> Timestamp {
        Timestamp::now()
    }
}
