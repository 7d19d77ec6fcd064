//! Native symlinks.

use super::{Bench, assert_kind, case_table, value};
use crate::api::{GetOptions, PutOptions};
use crate::error::Kind;

case_table! {
    a_symlink_leads_to_its_target
    a_symlink_may_lead_nowhere
}

async fn a_symlink_leads_to_its_target(bench: &Bench) {
    let target = bench.key("目标 a+b");
    let link = bench.key("link");
    bench.put("目标 a+b", "content").await;
    let mut options = PutOptions::default();
    options.metadata.user.insert("mode".to_owned(), value("41471"));
    bench.store.put_symlink(&link, &target, &options).await.expect("a symlink is put");
    let symlink = bench.store.get_symlink(&link).await.expect("it is a symlink");
    assert_eq!((symlink.target, symlink.metadata.user), (target.clone(), options.metadata.user));
    assert_eq!(bench.content("link").await, "content");
    let (through, direct) = (bench.store.head(&link).await, bench.store.head(&target).await);
    let (through, direct) = (through.expect("the target is there"), direct.expect("it is there"));
    assert_eq!((through.size, through.etag), (direct.size, direct.etag));
    assert_kind(bench.store.get_symlink(&target).await, Kind::WrongType);
}

async fn a_symlink_may_lead_nowhere(bench: &Bench) {
    let link = bench.key("link");
    bench.store.put_symlink(&link, &bench.key("none"), &Default::default()).await.expect("a symlink is put");
    assert_eq!(bench.store.get_symlink(&link).await.expect("it is a symlink").target, bench.key("none"));
    assert_kind(bench.store.get(&link, &GetOptions::default()).await, Kind::NotFound);
    bench.store.stat(&link).await.expect("the link itself is there");
    bench.store.delete(&link).await.expect("the link is deleted");
    assert_kind(bench.store.get_symlink(&link).await, Kind::NotFound);
}
