//! The settler: carries what the ledger has to the bucket.
//!
//! ```text
//! queue -> run -> plan (pure: the next step) -> carry (one order: check, request) -> commit (pure: one transaction)
//!                                                  |-> upload (content), append        |
//!                                                  +-> resolve (lost answers, conflicts, unnamed uploads)
//! lending (pure: objects that others have bytes of)  drain (pure: objects nobody has recorded)  claims, tombs: their tasks
//! ```
//!
//! `plan`, `lending`, `commit` and `drain` are functions of the tree; the rest acts. Invariants: an intent is in the ledger, and on
//! disk, before the request that it announces; one mutating request is in flight for a key; a source is deleted only after
//! its destination is committed.

mod append;
mod carry;
mod claims;
mod commit;
mod drain;
mod gathered;
mod lending;
mod lists;
mod patience;
mod plan;
mod queue;
mod refusals;
mod resolve;
mod run;
mod stream;
mod tombs;
mod unnamed;
mod unsettled;
mod upload;
mod verify;

pub(crate) use carry::carries_token;
pub(crate) use patience::Patience;
pub(crate) use queue::Queue;
pub(crate) use refusals::{Act, Refusal, Refusals};
pub(crate) use resolve::QUARANTINE;
pub(crate) use run::{spawn, spawn_timer};
