//! The steps of schedules.

use super::super::gate::Ask;

/// One step of a schedule.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(in super::super) enum Choice {
    /// A request is carried out and answered.
    Serve(Ask),
    /// The user begins the next operation.
    Begin,
    /// Nothing happens for a while.
    Wait,
    /// An answer that was held arrives.
    Deliver(Ask),
    /// A request that nobody waits for is carried out.
    Land(Ask),
    /// The outsider acts.
    Outsider,
    /// A request is carried out; the answer comes later.
    Hold(Ask),
    /// A question waits for what comes after it.
    Postpone(Ask),
    /// A request is carried out; the answer never comes.
    Lose(Ask),
    /// A request may be carried out later; an answer never comes.
    Delay(Ask),
    /// A request is refused.
    Refuse(Ask),
    /// The process is killed. This one of its requests is still carried out, at once or later.
    Kill(Option<(Ask, When)>),
    /// The power fails: what the ledger had not synced is gone.
    PowerLoss,
}

/// When a request of a process that was killed is carried out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(in super::super) enum When {
    Now,
    Later,
}

impl Choice {
    /// Whether it is one of the few things that may go wrong.
    pub(in super::super) fn disturbs(&self) -> bool {
        !matches!(self, Self::Serve(_) | Self::Begin | Self::Wait | Self::Deliver(_) | Self::Land(_) | Self::Outsider)
    }
}
