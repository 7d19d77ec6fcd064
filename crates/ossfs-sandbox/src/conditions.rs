//! Bad weather: latency, bandwidth, throttling and faults, set by tests and benchmarks.
//!
//! Which fault a request meets is decided here, before anything is applied; carrying it out is the server's business.
//! Draws come from a generator whose seed can be set, so that a test on one connection repeats.

use crate::route::Operation;
use serde::{Deserialize, Serialize};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::time::Instant;

/// More faults than any test sets; each is looked at for every request.
const FAULTS_MAX: usize = 64;

/// What goes wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum FaultKind {
    /// Answered 503, not applied.
    #[serde(rename = "error-503")]
    Error503,
    /// The connection is reset before the request is applied.
    Reset,
    /// Applied, then the connection is closed without an answer.
    LostAnswer,
    /// Not applied, and never answered.
    Stall,
    /// The body of the answer ends short of its Content-Length.
    Truncate,
    /// One byte of an object's body is flipped.
    Corrupt,
    /// Answered 403, not applied.
    Denied,
    /// Answered 403 because of a quota, not applied.
    Quota,
}

impl FaultKind {
    /// Whether the fault can happen to an operation at all: the kinds that need a body need one with a body.
    fn fits(self, operation: Operation, ranged: bool) -> bool {
        use Operation::*;
        match self {
            Self::Error503 | Self::Reset | Self::LostAnswer | Self::Stall | Self::Denied | Self::Quota => true,
            Self::Truncate => !matches!(
                operation,
                HeadObject
                    | GetObjectMeta
                    | HeadBucket
                    | PutObject
                    | PutSymlink
                    | GetSymlink
                    | UploadPart
                    | AppendObject
                    | DeleteObject
                    | DeleteBucket
                    | PutBucket
                    | PutBucketAcl
                    | PutBucketVersioning
                    | PutObjectAcl
                    | PutObjectTagging
                    | DeleteObjectTagging
                    | AbortMultipartUpload
            ),
            Self::Corrupt => match operation {
                GetObject => !ranged,
                PutObject | UploadPart | AppendObject => true,
                _ => false,
            },
        }
    }
}

/// A fault in force.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Fault {
    /// Names of operations, or `*` for all.
    operations: Vec<String>,
    kind: FaultKind,
    /// Of 1; how many of the operations it meets.
    #[serde(default = "one")]
    probability: f64,
    /// How often it may still happen; without, for ever.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    count: Option<u64>,
}

fn one() -> f64 {
    1.0
}

/// The conditions in force, as `GET /-/conditions` says them and `PUT /-/conditions` sets them.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Conditions {
    /// Delay before the first byte of each answer.
    #[serde(default)]
    latency_ms: u64,
    /// Bytes a second, per connection and direction; 0 for no limit.
    #[serde(default)]
    bandwidth: u64,
    /// Above it requests are answered 503; 0 for no limit.
    #[serde(default)]
    requests_per_second: u64,
    #[serde(default)]
    faults: Vec<Fault>,
    /// The draws of faults begin anew from it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    seed: Option<u64>,
}

impl Conditions {
    pub(crate) fn new(latency: Duration, bandwidth: u64) -> Self {
        let latency_ms = u64::try_from(latency.as_millis()).unwrap_or(u64::MAX);
        Self { latency_ms, bandwidth, ..Self::default() }
    }

    /// Reads what a client wants, or says what is wrong with it.
    pub(crate) fn parse(json: &[u8]) -> Result<Self, String> {
        // By way of a map: a list would be taken for the fields in their order.
        let fields: serde_json::Map<String, serde_json::Value> =
            serde_json::from_slice(json).map_err(|error| error.to_string())?;
        let conditions = serde_json::from_value::<Self>(fields.into()).map_err(|error| error.to_string())?;
        if conditions.faults.len() > FAULTS_MAX {
            return Err(format!("faults: at most {FAULTS_MAX}"));
        }
        for fault in &conditions.faults {
            let unknown = |name: &&String| name.as_str() != "*" && Operation::from_name(name).is_none();
            if let Some(name) = fault.operations.iter().find(unknown) {
                return Err(format!("operations: there is no operation {name:?}"));
            }
            if fault.operations.is_empty() {
                return Err("operations: name at least one, or \"*\"".to_owned());
            }
            if !(0.0..=1.0).contains(&fault.probability) {
                return Err(format!("probability: {} is not between 0 and 1", fault.probability));
            }
        }
        Ok(conditions)
    }
}

/// What one request meets.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Weather {
    pub(crate) latency: Duration,
    /// Bytes a second; 0 for no limit.
    pub(crate) bandwidth: u64,
    pub(crate) throttled: bool,
    pub(crate) fault: Option<FaultKind>,
}

/// The conditions, and what changes as requests meet them.
#[derive(Debug)]
pub(crate) struct Climate(Mutex<State>);

#[derive(Debug)]
struct State {
    conditions: Conditions,
    random: fastrand::Rng,
    /// Requests that may be answered now, and since when that holds.
    tokens: f64,
    refilled: Option<Instant>,
}

impl Climate {
    pub(crate) fn new(conditions: Conditions) -> Arc<Self> {
        let state = State { conditions, random: fastrand::Rng::new(), tokens: 0.0, refilled: None };
        Arc::new(Self(Mutex::new(state)))
    }

    pub(crate) fn set(&self, conditions: Conditions) {
        let mut state = self.state();
        if let Some(seed) = conditions.seed {
            state.random.seed(seed);
        }
        state.conditions = conditions;
        state.refilled = None;
    }

    pub(crate) fn in_force(&self) -> Conditions {
        self.state().conditions.clone()
    }

    /// What the next request meets.
    pub(crate) fn meet(&self, operation: Operation, ranged: bool, now: Instant) -> Weather {
        let state = &mut *self.state();
        let throttled = !state.take_token(now);
        let fault = if throttled { None } else { state.draw(operation, ranged) };
        Weather {
            latency: Duration::from_millis(state.conditions.latency_ms),
            bandwidth: state.conditions.bandwidth,
            throttled,
            fault,
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    /// A bucket of tokens that holds one second's worth, at least one.
    fn take_token(&mut self, now: Instant) -> bool {
        let rate = self.conditions.requests_per_second as f64;
        if rate == 0.0 {
            return true;
        }
        let full = rate.max(1.0);
        self.tokens = match self.refilled {
            Some(then) => (self.tokens + now.saturating_duration_since(then).as_secs_f64() * rate).min(full),
            None => full,
        };
        self.refilled = Some(now);
        if self.tokens < 1.0 {
            return false;
        }
        self.tokens -= 1.0;
        true
    }

    /// The first fault that is drawn.
    fn draw(&mut self, operation: Operation, ranged: bool) -> Option<FaultKind> {
        for fault in &mut self.conditions.faults {
            let meant = fault.operations.iter().any(|name| name == "*" || name == operation.name());
            let left = fault.count != Some(0);
            if !meant || !left || !fault.kind.fits(operation, ranged) || self.random.f64() >= fault.probability {
                continue;
            }
            if let Some(count) = &mut fault.count {
                *count -= 1;
            }
            return Some(fault.kind);
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn climate(json: &str) -> Arc<Climate> {
        let climate = Climate::new(Conditions::default());
        climate.set(Conditions::parse(json.as_bytes()).unwrap());
        climate
    }

    #[test]
    fn what_is_unknown_is_named() {
        for (json, word) in [
            (r#"{"latency": 1}"#, "latency"),
            (r#"{"faults": [{"operations": ["*"], "kind": "rain"}]}"#, "rain"),
            (r#"{"faults": [{"operations": ["Dance"], "kind": "reset"}]}"#, "Dance"),
            (r#"{"faults": [{"operations": ["*"], "kind": "reset", "odds": 1}]}"#, "odds"),
            (r#"{"faults": [{"operations": ["*"], "kind": "reset", "probability": 2}]}"#, "probability"),
            (r#"{"faults": [{"operations": [], "kind": "reset"}]}"#, "operations"),
            (r#"{"faults": [{"operations": ["*"]}]}"#, "kind"),
            ("{", "EOF"),
            ("[]", "map"),
            ("", "EOF"),
        ] {
            let message = Conditions::parse(json.as_bytes()).unwrap_err();
            assert!(message.contains(word), "{json}: {message}");
        }
    }

    #[test]
    fn faults_count_down_and_meet_only_what_they_fit() {
        let climate = climate(
            r#"{"faults": [{"operations": ["GetObject", "PutObject"], "kind": "corrupt", "count": 2},
                           {"operations": ["*"], "kind": "truncate"}]}"#,
        );
        let now = Instant::now();
        let fault = |operation, ranged| climate.meet(operation, ranged, now).fault;
        assert_eq!(fault(Operation::GetObject, true), Some(FaultKind::Truncate));
        assert_eq!(fault(Operation::HeadObject, false), None);
        assert_eq!(fault(Operation::GetObject, false), Some(FaultKind::Corrupt));
        assert_eq!(fault(Operation::PutObject, false), Some(FaultKind::Corrupt));
        assert_eq!(fault(Operation::PutObject, false), None);
    }

    #[test]
    fn the_same_seed_draws_the_same() {
        let draw = || {
            let climate =
                climate(r#"{"seed": 7, "faults": [{"operations": ["*"], "kind": "denied", "probability": 0.5}]}"#);
            let now = Instant::now();
            (0..64).map(|_| climate.meet(Operation::GetObject, false, now).fault.is_some()).collect::<Vec<_>>()
        };
        let first = draw();
        assert_eq!(first, draw());
        let hits = first.iter().filter(|hit| **hit).count();
        assert!((16..=48).contains(&hits), "{hits}");
    }

    #[test]
    fn requests_above_the_rate_are_throttled() {
        let climate = climate(r#"{"requests_per_second": 10}"#);
        let start = Instant::now();
        let passed = |at: Duration, tries: usize| {
            let met = (0..tries).map(|_| climate.meet(Operation::GetObject, false, start + at));
            met.filter(|weather| !weather.throttled).count()
        };
        assert_eq!(passed(Duration::ZERO, 30), 10);
        assert_eq!(passed(Duration::from_millis(500), 30), 5);
        assert_eq!(passed(Duration::from_secs(60), 30), 10);
    }
}
