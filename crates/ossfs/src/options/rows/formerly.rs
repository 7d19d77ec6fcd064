//! Options of ossfs 1.x, s3fs and FUSE that are accepted and not needed, with the reason; and the few that are refused
//! because to ignore them would do something else than was asked for.

use crate::options::table::{Group, Meaning, OptionRow};

const fn ossfs(name: &'static str, reason: &'static str) -> OptionRow {
    OptionRow { name, group: Group::Formerly, help: "", default: "", meaning: Meaning::NotNeeded(reason) }
}

const fn fuse(name: &'static str, reason: &'static str) -> OptionRow {
    OptionRow { name, group: Group::Fuse, help: "", default: "", meaning: Meaning::NotNeeded(reason) }
}

const fn silent(name: &'static str) -> OptionRow {
    OptionRow { name, group: Group::Fuse, help: "", default: "", meaning: Meaning::Silent }
}

const fn refused(name: &'static str, group: Group, reason: &'static str) -> OptionRow {
    OptionRow { name, group, help: "", default: "", meaning: Meaning::Refused(reason) }
}

const NO_FILE_CACHE: &str = "content is cached in memory, and nothing of a file is copied to disk to be read";
const NO_STAGING: &str = "-oensure_diskfree says how much of the disk stays free";
const CACHES_FOLLOW: &str = "what is remembered, in the kernel too, is remembered for -ostat_cache_expire seconds";
const READ_AHEAD: &str = "files are read straight from OSS and ahead, within -omemory_limit";
const COPIES: &str = "large copies are made on the server, in one request or in parts, whichever OSS takes";
const COPY_API: &str = "OSS copies objects, so a rename moves no bytes";
const PARALLEL: &str = "-oparallel_count limits all requests in flight";
const PARTS: &str = "what is uploaded in parts follows from its size; -omultipart_size sets the size of a part";
const DIRECTORIES: &str = "every form of a directory is recognised without more requests";
const MODES: &str = "what has no mode in its metadata gets the one of -oumask";
const LOG: &str = "-odbglevel=debug logs every request";
const AMAZON: &str = "it is for other services than OSS";
const KERNEL: &str = "it is settled with the kernel when mounting";
const THREADS: &str = "the number of threads follows from the machine";
const INODES: &str = "inode numbers are always ours and steady";
const LOCKS: &str = "locks are always local to this machine";

pub(super) static ROWS: &[OptionRow] = &[
    ossfs("use_cache", NO_FILE_CACHE),
    ossfs("del_cache", NO_FILE_CACHE),
    ossfs("check_cache_dir_exist", NO_FILE_CACHE),
    ossfs("set_check_cache_sigusr1", NO_FILE_CACHE),
    ossfs("free_space_ratio", NO_STAGING),
    ossfs("fake_diskfree", NO_FILE_CACHE),
    ossfs("max_stat_cache_size", "memory for attributes is bounded by itself; -ostat_cache_expire=0 remembers none"),
    ossfs("enable_noobj_cache", "that a name is not there is remembered by default"),
    ossfs("max_dirty_data", "what is written is uploaded while it is written, within -omemory_limit"),
    ossfs("fd_page_size", "changes are tracked to the byte"),
    ossfs("multireq_max", PARALLEL),
    ossfs("max_thread_count", PARALLEL),
    ossfs("streamupload", "large files are always uploaded while they are written"),
    ossfs("multipart_threshold", PARTS),
    ossfs("nomultipart", PARTS),
    ossfs("nomixupload", "what did not change of a file is never uploaded again"),
    ossfs("multipart_copy_size", COPIES),
    ossfs("singlepart_copy_limit", COPIES),
    ossfs("noshallowcopyapi", COPIES),
    ossfs("noshallowcopybucket", COPIES),
    ossfs("nocopyapi", COPY_API),
    ossfs("norenameapi", COPY_API),
    ossfs("direct_read", READ_AHEAD),
    ossfs("direct_read_chunk_size", READ_AHEAD),
    ossfs("direct_read_prefetch_chunks", READ_AHEAD),
    ossfs("direct_read_prefetch_limit", READ_AHEAD),
    ossfs("direct_read_prefetch_thread", READ_AHEAD),
    ossfs("direct_read_backward_chunks", READ_AHEAD),
    ossfs("direct_read_local_file_cache_size_mb", READ_AHEAD),
    ossfs("readdir_check_size", "-oreaddir_optimize takes a listing's word for every size"),
    ossfs("list_object_max_keys", "listings always come in OSS's largest pages, of 1,000 names"),
    ossfs("listobjectsv2", "listings always use ListObjectsV2"),
    ossfs("complement_stat", MODES),
    ossfs("notsup_compat_dir", DIRECTORIES),
    ossfs("compat_dir", DIRECTORIES),
    ossfs("update_parent_dir_stat", "a directory's times follow its names by themselves"),
    ossfs("enable_content_md5", "uploads are always checked, by MD5 or by CRC-64"),
    ossfs("enable_unsigned_payload", "OSS's signatures never cover the content"),
    ossfs("simulate_mtime_ns_with_crc64", "times are kept to the nanosecond"),
    ossfs("symlink_in_meta", "symlinks are read in every form that ossfs 1.x and ossfs 2 write"),
    ossfs("use_wtf8", "names that are not UTF-8 are refused with EILSEQ, as OSS can't hold them"),
    ossfs("use_xattr", "extended attributes are always kept"),
    ossfs("noxattr", "extended attributes are always kept: they cost nothing where there are none"),
    ossfs("use_rrs", "OSS has no such storage class; -ostorage_class sets one"),
    ossfs("ahbe_conf", "headers that others gave an object are kept, and content types come from -omime"),
    ossfs("sigv2", "OSS has its versions 4 and 1: -osigv4, -osigv1"),
    ossfs("use_session_token", "a token is used wherever there is one beside the keys"),
    ossfs("profile", "ALIBABA_CLOUD_PROFILE names a profile of ~/.aliyun/config.json"),
    ossfs("instance_name", "mounts are told apart by their mountpoints"),
    ossfs("noua", "requests say no more than the version of ossfs"),
    ossfs("nodnscache", "names are looked up for every new connection"),
    ossfs("nosscache", "connections are kept, so there is little to save"),
    ossfs("cipher_suites", "TLS 1.2 and 1.3 with sound suites alone are spoken"),
    ossfs("ssl_verify_hostname", "-ono_check_certificate turns all checks of certificates off"),
    ossfs("ipresolve", "IPv4 and IPv6 are used, whichever answers"),
    ossfs("noxmlns", "namespaces in answers are ignored by themselves"),
    ossfs("upload_traffic_limit", "transfers are not throttled here"),
    ossfs("download_traffic_limit", "transfers are not throttled here"),
    ossfs("bucket_size", "df shows 256T, as OSS has no limit"),
    ossfs("curldbg", LOG),
    ossfs("no_time_stamp_msg", LOG),
    ossfs("ecs", AMAZON),
    ossfs("imdsv1only", "the metadata service is asked in its hardened mode, and in the old one if it has no other"),
    ossfs("ibm_iam_auth", AMAZON),
    ossfs("ibm_iam_endpoint", AMAZON),
    ossfs("load_sse_c", AMAZON),
    ossfs("credlib", "-ocredential_process takes the keys from any program"),
    ossfs("credlib_opts", "-ocredential_process takes the keys from any program"),
    refused("servicepath", Group::Formerly, "OSS has its buckets at the root of its address: leave the option out"),
    refused(
        "requester_pays",
        Group::Formerly,
        "requests are always on the bucket owner's account: leave the option out",
    ),
    refused("proxy_cred_file", Group::Formerly, "give them in -oproxy=http://USER:PASSWORD@HOST:PORT or in http_proxy"),
    refused(
        "allow_root",
        Group::Fuse,
        "use -oallow_other, with -omp_umask=077 to keep all but root and the owner of the mountpoint out",
    ),
    silent("default_permissions"),
    silent("big_writes"),
    silent("fsname"),
    silent("subtype"),
    fuse("auto_cache", "cached content is dropped by itself when the object has changed"),
    fuse("noauto_cache", CACHES_FOLLOW),
    fuse("kernel_cache", "content stays in the kernel's cache as long as the object is the same"),
    fuse("direct_io", "the kernel's cache never shows what is no longer in the bucket"),
    fuse("attr_timeout", CACHES_FOLLOW),
    fuse("ac_attr_timeout", CACHES_FOLLOW),
    fuse("entry_timeout", CACHES_FOLLOW),
    fuse("negative_timeout", CACHES_FOLLOW),
    fuse("noforget", CACHES_FOLLOW),
    fuse("remember", CACHES_FOLLOW),
    fuse("max_read", KERNEL),
    fuse("max_write", KERNEL),
    fuse("max_readahead", KERNEL),
    fuse("max_background", KERNEL),
    fuse("congestion_threshold", KERNEL),
    fuse("async_read", KERNEL),
    fuse("sync_read", KERNEL),
    fuse("async_dio", KERNEL),
    fuse("atomic_o_trunc", KERNEL),
    fuse("large_read", KERNEL),
    fuse("writeback_cache", KERNEL),
    fuse("no_writeback_cache", KERNEL),
    fuse("splice_read", KERNEL),
    fuse("splice_write", KERNEL),
    fuse("splice_move", KERNEL),
    fuse("no_splice_read", KERNEL),
    fuse("no_splice_write", KERNEL),
    fuse("no_splice_move", KERNEL),
    fuse("readdirplus", KERNEL),
    fuse("blksize", KERNEL),
    fuse("clone_fd", THREADS),
    fuse("max_threads", THREADS),
    fuse("max_idle_threads", THREADS),
    fuse("use_ino", INODES),
    fuse("readdir_ino", INODES),
    fuse("no_remote_lock", LOCKS),
    fuse("no_remote_flock", LOCKS),
    fuse("no_remote_posix_lock", LOCKS),
    fuse("hard_remove", "a file that is open and deleted stays readable until it is closed"),
    fuse("intr", "a call that waits ends within -odeadline seconds"),
    fuse("nointr", "a call that waits ends within -odeadline seconds"),
    fuse("intr_signal", "a call that waits ends within -odeadline seconds"),
    fuse("auto_unmount", "the daemon unmounts by itself when it is told to end"),
    fuse("drop_privileges", "ossfs runs as whoever mounts"),
    fuse("modules", "there are no modules"),
    fuse("nullpath_ok", "it is a matter of the C library"),
    fuse("nopath", "it is a matter of the C library"),
];
