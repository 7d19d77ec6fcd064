//! Bad weather of the sandbox, as its conditions.

/// Every kind of fault that may pass.
pub(crate) const KINDS: [&str; 6] = ["error-503", "reset", "lost-answer", "stall", "truncate", "corrupt"];

fn weather(kinds: &[&str], probability: f64) -> String {
    let fault = |kind: &&str| format!(r#"{{"operations": ["*"], "kind": "{kind}", "probability": {probability}}}"#);
    let faults: Vec<_> = kinds.iter().map(fault).collect();
    format!(r#"{{"seed": 5, "latency_ms": 2, "faults": [{}]}}"#, faults.join(","))
}

/// One kind, with this probability of each request.
pub(crate) fn one_at(kind: &str, probability: f64) -> String {
    weather(&[kind], probability)
}

/// Every kind, each with this probability.
pub(crate) fn all_at(probability: f64) -> String {
    weather(&KINDS, probability)
}

/// Nothing but 503.
pub(crate) fn outage() -> String {
    weather(&["error-503"], 1.0)
}
