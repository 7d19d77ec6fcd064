//! Inside a crate no module names one above its own.
//!
//! Modules are followed from the crate's root as the compiler does, so tests (`#[cfg(test)]`) are left out. A name that
//! the root re-exports (`crate::Key`) stands for the module it comes from.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use proc_macro2::{Span, TokenStream, TokenTree};
use syn::visit::{self, Visit};
use syn::{Attribute, Item, UseTree};

use crate::crates::{packages, root};

type Layers = BTreeMap<String, usize>;

fn table() -> BTreeMap<String, Layers> {
    let text = std::fs::read_to_string(root().join("xtask/layers.txt")).unwrap();
    let mut crates: BTreeMap<String, Layers> = BTreeMap::new();
    let mut current = String::new();
    for (number, line) in text.lines().enumerate() {
        let line = line.trim();
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        if let Some(name) = line.strip_prefix('[').and_then(|line| line.strip_suffix(']')) {
            current = name.to_owned();
            crates.insert(current.clone(), Layers::new());
            continue;
        }
        let layers = crates.get_mut(&current).unwrap_or_else(|| panic!("layers.txt:{}: no crate yet", number + 1));
        for module in line.split_whitespace() {
            assert!(layers.insert(module.to_owned(), number).is_none(), "layers.txt: {module} is there twice");
        }
    }
    crates
}

/// What is found wrong, as `file:line: message`.
#[derive(Default)]
struct Findings(Vec<String>);

/// One crate being read.
struct Reader<'a> {
    layers: &'a Layers,
    /// Name re-exported by the root -> top-level module it comes from.
    re_exports: BTreeMap<String, String>,
    findings: Findings,
    file: PathBuf,
    /// Path of the module being read, from the root; empty for the root itself.
    module: Vec<String>,
}

impl Reader<'_> {
    fn complain(&mut self, span: Span, message: &str) {
        let file = self.file.strip_prefix(root()).unwrap_or(&self.file).display().to_string();
        self.findings.0.push(format!("{file}:{}: {message}", span.start().line));
    }

    /// A path that begins with `crate` or leads to the root by `super`: `rest` is what follows.
    fn check(&mut self, first_after_root: &str, span: Span) {
        let Some(own) = self.module.first().cloned() else { return };
        let named = self.re_exports.get(first_after_root).map_or(first_after_root, String::as_str).to_owned();
        let (Some(own_layer), Some(layer)) = (self.layers.get(&own), self.layers.get(&named)) else { return };
        if layer > own_layer {
            self.complain(span, &format!("{own} is below {named} (xtask/layers.txt) and must not name it"));
        }
    }

    fn check_segments(&mut self, segments: &[String], span: Span) {
        let supers = segments.iter().take_while(|segment| *segment == "super").count();
        let after_root = match segments.first().map(String::as_str) {
            Some("crate") => segments.get(1),
            Some("super") if supers == self.module.len() => segments.get(supers),
            _ => None,
        };
        if let Some(name) = after_root {
            self.check(&name.clone(), span);
        }
    }

    fn use_paths(&mut self, tree: &UseTree, before: &[String]) {
        match tree {
            UseTree::Path(path) => {
                let joined = [before, &[path.ident.to_string()]].concat();
                self.use_paths(&path.tree, &joined);
            }
            UseTree::Group(group) => group.items.iter().for_each(|item| self.use_paths(item, before)),
            UseTree::Name(name) => {
                self.check_segments(&[before, &[name.ident.to_string()]].concat(), name.ident.span());
            }
            UseTree::Rename(rename) => {
                self.check_segments(&[before, &[rename.ident.to_string()]].concat(), rename.ident.span());
            }
            UseTree::Glob(glob) => self.check_segments(before, glob.star_token.spans[0]),
        }
    }

    /// Inside macros only tokens are known: `crate :: name` is looked for.
    fn tokens(&mut self, tokens: TokenStream) {
        let trees: Vec<TokenTree> = tokens.into_iter().collect();
        for (at, tree) in trees.iter().enumerate() {
            match tree {
                TokenTree::Group(group) => self.tokens(group.stream()),
                TokenTree::Ident(ident) if ident == "crate" => {
                    if let Some(TokenTree::Ident(name)) = trees.get(at + 3) {
                        self.check(&name.to_string(), ident.span());
                    }
                }
                _ => {}
            }
        }
    }

    fn file(&mut self, file: &Path) {
        let text = std::fs::read_to_string(file).unwrap_or_else(|error| panic!("{}: {error}", file.display()));
        let parsed = syn::parse_file(&text).unwrap_or_else(|error| panic!("{}: {error}", file.display()));
        let outer = std::mem::replace(&mut self.file, file.to_owned());
        self.visit_file(&parsed);
        self.file = outer;
    }
}

fn is_test(attributes: &[Attribute]) -> bool {
    attributes.iter().any(|attribute| match &attribute.meta {
        syn::Meta::List(list) if list.path.is_ident("cfg") => list.tokens.to_string() == "test",
        syn::Meta::Path(path) => path.is_ident("test"),
        _ => false,
    })
}

fn item_attributes(item: &Item) -> &[Attribute] {
    match item {
        Item::Const(item) => &item.attrs,
        Item::Enum(item) => &item.attrs,
        Item::Fn(item) => &item.attrs,
        Item::Impl(item) => &item.attrs,
        Item::Macro(item) => &item.attrs,
        Item::Mod(item) => &item.attrs,
        Item::Static(item) => &item.attrs,
        Item::Struct(item) => &item.attrs,
        Item::Trait(item) => &item.attrs,
        Item::Type(item) => &item.attrs,
        Item::Use(item) => &item.attrs,
        _ => &[],
    }
}

impl<'ast> Visit<'ast> for Reader<'_> {
    fn visit_item(&mut self, item: &'ast Item) {
        if !is_test(item_attributes(item)) {
            visit::visit_item(self, item);
        }
    }

    fn visit_item_mod(&mut self, module: &'ast syn::ItemMod) {
        let name = module.ident.to_string();
        if self.module.is_empty() && !self.layers.contains_key(&name) {
            self.complain(module.ident.span(), &format!("module {name} is not in xtask/layers.txt"));
        }
        self.module.push(name.clone());
        if module.content.is_some() {
            visit::visit_item_mod(self, module);
        } else {
            let file = file_of(&self.file, &name);
            self.file(&file);
        }
        self.module.pop();
    }

    fn visit_item_use(&mut self, item: &'ast syn::ItemUse) {
        self.use_paths(&item.tree, &[]);
    }

    fn visit_path(&mut self, path: &'ast syn::Path) {
        let segments: Vec<String> = path.segments.iter().map(|segment| segment.ident.to_string()).collect();
        if let Some(first) = path.segments.first() {
            self.check_segments(&segments, first.ident.span());
        }
        visit::visit_path(self, path);
    }

    fn visit_macro(&mut self, called: &'ast syn::Macro) {
        self.tokens(called.tokens.clone());
        visit::visit_macro(self, called);
    }
}

/// Where `mod name;` in `file` is.
fn file_of(file: &Path, name: &str) -> PathBuf {
    let folder = file.parent().expect("a source file has a folder");
    let stem = file.file_stem().expect("a source file has a name").to_string_lossy();
    let folder = if ["lib", "main", "mod"].contains(&stem.as_ref()) { folder.to_owned() } else { folder.join(&*stem) };
    let flat = folder.join(format!("{name}.rs"));
    if flat.exists() { flat } else { folder.join(name).join("mod.rs") }
}

/// `pub use module::{A, B as C};` in the root: A and C come from `module`.
fn re_exports(root_file: &Path) -> BTreeMap<String, String> {
    fn names(tree: &UseTree, found: &mut Vec<String>) {
        match tree {
            UseTree::Path(path) => names(&path.tree, found),
            UseTree::Group(group) => group.items.iter().for_each(|item| names(item, found)),
            UseTree::Name(name) => found.push(name.ident.to_string()),
            UseTree::Rename(rename) => found.push(rename.rename.to_string()),
            UseTree::Glob(_) => {}
        }
    }
    let parsed = syn::parse_file(&std::fs::read_to_string(root_file).unwrap()).unwrap();
    let mut map = BTreeMap::new();
    for item in &parsed.items {
        let Item::Use(item) = item else { continue };
        let tree = match &item.tree {
            UseTree::Path(path) if path.ident == "crate" || path.ident == "self" => &*path.tree,
            tree => tree,
        };
        let UseTree::Path(path) = tree else { continue };
        let mut found = Vec::new();
        names(&path.tree, &mut found);
        map.extend(found.into_iter().map(|name| (name, path.ident.to_string())));
    }
    map
}

fn read(root_file: &Path, layers: &Layers) -> Vec<String> {
    let mut reader = Reader {
        layers,
        re_exports: re_exports(root_file),
        findings: Findings::default(),
        file: root_file.to_owned(),
        module: Vec::new(),
    };
    reader.file(root_file);
    reader.findings.0
}

#[test]
fn modules_name_only_what_is_below_them() {
    let table = table();
    let mut wrong = Vec::new();
    for package in packages() {
        let name = package["name"].as_str().unwrap();
        let Some(layers) = table.get(name) else {
            wrong.push(format!("{name} is not in xtask/layers.txt"));
            continue;
        };
        for target in package["targets"].as_array().unwrap() {
            let kind = target["kind"][0].as_str().unwrap();
            if kind == "lib" || kind == "bin" {
                wrong.extend(read(Path::new(target["src_path"].as_str().unwrap()), layers));
            }
        }
    }
    assert!(wrong.is_empty(), "\n{}\n", wrong.join("\n"));
}

#[test]
fn a_module_that_names_one_above_it_is_found() {
    let folder = std::env::temp_dir().join(format!("architecture-{}", std::process::id()));
    std::fs::create_dir_all(folder.join("low")).unwrap();
    let write = |name: &str, text: &str| std::fs::write(folder.join(name), text).unwrap();
    write("lib.rs", "mod low;\nmod high;\nmod stray;\npub use high::Thing;\n#[cfg(test)] mod tests;\n");
    write(
        "low.rs",
        "mod inner;\nuse crate::high::A;\nuse super::{high};\nfn f() { crate::Thing::new(); g!(crate::high::x); }\n\
         #[cfg(test)] mod tests { use crate::high::B; }\n",
    );
    write("low/inner.rs", "use super::super::high::C;\nuse super::fine;\n");
    write("high.rs", "use crate::low;\n");
    write("stray.rs", "");
    let layers = Layers::from([("low".to_owned(), 1), ("high".to_owned(), 2)]);
    let found = read(&folder.join("lib.rs"), &layers);
    std::fs::remove_dir_all(&folder).unwrap();
    let lines: Vec<String> = found
        .iter()
        .map(|line| line.rsplit('/').nth(usize::from(line.contains("layers.txt"))).unwrap_or(line).to_owned())
        .collect();
    let starts = ["inner.rs:1:", "low.rs:2:", "low.rs:3:", "low.rs:4:", "low.rs:4:", "lib.rs:3:"];
    assert_eq!(found.len(), starts.len(), "{found:#?}");
    for (line, start) in lines.iter().zip(starts) {
        assert!(line.starts_with(start), "{line} does not begin with {start}");
    }
}
