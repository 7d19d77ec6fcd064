//! The values of options: text in, a value out, or what it must look like.

use super::typed::{Acl, Encryption, RamRole};
use ossfs_store::{Endpoint, Proxy};
use ossfs_volume::AppendMode;
use std::ops::RangeInclusive;
use std::path::PathBuf;
use std::time::Duration;
use tracing::level_filters::LevelFilter;

/// What a value must look like, to follow "must be".
pub(crate) type Problem = String;

/// Longer than any mount: for "never".
const FOR_EVER: Duration = Duration::from_secs(100 * 365 * 24 * 60 * 60);
/// Where the metadata service of ECS keeps the keys of roles.
const ROLE_PATH: &str = "/latest/meta-data/ram/security-credentials/";
const MIB: u64 = 1 << 20;

pub(super) fn flag(text: &str) -> Result<bool, Problem> {
    match text {
        "" | "1" | "yes" | "true" | "on" => Ok(true),
        "0" | "no" | "false" | "off" => Ok(false),
        _ => Err("without a value (or =1, =0)".to_owned()),
    }
}

pub(super) fn number(text: &str, range: RangeInclusive<u64>) -> Result<u64, Problem> {
    let (low, high) = (range.start(), range.end());
    text.parse().ok().filter(|number| range.contains(number)).ok_or_else(|| format!("a number from {low} to {high}"))
}

/// At least one second, at most a day.
pub(super) fn seconds(text: &str) -> Result<Duration, Problem> {
    let seconds = number(text, 1..=86_400).map_err(|_| "a number of seconds from 1 to 86400, such as 10")?;
    Ok(Duration::from_secs(seconds))
}

/// How long something is believed: zero is not at all, -1 is for ever.
pub(super) fn lifetime(text: &str) -> Result<Duration, Problem> {
    match text.parse::<i64>() {
        Ok(-1) => Ok(FOR_EVER),
        Ok(seconds @ 0..) => Ok(Duration::from_secs(seconds.unsigned_abs()).min(FOR_EVER)),
        _ => Err("a number of seconds, such as 60; 0 for not at all, -1 for ever".to_owned()),
    }
}

/// Mebibytes, as ossfs 1.x counts; in bytes.
pub(super) fn megabytes(text: &str, range: RangeInclusive<u64>) -> Result<u64, Problem> {
    let (low, high) = (range.start(), range.end());
    let wanted = format!("a number of megabytes from {low} to {high}");
    Ok(number(text, range).map_err(|_| wanted)? * MIB)
}

/// Bytes, with K, M, G or T for powers of 1024; `B` or `iB` may follow.
pub(super) fn size(text: &str, least: u64) -> Result<u64, Problem> {
    let wanted = || {
        let at_least = if least > 0 { format!(", and at least {} MiB", least / MIB) } else { String::new() };
        format!("a number of bytes, or one with K, M, G or T, such as 512M{at_least}")
    };
    let upper = text.to_ascii_uppercase();
    let digits = upper.trim_start_matches(|character: char| character.is_ascii_digit());
    let shift = match digits.strip_suffix('B').map_or(digits, |rest| rest.strip_suffix('I').unwrap_or(rest)) {
        "" => 0,
        "K" => 10,
        "M" => 20,
        "G" => 30,
        "T" => 40,
        _ => return Err(wanted()),
    };
    let number: u64 = upper[..upper.len() - digits.len()].parse().map_err(|_| wanted())?;
    number.checked_mul(1 << shift).filter(|bytes| *bytes >= least).ok_or_else(wanted)
}

/// Permission bits to take away.
pub(super) fn mask(text: &str) -> Result<u32, Problem> {
    u32::from_str_radix(text, 8)
        .ok()
        .filter(|mask| *mask <= 0o777)
        .ok_or_else(|| "an octal number from 000 to 777, such as 022".to_owned())
}

pub(super) fn text(text: &str) -> Result<String, Problem> {
    if text.is_empty() { Err("a text that is not empty".to_owned()) } else { Ok(text.to_owned()) }
}

pub(super) fn path(text: &str) -> Result<PathBuf, Problem> {
    if text.is_empty() { Err("a path".to_owned()) } else { Ok(PathBuf::from(text)) }
}

pub(super) fn endpoint(text: &str) -> Result<Endpoint, Problem> {
    Endpoint::parse(text).map_err(|error| {
        let error = error.to_string();
        // The message begins with the text, which ours does too.
        let reason = error.split_once(" is no endpoint: ").map_or(error.as_str(), |(_, reason)| reason);
        let reason = reason.split_once("; it looks like").map_or(reason, |(reason, _)| reason);
        format!("an address such as http://oss-cn-hangzhou.aliyuncs.com ({reason})")
    })
}

/// `cn-hangzhou`; what consoles show, `oss-cn-hangzhou`, is taken too.
pub(crate) fn region(text: &str) -> Result<String, Problem> {
    let region = text.strip_prefix("oss-").unwrap_or(text);
    let plain = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
    if !region.is_empty() && region.bytes().all(plain) {
        return Ok(region.to_owned());
    }
    let address = if text.contains(['.', ':']) { "; an address belongs to -ourl=" } else { "" };
    Err(format!("a region such as cn-hangzhou{address}"))
}

/// An `http://` proxy; without a scheme and a port as curl takes them.
pub(super) fn proxy(text: &str) -> Result<Proxy, Problem> {
    let (scheme, rest) = text.split_once("://").unwrap_or(("http", text));
    if scheme != "http" || rest.is_empty() {
        return Err("an http proxy such as http://proxy.example.com:3128".to_owned());
    }
    Ok(Proxy::Always(format!("http://{rest}")))
}

/// The forms of `ram_role`: nothing or `auto`, a name, or the URL of the metadata service with the name at its end.
pub(super) fn ram_role(text: &str) -> Result<RamRole, Problem> {
    let is_url = text.starts_with("http://") || text.starts_with("https://");
    match text {
        "" | "auto" => Ok(RamRole::Auto),
        _ if is_url => Ok(match text.split_once(ROLE_PATH) {
            Some((service, role)) if !role.is_empty() && !role.contains('/') => {
                RamRole::At { service: service.to_owned(), role: role.to_owned() }
            }
            _ => RamRole::Url(text.to_owned()),
        }),
        _ if text.contains(['/', ':', ' ']) => Err("auto, the name of a role, or a URL".to_owned()),
        _ => Ok(RamRole::Named(text.to_owned())),
    }
}

/// The storage class as OSS writes it.
pub(super) fn storage_class(text: &str) -> Result<&'static str, Problem> {
    const CLASSES: [&str; 5] = ["Standard", "IA", "Archive", "ColdArchive", "DeepColdArchive"];
    let plain = text.replace('_', "");
    let known = CLASSES.into_iter().find(|class| class.eq_ignore_ascii_case(&plain));
    known.ok_or_else(|| format!("one of {}", CLASSES.join(", ")))
}

/// `use_sse`, `use_sse=1`, `use_sse=kmsid[:ID]`, with the short forms of ossfs 1.x.
pub(super) fn encryption(text: &str) -> Result<Encryption, Problem> {
    let (kind, id) = match text.split_once(':') {
        Some((kind, id)) => (kind, Some(id)),
        None => (text, None),
    };
    let printable = |id: &str| !id.is_empty() && id.bytes().all(|byte| byte.is_ascii_graphic());
    match (kind, id) {
        ("" | "1" | "AES256", None) => Ok(Encryption::Oss),
        ("k" | "kmsid" | "kms" | "KMS", None) => Ok(Encryption::Kms(None)),
        ("k" | "kmsid" | "kms" | "KMS", Some(id)) if printable(id) => Ok(Encryption::Kms(Some(id.to_owned()))),
        _ => Err("without a value for keys of OSS, or kmsid or kmsid:ID for a key of KMS".to_owned()),
    }
}

pub(super) fn acl(text: &str) -> Result<Acl, Problem> {
    const ACLS: [&str; 4] = ["default", "private", "public-read", "public-read-write"];
    let known = ACLS.into_iter().find(|acl| *acl == text);
    known.map(Acl).ok_or_else(|| format!("one of {}", ACLS.join(", ")))
}

/// How files that are opened for appending become objects.
pub(super) fn append(text: &str) -> Result<AppendMode, Problem> {
    match text {
        "copy" => Ok(AppendMode::Copy),
        "appendable" => Ok(AppendMode::Appendable),
        _ => Err("copy or appendable".to_owned()),
    }
}

/// The levels of ossfs 1.x, with its synonyms.
pub(super) fn level(text: &str) -> Result<LevelFilter, Problem> {
    match text.to_ascii_lowercase().as_str() {
        "crit" | "critical" | "err" | "error" => Ok(LevelFilter::ERROR),
        "wan" | "warn" | "warning" => Ok(LevelFilter::WARN),
        "inf" | "info" | "information" => Ok(LevelFilter::INFO),
        "dbg" | "debug" => Ok(LevelFilter::DEBUG),
        "trace" => Ok(LevelFilter::TRACE),
        _ => Err("one of crit, err, warn, info, debug, trace".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_have_suffixes() {
        for (text, bytes) in
            [("0", 0), ("1024", 1024), ("1k", 1024), ("512M", 512 << 20), ("2GiB", 2 << 30), ("1TB", 1 << 40)]
        {
            assert_eq!(size(text, 0), Ok(bytes), "{text}");
        }
        for bad in ["", "M", "1.5G", "-1", "1X", "1KK", "99999999999T", "1 M"] {
            assert!(size(bad, 0).is_err(), "{bad}");
        }
        assert!(size("1M", 16 << 20).unwrap_err().contains("at least 16 MiB"));
    }

    #[test]
    fn the_forms_of_a_role() {
        let url = "http://100.100.100.200/latest/meta-data/ram/security-credentials/EcsRamRoleOssTest";
        let at = RamRole::At { service: "http://100.100.100.200".into(), role: "EcsRamRoleOssTest".into() };
        assert_eq!(ram_role(url), Ok(at));
        assert_eq!(ram_role(""), Ok(RamRole::Auto));
        assert_eq!(ram_role("auto"), Ok(RamRole::Auto));
        assert_eq!(ram_role("my-role"), Ok(RamRole::Named("my-role".into())));
        assert_eq!(ram_role("http://host/keys"), Ok(RamRole::Url("http://host/keys".into())));
        assert!(ram_role("a/b").is_err());
    }

    #[test]
    fn the_forms_of_encryption() {
        assert_eq!(encryption(""), Ok(Encryption::Oss));
        assert_eq!(encryption("kmsid"), Ok(Encryption::Kms(None)));
        assert_eq!(encryption("k:4a1c"), Ok(Encryption::Kms(Some("4a1c".into()))));
        for bad in ["custom", "kmsid:", "1:x", "kmsid:a b"] {
            assert!(encryption(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn masks_lifetimes_and_classes() {
        assert_eq!(mask("0022"), Ok(0o22));
        assert!(mask("8").is_err() && mask("1000").is_err() && mask("").is_err());
        assert_eq!(lifetime("0"), Ok(Duration::ZERO));
        assert_eq!(lifetime("-1"), Ok(FOR_EVER));
        assert!(lifetime("-2").is_err());
        assert_eq!(storage_class("cold_archive"), Ok("ColdArchive"));
        assert!(storage_class("standard_ia").is_err());
        assert_eq!(region("oss-cn-beijing"), Ok("cn-beijing".into()));
        assert!(region("oss-cn-beijing.aliyuncs.com").unwrap_err().contains("-ourl="));
    }
}
