//! Rows for the parser: what people type, what it means, what is said of a mistake.

use super::*;
use crate::options::typed::{Encryption, RamRole};
use ossfs_store::{Endpoint, SignatureVersion};
use std::path::Path;
use std::time::Duration;

fn typed(texts: &[&str]) -> Typed {
    parse(texts.iter().copied()).unwrap_or_else(|error| panic!("{texts:?}: {error}"))
}

fn refusal(text: &str) -> String {
    parse([text]).map(|_| ()).expect_err(text).to_string()
}

#[test]
fn options_are_separated_by_commas_and_may_be_repeated() {
    let typed = typed(&["url=oss-cn-hangzhou.aliyuncs.com,allow_other,,uid=1000", "umask=022", ""]);
    assert_eq!(typed.endpoint, Some(Endpoint::parse("http://oss-cn-hangzhou.aliyuncs.com").unwrap()));
    assert_eq!(typed.allow_other, Some(true));
    assert_eq!(typed.uid.as_deref(), Some("1000"));
    assert_eq!(typed.umask, Some(0o22));
}

#[test]
fn a_value_may_hold_commas_and_equals_signs() {
    assert_eq!(split(r"a=b\,c,d\\,e\x"), [r"a=b,c", r"d\", r"e\x"]);
    let typed = typed(&[r"credential_process=keys --for=me\,you,ro"]);
    assert_eq!(typed.credential_process.as_deref(), Some("keys --for=me,you"));
    assert_eq!(typed.read_only, Some(true));
}

#[test]
fn the_last_of_two_that_exclude_each_other_stands() {
    assert_eq!(typed(&["ro", "rw"]).read_only, Some(false));
    assert_eq!(typed(&["sigv4,sigv1"]).signature, Some(SignatureVersion::V1));
    assert_eq!(typed(&["retries=1", "retries=7"]).retries, Some(7));
}

#[test]
fn flags_take_one_and_zero() {
    assert_eq!(typed(&["public_bucket=1"]).public_bucket, Some(true));
    assert_eq!(typed(&["public_bucket=0"]).public_bucket, Some(false));
    assert_eq!(typed(&["public_bucket"]).public_bucket, Some(true));
}

#[test]
fn what_mount_passes_on_is_understood() {
    let typed = typed(&["rw,nosuid,dev,noexec,_netdev,x-systemd.automount,comment=oss,user=me,relatime,defaults"]);
    assert_eq!((typed.kernel.nodev, typed.kernel.nosuid, typed.kernel.noexec), (false, true, true));
    assert_eq!(typed.read_only, Some(false));
    assert!(typed.not_needed.is_empty(), "{:?}", typed.not_needed);
}

#[test]
fn an_fstab_line_of_ossfs_1_needs_no_change() {
    let typed = typed(&["_netdev,url=http://oss-cn-hangzhou-internal.aliyuncs.com,allow_other,\
         passwd_file=/etc/passwd-ossfs,max_stat_cache_size=100000,use_cache=/tmp/cache,multipart_size=10,\
         parallel_count=5,connect_timeout=300,retries=2,stat_cache_expire=-1,direct_read_prefetch_limit=1024,\
         dbglevel=warn,use_sse=1,default_acl=private,storage_class=IA,ensure_diskfree=1024,kernel_cache,max_write=131072"]);
    assert_eq!(typed.passwd_file.as_deref(), Some(Path::new("/etc/passwd-ossfs")));
    assert_eq!(typed.part_bytes, Some(10 << 20));
    assert_eq!(typed.connect_timeout, Some(Duration::from_secs(300)));
    assert_eq!(typed.encryption, Some(Encryption::Oss));
    assert_eq!(typed.ensure_diskfree, Some(1 << 30));
    let names: Vec<_> = typed.not_needed.iter().map(|(name, _)| *name).collect();
    assert_eq!(names, ["max_stat_cache_size", "use_cache", "direct_read_prefetch_limit", "kernel_cache", "max_write"]);
}

#[test]
fn a_role_may_stand_alone() {
    assert_eq!(typed(&["ram_role"]).ram_role, Some(RamRole::Auto));
    assert_eq!(typed(&["ram_role=my-role"]).ram_role, Some(RamRole::Named("my-role".into())));
}

#[test]
fn a_mistake_is_told_in_one_line_with_what_to_do() {
    for (typed, said) in [
        ("umaks=022", "there is no option -oumaks: did you mean -oumask=MASK?"),
        ("allow-other", "there is no option -oallow-other: did you mean -oallow_other?"),
        ("frobnicate", "there is no option -ofrobnicate; `ossfs --help` lists those that there are"),
        ("url", "-ourl needs a value: -ourl=ENDPOINT"),
        (
            "url=ftp://x",
            "-ourl=ftp://x: must be an address such as http://oss-cn-hangzhou.aliyuncs.com (the scheme must be http or https)",
        ),
        ("retries=many", "-oretries=many: must be a number from 0 to 100"),
        ("connect_timeout=0", "-oconnect_timeout=0: must be a number of seconds from 1 to 86400, such as 10"),
        ("umask=999", "-oumask=999: must be an octal number from 000 to 777, such as 022"),
        ("multipart_size=0", "-omultipart_size=0: must be a number of megabytes from 1 to 5120"),
        ("allow_other=maybe", "-oallow_other=maybe: must be without a value (or =1, =0)"),
        ("ro=1", "-oro=1: must be without a value"),
        (
            "storage_class=Cold",
            "-ostorage_class=Cold: must be one of Standard, IA, Archive, ColdArchive, DeepColdArchive",
        ),
        ("dbglevel=loud", "-odbglevel=loud: must be one of crit, err, warn, info, debug, trace"),
        (
            "region=http://x.y",
            "-oregion=http://x.y: must be a region such as cn-hangzhou; an address belongs to -ourl=",
        ),
        ("remount", "-oremount is not possible: unmount it and mount it anew"),
        ("=x", "there is no option -o; `ossfs --help` lists those that there are"),
    ] {
        assert_eq!(refusal(typed), said);
    }
    assert!(refusal("memory_limit=1M").contains("at least 32 MiB"));
}
