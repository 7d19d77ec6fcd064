//! The options that do something here.

use crate::options::table::Group::{self, Access, Caching, Credentials, Logging, NewObjects, Place, Transfer};
use crate::options::table::{Meaning, OptionRow};
use crate::options::value::{self, Problem};
use ossfs_store::SignatureVersion;

/// OSS takes at most so many requests at once from one client before it throttles.
const PARALLEL_MAX: u64 = 1024;
/// OSS's largest part, in MiB.
const PART_MIB_MAX: u64 = 5 << 10;
/// Less does not hold the buffers of a few transfers.
const MEMORY_MIN: u64 = 32 << 20;

/// An exbibyte: no disk is larger.
const DISKFREE_MIB_MAX: u64 = 1 << 40;

const fn row(
    name: &'static str,
    group: Group,
    default: &'static str,
    help: &'static str,
    meaning: Meaning,
) -> OptionRow {
    OptionRow { name, group, help, default, meaning }
}

/// A setter that parses into one field.
macro_rules! set {
    ($field:ident, $parse:expr) => {
        |typed, text| {
            typed.$field = Some($parse(text)?);
            Ok(())
        }
    };
}

/// A number that its range makes fit.
fn small<T: TryFrom<u64>>(text: &str, range: std::ops::RangeInclusive<u64>) -> Result<T, Problem> {
    let (low, high) = (*range.start(), *range.end());
    T::try_from(value::number(text, range)?).map_err(|_| format!("a number from {low} to {high}"))
}

pub(super) static ROWS: &[OptionRow] = &[
    row(
        "url",
        Place,
        "",
        "Address of OSS, such as http://oss-cn-hangzhou.aliyuncs.com, or a domain of the bucket's own. http:// if no \
         scheme is given. It must be there.",
        Meaning::Value("ENDPOINT", set!(endpoint, value::endpoint)),
    ),
    row("host", Place, "", "The same as url.", Meaning::Value("ENDPOINT", set!(endpoint, value::endpoint))),
    row(
        "bucket",
        Place,
        "",
        "The bucket, if the command line names the mountpoint alone.",
        Meaning::Value("BUCKET[:/PREFIX]", set!(bucket, value::text)),
    ),
    row(
        "region",
        Place,
        "as the endpoint's name tells, else OSS_REGION, ALIBABA_CLOUD_REGION or ALIBABA_CLOUD_REGION_ID",
        "Region of the bucket, such as cn-hangzhou. Signatures of version 4 name it.",
        Meaning::Value("REGION", set!(region, value::region)),
    ),
    row("endpoint", Place, "", "The same as region.", Meaning::Value("REGION", set!(region, value::region))),
    row(
        "sigv4",
        Place,
        "if the region is known",
        "Signs with version 4.",
        Meaning::Word(|typed| typed.signature = Some(SignatureVersion::V4)),
    ),
    row(
        "sigv1",
        Place,
        "if the region is not known, with a warning",
        "Signs with version 1, which OSS refuses to new accounts and for new buckets.",
        Meaning::Word(|typed| typed.signature = Some(SignatureVersion::V1)),
    ),
    row(
        "use_path_request_style",
        Place,
        "for IP addresses and localhost",
        "Puts the bucket's name into the path of URLs rather than into the host.",
        Meaning::Flag(|typed| &mut typed.path_style),
    ),
    row(
        "proxy",
        Place,
        "http_proxy, https_proxy, all_proxy and no_proxy of the environment",
        "Goes through this http proxy, http://[USER:PASSWORD@]HOST:PORT.",
        Meaning::Value("URL", set!(proxy, value::proxy)),
    ),
    row(
        "no_check_certificate",
        Place,
        "",
        "Takes any certificate of an https endpoint. Whoever is between can then read and change everything.",
        Meaning::Flag(|typed| &mut typed.no_check_certificate),
    ),
    row(
        "passwd_file",
        Credentials,
        "environment, ~/.passwd-ossfs, /etc/passwd-ossfs, then Alibaba Cloud's other places",
        "File with lines ID:SECRET or BUCKET:ID:SECRET; only its owner may read it (chmod 600).",
        Meaning::Value("PATH", set!(passwd_file, value::path)),
    ),
    row(
        "ram_role",
        Credentials,
        "",
        "Takes the keys of the ECS instance's RAM role: the one it has (auto), the one of this name, or the one at the \
         URL of the metadata service.",
        Meaning::OptionalValue("auto|NAME|URL", set!(ram_role, value::ram_role)),
    ),
    row(
        "iam_role",
        Credentials,
        "",
        "The same as ram_role.",
        Meaning::OptionalValue("auto|NAME|URL", set!(ram_role, value::ram_role)),
    ),
    row(
        "credential_process",
        Credentials,
        "",
        "Runs this command by the shell and takes the keys from the JSON that it prints; again before they expire.",
        Meaning::Value("COMMAND", set!(credential_process, value::text)),
    ),
    row(
        "public_bucket",
        Credentials,
        "",
        "Signs nothing: for buckets that everybody may use.",
        Meaning::Flag(|typed| &mut typed.public_bucket),
    ),
    row(
        "allow_other",
        Access,
        "the mounting user alone",
        "Lets all users in, as far as owners and modes allow. For users other than root it needs user_allow_other in \
         /etc/fuse.conf.",
        Meaning::Flag(|typed| &mut typed.allow_other),
    ),
    row(
        "uid",
        Access,
        "the mounting user",
        "Owner of what has none in its metadata: a number or a name.",
        Meaning::Value("USER", set!(uid, value::text)),
    ),
    row(
        "gid",
        Access,
        "the mounting user's group",
        "Group of what has none in its metadata: a number or a name.",
        Meaning::Value("GROUP", set!(gid, value::text)),
    ),
    row(
        "umask",
        Access,
        "files 0640, directories 0750",
        "Permissions that files and directories are denied that have none in their metadata: of 0777 the rest \
         remains, so -oumask=022 gives 0755 to both, as in ossfs 1.x.",
        Meaning::Value("MASK", set!(umask, value::mask)),
    ),
    row(
        "mp_umask",
        Access,
        "077, with allow_other 000",
        "Permissions that the mountpoint itself is denied; of 0777 the rest remains.",
        Meaning::Value("MASK", set!(mp_umask, value::mask)),
    ),
    row(
        "nonempty",
        Access,
        "",
        "Mounts over a directory that is not empty; what is in it is hidden.",
        Meaning::Flag(|typed| &mut typed.nonempty),
    ),
    row(
        "stat_cache_expire",
        Caching,
        "60",
        "Seconds for which attributes and listings are believed, if somebody else changes the bucket. 0 asks every time, \
         -1 never again.",
        Meaning::Value("SECONDS", set!(stat_cache_expire, value::lifetime)),
    ),
    row(
        "stat_cache_interval_expire",
        Caching,
        "",
        "The same as stat_cache_expire.",
        Meaning::Value("SECONDS", set!(stat_cache_expire, value::lifetime)),
    ),
    row(
        "disable_noobj_cache",
        Caching,
        "5 seconds",
        "Asks anew for every name that was not there.",
        Meaning::Flag(|typed| &mut typed.disable_noobj_cache),
    ),
    row(
        "readdir_optimize",
        Caching,
        "",
        "Takes a listing's word for files: no request for their attributes, and so no modes, owners and exact times of \
         files that others wrote.",
        Meaning::Flag(|typed| &mut typed.readdir_optimize),
    ),
    row(
        "parallel_count",
        Transfer,
        "32",
        "Requests in flight for metadata and uploads, at most.",
        Meaning::Value("N", set!(parallel_count, |text| small(text, 1..=PARALLEL_MAX))),
    ),
    row(
        "multipart_size",
        Transfer,
        "8",
        "Megabytes of one part of a large upload, at first: parts grow with the file.",
        Meaning::Value("MB", set!(part_bytes, |text| value::megabytes(text, 1..=PART_MIB_MAX))),
    ),
    row(
        "memory_limit",
        Transfer,
        "256M, or a quarter of the machine's or control group's memory if that is less",
        "Bytes of memory for content: what is written and not uploaded yet, what is read ahead.",
        Meaning::Value("SIZE", set!(memory_limit, |text| value::size(text, MEMORY_MIN))),
    ),
    row(
        "retries",
        Transfer,
        "5, and while the bucket throttles everything most of the deadline",
        "How often a request that failed is repeated, where that is safe.",
        Meaning::Value("N", set!(retries, |text| small(text, 0..=100))),
    ),
    row(
        "connect_timeout",
        Transfer,
        "10",
        "Seconds for a connection to come about: name, TCP and TLS.",
        Meaning::Value("SECONDS", set!(connect_timeout, value::seconds)),
    ),
    row(
        "readwrite_timeout",
        Transfer,
        "20, or the deadline if that is less",
        "Seconds without a byte in either direction after which a request has failed.",
        Meaning::Value("SECONDS", set!(readwrite_timeout, value::seconds)),
    ),
    row(
        "deadline",
        Transfer,
        "30",
        "Seconds after which a call into the file system that makes no progress ends with EIO.",
        Meaning::Value("SECONDS", set!(deadline, value::seconds)),
    ),
    row(
        "state_dir",
        Transfer,
        "one a mount, in $STATE_DIRECTORY, /var/lib/ossfs or the user's own",
        "Directory for the record of what is not in the bucket yet. It is on a local disk that survives a reboot.",
        Meaning::Value("PATH", set!(state_dir, value::path)),
    ),
    row(
        "writeback",
        Transfer,
        "",
        "Closing a file waits only until it is staged on the local disk, where it survives the daemon at once and a power \
         loss after a second; it is in the bucket a moment later. fsync still waits for the bucket.",
        Meaning::Flag(|typed| &mut typed.writeback),
    ),
    row(
        "staging_dir",
        Transfer,
        "in the state directory",
        "Directory for the bytes that are not in the bucket yet: what was closed with writeback, what could not be \
         uploaded, and what the memory has no room for. It is on a local disk that survives a reboot. Each mount has a \
         directory of its own in it.",
        Meaning::Value("PATH", set!(staging_dir, value::path)),
    ),
    row("tmpdir", Transfer, "", "The same as staging_dir.", Meaning::Value("PATH", set!(staging_dir, value::path))),
    row(
        "ensure_diskfree",
        Transfer,
        "256",
        "Megabytes that stay free on the disk of staging_dir. Where no more fits and nothing can be uploaded either, writing \
         fails with ENOSPC.",
        Meaning::Value("MB", set!(ensure_diskfree, |text| value::megabytes(text, 0..=DISKFREE_MIB_MAX))),
    ),
    row(
        "settle_interval",
        Transfer,
        "5",
        "Seconds that what was written to a file that stays open may wait for the bucket; 60 where what is replaced goes on costing (versions, IA, archive).",
        Meaning::Value("SECONDS", set!(settle_interval, value::seconds)),
    ),
    row(
        "append",
        NewObjects,
        "copy",
        "appendable: what is first opened for appending becomes an appendable object, to which each close adds in one request.",
        Meaning::Value("copy|appendable", set!(append, value::append)),
    ),
    row(
        "storage_class",
        NewObjects,
        "the bucket's",
        "Standard, IA, Archive, ColdArchive or DeepColdArchive. What is archived can't be read before it is restored.",
        Meaning::Value("CLASS", set!(storage_class, value::storage_class)),
    ),
    row(
        "use_sse",
        NewObjects,
        "the bucket's",
        "Encrypted by OSS: with its own keys, or with the account's default key of KMS (kmsid) or this one.",
        Meaning::OptionalValue("kmsid[:ID]", set!(encryption, value::encryption)),
    ),
    row(
        "default_acl",
        NewObjects,
        "the bucket's",
        "Who may use new objects without a signature: default, private, public-read or public-read-write.",
        Meaning::Value("ACL", set!(default_acl, value::acl)),
    ),
    row(
        "mime",
        NewObjects,
        "/etc/mime.types, where it is",
        "File of content types by extension, in the format of mime.types.",
        Meaning::Value("PATH", set!(mime, value::path)),
    ),
    row(
        "dbglevel",
        Logging,
        "warn",
        "How much is logged: crit, err, warn, info, debug or trace.",
        Meaning::Value("LEVEL", set!(log_level, value::level)),
    ),
    row(
        "logfile",
        Logging,
        "the system's log; stderr in the foreground",
        "File to which the log is appended.",
        Meaning::Value("PATH", set!(logfile, value::path)),
    ),
    row("debug", Logging, "", "The same as -d.", Meaning::Flag(|typed| &mut typed.debug)),
    row("foreground", Logging, "", "The same as -f.", Meaning::Flag(|typed| &mut typed.foreground)),
];
