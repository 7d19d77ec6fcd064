//! What options mean together.

use super::*;
use crate::options;

fn machine<'a>(variable: &'a (dyn Fn(&str) -> Option<String> + Sync)) -> Machine<'a> {
    Machine {
        variable,
        uid: 1000,
        gid: 100,
        users: "www:x:33:34::/:/bin/sh".into(),
        groups: "web:x:35:".into(),
        memory_bytes: 16 << 30,
    }
}

fn resolved_in(words: &[&str], typed: &str, set: &'static [(&str, &str)]) -> Result<MountConfig, String> {
    let named = Named { words: words.iter().map(|word| (*word).into()).collect(), ..Named::default() };
    let typed = options::parse([typed]).map_err(|error| error.to_string())?;
    let home = [("HOME", "/home/me")];
    let variable = |name: &str| {
        let mut all = set.iter().chain(&home);
        all.find(|(set, _)| *set == name).map(|(_, value)| (*value).to_owned())
    };
    resolve(&named, &typed, &machine(&variable)).map_err(|error| format!("{error:#}"))
}

fn resolved(typed: &str) -> Result<MountConfig, String> {
    resolved_in(&["my-bucket", "/mnt/oss"], typed, &[])
}

const HANGZHOU: &str = "url=oss-cn-hangzhou.aliyuncs.com";

#[test]
fn a_bucket_and_a_part_of_it() {
    let prefix = |bucket| resolved_in(&[bucket, "/mnt"], HANGZHOU, &[]).map(|config| config.prefix.to_string());
    for (bucket, shown) in [
        ("my-bucket", ""),
        ("my-bucket:/", ""),
        ("my-bucket:/a", "a/"),
        ("my-bucket:/a/b c/", "a/b c/"),
        ("my-bucket:/a:b", "a:b/"),
    ] {
        assert_eq!(prefix(bucket), Ok(shown.into()), "{bucket}");
    }
    for (bucket, said) in [
        ("my-bucket:a", "must begin with /: BUCKET:/a"),
        ("my-bucket:/a//b", "must not be empty"),
        ("my-bucket:/../b", ". or .."),
        ("My_Bucket", "is no bucket name"),
        ("my-bucket:", "must begin with /"),
    ] {
        assert!(prefix(bucket).unwrap_err().contains(said), "{bucket}: {:?}", prefix(bucket));
    }
}

#[test]
fn the_command_line_of_ossfs_1_that_names_the_mountpoint_alone() {
    let config = resolved_in(&["/mnt/oss"], "url=127.0.0.1:9900,bucket=my-bucket:/a,sigv1", &[]).unwrap();
    assert_eq!((config.bucket.as_str(), config.prefix.as_str()), ("my-bucket", "a/"));
    assert_eq!(config.mountpoint, Path::new("/mnt/oss"));
    assert!(resolved_in(&["my-bucket"], HANGZHOU, &[]).unwrap_err().contains("no mountpoint for the bucket my-bucket"));
    assert!(resolved_in(&[], HANGZHOU, &[]).unwrap_err().contains("ossfs BUCKET[:/PREFIX] MOUNTPOINT"));
}

#[test]
fn a_missing_url_is_an_error_with_an_example() {
    let error = resolved("").unwrap_err();
    assert!(error.contains("-ourl=http://oss-cn-hangzhou.aliyuncs.com"), "{error}");
}

#[test]
fn the_region_is_typed_or_told_by_the_name_or_the_environment() {
    let region =
        |typed, set| resolved_in(&["my-bucket", "/mnt"], typed, set).map(|config| (config.region, config.signature));
    let v4 = |region: &str| Ok((Some(region.to_owned()), SignatureVersion::V4));
    assert_eq!(region("url=oss-cn-hangzhou.aliyuncs.com,region=oss-cn-beijing", &[]), v4("cn-beijing"));
    assert_eq!(region(HANGZHOU, &[("OSS_REGION", "cn-beijing")]), v4("cn-hangzhou"));
    assert_eq!(region("url=127.0.0.1:1", &[("OSS_REGION", "cn-beijing")]), v4("cn-beijing"));
    assert_eq!(region("url=127.0.0.1:1", &[("ALIBABA_CLOUD_REGION_ID", "cn-a")]), v4("cn-a"));
    assert_eq!(region("url=127.0.0.1:1,sigv1,region=cn-a", &[]).unwrap().1, SignatureVersion::V1);
    assert!(region("url=127.0.0.1:1", &[("OSS_REGION", "Hangzhou")]).unwrap_err().starts_with("OSS_REGION=Hangzhou"));
}

#[test]
fn without_a_region_version_1_is_used_with_a_note() {
    let config = resolved("url=http://127.0.0.1:9900").unwrap();
    assert_eq!(config.signature, SignatureVersion::V1);
    assert!(config.notes.iter().any(|note| note.contains("-oregion=")), "{:?}", config.notes);
    assert!(resolved("url=http://127.0.0.1:9900,sigv1").unwrap().notes.is_empty(), "it was asked for");
    assert!(resolved("url=http://127.0.0.1:9900,public_bucket").unwrap().notes.is_empty(), "nothing is signed");
    let error = resolved("url=http://127.0.0.1:9900,sigv4").unwrap_err();
    assert!(error.contains("add -oregion=REGION"), "{error}");
}

#[test]
fn what_was_chosen_for_credentials_comes_alone() {
    let credentials = |typed: &str| resolved(&format!("{HANGZHOU},{typed}")).unwrap();
    assert_eq!(credentials("public_bucket=1").credentials, None);
    let role = credentials("ram_role=my-role,passwd_file=/x");
    assert_eq!(role.credentials.unwrap().ram_role, Some(Some("my-role".into())));
    assert!(role.notes[0].contains("-opasswd_file is not used"), "{:?}", role.notes);
    let at = credentials("ram_role=http://10.0.0.1/latest/meta-data/ram/security-credentials/R").credentials.unwrap();
    assert_eq!((at.metadata_endpoint.as_deref(), at.ram_role), (Some("http://10.0.0.1"), Some(Some("R".into()))));
    let file = credentials("passwd_file=keys").credentials.unwrap().passwd_file.unwrap();
    assert!(file.is_absolute() && file.ends_with("keys"), "{file:?}");
}

#[test]
fn owners_and_modes() {
    let volume = |typed: &str| resolved(&format!("{HANGZHOU}{typed}")).map(|config| config.volume);
    let default = volume("").unwrap();
    assert_eq!((default.uid, default.gid), (1000, 100), "the mounting user");
    assert_eq!((default.file_mode, default.directory_mode, default.root_mode), (0o640, 0o750, 0o700));
    assert_eq!(volume(",allow_other").unwrap().root_mode, 0o777);
    let typed = volume(",uid=www,gid=web,umask=022,mp_umask=027,allow_other").unwrap();
    assert_eq!((typed.uid, typed.gid), (33, 35));
    assert_eq!((typed.file_mode, typed.directory_mode, typed.root_mode), (0o755, 0o755, 0o750));
    let error = volume(",uid=stranger").map(|_| ()).unwrap_err();
    assert_eq!(error, "-ouid=stranger: must be a number, or a name that this machine knows");
}

#[test]
fn time_limits_and_repetitions() {
    let config = resolved(HANGZHOU).unwrap();
    let seconds = |seconds| Duration::from_secs(seconds);
    assert_eq!(config.http.timeouts, Timeouts { connect: seconds(10), first_byte: seconds(20), silence: seconds(20) });
    assert_eq!((config.retry.attempts_max, config.retry.patience), (6, Duration::from_secs(24)));
    let waits: Duration = (0..5).map(|n| (DELAY_FIRST * 4 * (1 << n)).min(DELAY_MAX)).sum();
    assert!(waits < config.volume.deadline, "even throttled, attempts end within the deadline: {waits:?}");
    let typed = resolved(&format!("{HANGZHOU},connect_timeout=3,readwrite_timeout=120,retries=0,deadline=5")).unwrap();
    assert_eq!(typed.http.timeouts, Timeouts { connect: seconds(3), first_byte: seconds(120), silence: seconds(120) });
    assert_eq!((typed.retry.attempts_max, typed.volume.deadline), (1, seconds(5)));
    assert_eq!(resolved(&format!("{HANGZHOU},deadline=5")).unwrap().http.timeouts.silence, seconds(5));
}

#[test]
fn what_is_remembered() {
    let volume = |typed: &str| resolved(&format!("{HANGZHOU},{typed}")).unwrap().volume;
    let ttl = |typed| (volume(typed).metadata_ttl.as_secs(), volume(typed).negative_ttl.as_secs());
    assert_eq!(ttl("rw"), (60, 5));
    assert_eq!(ttl("stat_cache_expire=0"), (0, 0));
    assert_eq!(ttl("stat_cache_expire=3"), (3, 3));
    assert_eq!(ttl("disable_noobj_cache"), (60, 0));
    assert!(ttl("stat_cache_expire=-1").0 > 1_000_000_000);
    assert!(volume("readdir_optimize").trust_listing);
}

#[test]
fn parts_fit_into_the_memory() {
    let config = |typed: &str| resolved(&format!("{HANGZHOU},{typed}")).unwrap();
    assert_eq!(config("rw").volume.memory_limit, 256 << 20);
    assert_eq!(config("multipart_size=20").volume.part_bytes, 20 << 20);
    let large = config("multipart_size=1024");
    assert_eq!(large.volume.part_bytes, 64 << 20);
    assert!(large.notes[0].contains("-omemory_limit"), "{:?}", large.notes);
    assert_eq!(config("multipart_size=1024,memory_limit=8G").volume.part_bytes, 1 << 30);
}

#[test]
fn new_objects_have_the_headers_that_were_asked_for() {
    let headers = resolved(&format!("{HANGZHOU},storage_class=ia,use_sse=kmsid:K,default_acl=public-read"))
        .unwrap()
        .volume
        .headers;
    let text = |value: Option<HeaderValue>| value.unwrap().to_str().unwrap().to_owned();
    assert_eq!(text(headers.storage_class), "IA");
    assert_eq!(text(headers.encryption), "KMS");
    assert_eq!(text(headers.encryption_key), "K");
    assert_eq!(text(headers.acl), "public-read");
}

#[test]
fn a_file_of_content_types_that_was_named_must_be_there() {
    let error = resolved(&format!("{HANGZHOU},mime=/nonexistent")).unwrap_err();
    assert!(error.starts_with("-omime=/nonexistent: can't be read"), "{error}");
}

#[test]
fn options_that_are_not_needed_are_noted() {
    let config = resolved(&format!("{HANGZHOU},use_cache=/tmp,use_cache=/tmp")).unwrap();
    assert_eq!(config.notes.len(), 1);
    assert!(config.notes[0].starts_with("-ouse_cache is not needed: "), "{:?}", config.notes);
}

#[test]
fn bytes_are_staged_where_it_is_said_and_as_long_as_there_is_room() {
    let config = resolved(&format!("{HANGZHOU},writeback,tmpdir=/disk/tmp,ensure_diskfree=10")).unwrap();
    assert_eq!((config.volume.writeback, config.staging_keeps_free), (true, 10 << 20));
    assert_eq!(config.staging.as_deref(), Some(Path::new("/disk/tmp")));
    let config = resolved(HANGZHOU).unwrap();
    assert_eq!((config.volume.writeback, config.staging, config.staging_keeps_free), (false, None, 256 << 20));
}

#[test]
fn the_state_is_where_it_is_named_or_where_the_user_keeps_such_things() {
    let state = |typed: &str, set| {
        resolved_in(&["my-bucket", "/mnt"], &format!("{HANGZHOU}{typed}"), set).map(|config| config.state)
    };
    let below = |path: &str| Ok(StateConfig::Below(path.into()));
    assert_eq!(state(",state_dir=/disk/state", &[]), Ok(StateConfig::Named("/disk/state".into())));
    assert_eq!(state("", &[("STATE_DIRECTORY", "/var/lib/mine")]), below("/var/lib/mine"));
    assert_eq!(state("", &[("XDG_STATE_HOME", "/home/me/.state")]), below("/home/me/.state/ossfs"));
    assert_eq!(state("", &[]), below("/home/me/.local/state/ossfs"));
    assert!(state("", &[("HOME", "")]).unwrap_err().contains("-ostate_dir="));
}
