//! Dependencies between the crates point downwards, and the sandbox and the store never meet.

use std::path::PathBuf;
use std::process::Command;

use serde_json::Value;

/// What each crate may depend on, its tests included, unless `TESTS_ONLY` adds to it.
const ALLOWED: &[(&str, &[&str])] = &[
    ("ossfs-types", &[]),
    ("ossfs-store", &["ossfs-types"]),
    ("ossfs-sandbox", &["ossfs-types"]),
    ("ossfs-ledger", &["ossfs-types"]),
    ("ossfs-volume", &["ossfs-types", "ossfs-store", "ossfs-ledger"]),
    ("ossfs", &["ossfs-types", "ossfs-store", "ossfs-ledger", "ossfs-volume", "ossfs-sandbox"]),
    ("ossfs-bench", &["ossfs-types", "ossfs-store"]),
    ("xtask", &["ossfs-types", "ossfs-store", "ossfs-sandbox", "ossfs"]),
];

/// The store's tests may start a sandbox; a sandbox's may not use the store, or one hand would judge both.
const TESTS_ONLY: &[(&str, &[&str])] = &[("ossfs-store", &["ossfs-sandbox"]), ("ossfs-volume", &["ossfs-sandbox"])];

pub(crate) fn root() -> PathBuf {
    let xtask = PathBuf::from(env!("CARGO_MANIFEST_DIR"));
    xtask.parent().expect("xtask is a folder of the workspace").to_owned()
}

pub(crate) fn packages() -> Vec<Value> {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let output = Command::new(cargo)
        .args(["metadata", "--format-version", "1", "--no-deps", "--offline", "--manifest-path"])
        .arg(root().join("Cargo.toml"))
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let metadata: Value = serde_json::from_slice(&output.stdout).unwrap();
    metadata["packages"].as_array().unwrap().clone()
}

fn find<'a>(table: &'a [(&str, &[&'a str])], name: &str) -> Option<&'a [&'a str]> {
    table.iter().find(|(of, _)| *of == name).map(|(_, allowed)| *allowed)
}

#[test]
fn crates_depend_downwards() {
    let mut wrong = Vec::new();
    for package in packages() {
        let name = package["name"].as_str().unwrap();
        let Some(allowed) = find(ALLOWED, name) else {
            wrong.push(format!("{name} is not in the table of crates"));
            continue;
        };
        for dependency in package["dependencies"].as_array().unwrap() {
            let on = dependency["name"].as_str().unwrap();
            let ours = !dependency["path"].is_null();
            let test_only =
                dependency["kind"] == "dev" && find(TESTS_ONLY, name).is_some_and(|list| list.contains(&on));
            if ours && !allowed.contains(&on) && !test_only {
                wrong.push(format!("{name} must not depend on {on}"));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}
