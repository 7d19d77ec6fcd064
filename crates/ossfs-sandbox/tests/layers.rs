//! The architecture is a test: no module names one above it.

use std::path::Path;

/// Lowest first. What stands in one line does not know of each other.
const LAYERS: &[&[&str]] = &[
    &["error", "time", "blob", "pacer", "listing"],
    &["xml", "budget"],
    &["content"],
    &["ingest", "object"],
    &["bucket"],
    &["disk"],
    &["world"],
    &["request"],
    &["auth", "route"],
    &["stats", "conditions"],
    &["answer", "receive"],
    &["operations"],
    &["control"],
    &["respond"],
    &["server"],
];

fn layer_of(module: &str) -> usize {
    let found = LAYERS.iter().position(|layer| layer.contains(&module));
    found.unwrap_or_else(|| panic!("the module {module} has no layer"))
}

fn sources(dir: &Path, found: &mut Vec<std::path::PathBuf>) {
    for entry in std::fs::read_dir(dir).expect("the sources are there") {
        let path = entry.expect("the sources are there").path();
        if path.is_dir() {
            sources(&path, found);
        } else {
            found.push(path);
        }
    }
}

#[test]
fn no_module_names_one_above_it() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut files = Vec::new();
    sources(&root, &mut files);
    for file in files {
        let inside = file.strip_prefix(&root).expect("it was found there").with_extension("");
        let module = inside.iter().next().and_then(|name| name.to_str()).expect("a module's name is text");
        if module == "lib" {
            continue;
        }
        let text = std::fs::read_to_string(&file).expect("the sources can be read");
        let code = text.split("#[cfg(test)]").next().unwrap_or_default();
        for named in code.split("crate::").skip(1) {
            let named: String = named.chars().take_while(|c| c.is_ascii_lowercase() || *c == '_').collect();
            let same = named == module;
            assert!(same || layer_of(&named) < layer_of(module), "{} names {named}", file.display());
        }
    }
}
