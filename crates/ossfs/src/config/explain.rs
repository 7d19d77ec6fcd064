//! A store's failure as one line for whoever mounts: what is wrong, where, and what to do.
//!
//! OSS's codes are told apart where that changes what to do; of connections, the transport's own words are looked at, as
//! nothing else says why there is none.

use super::MountConfig;
use ossfs_store::{Error, Kind, SignatureVersion};

/// The key that requests are signed with.
#[derive(Debug, Clone)]
pub(super) struct KeyInUse {
    /// Its id; no secret.
    pub id: String,
    /// Where it comes from.
    pub origin: String,
}

/// One line, without a line end.
pub(super) fn explain(error: &Error, config: &MountConfig, key: Option<&KeyInUse>) -> String {
    let said = match error.code() {
        Some(code) => of_code(code, error, config, key),
        None => of_transport(error, config),
    };
    let line = said.unwrap_or_else(|| format!("{} at {} can't be used: {error}", config.bucket, config.endpoint));
    // Servers may say anything; a line is a line.
    line.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// What OSS refused.
fn of_code(code: &str, error: &Error, config: &MountConfig, key: Option<&KeyInUse>) -> Option<String> {
    let MountConfig { bucket, endpoint, .. } = config;
    let key = key.map_or_else(
        || "no key (public_bucket)".to_owned(),
        |key| format!("the access key {} of {}", key.id, key.origin),
    );
    let message = error.message();
    let request = error.request_id().map(|id| format!(" (request id {id})")).unwrap_or_default();
    Some(match code {
        _ if message.contains("The bucket's endpoint is ") => {
            let right = message.rsplit("The bucket's endpoint is ").next().unwrap_or_default().trim_end_matches('.');
            format!("the bucket {bucket} is not at {endpoint}: use -ourl={}{right}", scheme(config))
        }
        "NoSuchBucket" => format!(
            "there is no bucket {bucket} at {endpoint}: check its name, and that -ourl is the address of the bucket's region"
        ),
        "SignatureDoesNotMatch" => {
            format!("OSS refused the signature of {key}: its secret is wrong; correct it{request}")
        }
        "InvalidAccessKeyId" => {
            format!("OSS does not know {key}, or it is disabled: check the key's id{request}")
        }
        "SecurityTokenExpired" | "InvalidSecurityToken" | "SecurityTokenNotSupported" => {
            format!("OSS refused the security token of {key}: get a new one{request}: {message}")
        }
        "RequestTimeTooSkewed" => {
            format!(
                "OSS refused the time of this machine: set its clock right (it is off by more than 15 minutes){request}"
            )
        }
        "SecondLevelDomainForbidden" => {
            format!(
                "{endpoint} wants the bucket's name in the host: leave -ouse_path_request_style out, and use a name, no address"
            )
        }
        _ if message.to_ascii_lowercase().contains("signing region") => wrong_region(config),
        _ if error.kind() == Kind::Denied => {
            let what = match error.operation() {
                "ListObjectsV2" => "list the bucket",
                _ => "use the bucket",
            };
            let where_to = if config.prefix.as_str().is_empty() { "" } else { " under this directory" };
            format!(
                "no permission to {what} {bucket}{where_to} with {key}: allow it oss:ListObjects, and oss:GetObject, \
                 oss:PutObject and oss:DeleteObject for its objects{request}: {message}{}",
                older_signature(config)
            )
        }
        _ if error.kind() == Kind::Throttled => {
            format!("{endpoint} has too much to do: try again later{request}: {message}")
        }
        _ => return None,
    })
}

fn wrong_region(config: &MountConfig) -> String {
    let MountConfig { bucket, endpoint, .. } = config;
    let region = config.region.as_deref().unwrap_or("that was given");
    format!(
        "{region} is not the region of the bucket {bucket} at {endpoint}: set the bucket's with -oregion=REGION (such as \
         cn-hangzhou)"
    )
}

/// Accounts and buckets that are new are refused version 1 without saying so clearly.
fn older_signature(config: &MountConfig) -> &'static str {
    match config.signature {
        SignatureVersion::V1 if config.credentials.is_some() => {
            "; requests are signed with version 1, which newer accounts and buckets refuse: -oregion=REGION makes it version 4"
        }
        _ => "",
    }
}

fn scheme(config: &MountConfig) -> &'static str {
    if config.endpoint.is_https() { "https://" } else { "http://" }
}

/// Why there was no answer, or none from OSS.
fn of_transport(error: &Error, config: &MountConfig) -> Option<String> {
    let endpoint = &config.endpoint;
    let limit = config.http.timeouts.connect.as_secs();
    let message = error.message();
    let holds = |text: &str| message.contains(text);
    let no_oss = |why: &str| format!("{endpoint} is no OSS: {why}; check -ourl, and the proxy if there is one");
    Some(if holds("not OSS") {
        no_oss(&format!("it answers with HTTP {} and without x-oss-request-id", error.status().unwrap_or_default()))
    } else if holds("is no HTTP") || error.kind() == Kind::Corrupt {
        no_oss("its answer is not one of OSS")
    } else if holds("dns error") || holds("failed to lookup address") {
        format!("the name of {endpoint} can't be resolved: check -ourl and the network's name server")
    } else if holds("invalid peer certificate") {
        format!(
            "the certificate of {endpoint} can't be trusted ({}): check -ourl and this machine's certificates; \
             -ono_check_certificate takes any",
            message.rsplit("invalid peer certificate: ").next().unwrap_or_default()
        )
    } else if holds("corrupt message") || holds("InvalidContentType") {
        format!("{endpoint} does not speak https: use http:// in -ourl")
    } else if holds("Connection refused") {
        format!("nothing listens at {endpoint}: check the address and the port of -ourl")
    } else if holds("no connection within") || holds("no connection in time") || holds("no answer within") {
        format!(
            "{endpoint} does not answer within {limit} s (connect_timeout): check -ourl, the network and the firewall"
        )
    } else if holds("no connection") {
        format!("there is no connection to {endpoint}: check -ourl, the network and the proxy: {message}")
    } else if error.kind() == Kind::Unavailable && error.status().is_none() {
        format!("{endpoint} does not answer as OSS does: check -ourl, and whether it wants https: {message}")
    } else {
        return None;
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{Machine, Named, resolve};
    use crate::options;

    fn config(typed: &str) -> MountConfig {
        let named = Named { words: vec!["my-bucket".into(), "/mnt".into()], ..Named::default() };
        resolve(&named, &options::parse([typed]).unwrap(), &Machine::this()).unwrap()
    }

    fn said(typed: &str, error: Error) -> String {
        let key = KeyInUse { id: "ID".into(), origin: "/etc/passwd-ossfs".into() };
        explain(&error, &config(typed), Some(&key))
    }

    const HANGZHOU: &str = "url=oss-cn-hangzhou.aliyuncs.com";

    fn refused(status: u16, kind: Kind, code: &str, message: &str) -> Error {
        Error::new(kind, "GetBucketInfo", message).answered(status, Some(code.into()), Some("R".into()))
    }

    #[test]
    fn a_bucket_at_another_endpoint_is_pointed_at() {
        let message = "The bucket you are attempting to access must be addressed using the specified endpoint. \
                       The bucket's endpoint is oss-cn-beijing.aliyuncs.com.";
        let line =
            said("url=https://oss-cn-hangzhou.aliyuncs.com", refused(403, Kind::Denied, "AccessDenied", message));
        assert_eq!(
            line,
            "the bucket my-bucket is not at https://oss-cn-hangzhou.aliyuncs.com: use -ourl=https://oss-cn-beijing.aliyuncs.com"
        );
    }

    #[test]
    fn a_denial_names_the_key_and_hints_at_old_signatures() {
        let denied = || refused(403, Kind::Denied, "AccessDenied", "You have no right.");
        let line = said(HANGZHOU, denied());
        assert!(line.contains("the access key ID of /etc/passwd-ossfs") && line.contains("request id R"), "{line}");
        assert!(!line.contains("version 1"), "{line}");
        assert!(said("url=127.0.0.1:1", denied()).contains("-oregion=REGION"));
    }

    #[test]
    fn whatever_a_server_says_is_one_line() {
        let line = said(HANGZHOU, refused(400, Kind::Invalid, "Odd", "two\nlines\r\n and more"));
        assert!(!line.contains('\n') && line.contains("two lines and more"), "{line}");
    }

    #[test]
    fn connections_fail_in_many_ways() {
        for (message, said_of_it) in [
            ("no connection: client error (Connect): dns error: failed to lookup address information", "be resolved"),
            ("no connection: client error (Connect): tcp connect error: Connection refused (os error 111)", "listens"),
            ("no connection: client error (Connect): no connection within 10s", "within 10 s"),
            ("no answer within 10s", "within 10 s"),
            ("no connection: client error (Connect): invalid peer certificate: UnknownIssuer", "(UnknownIssuer)"),
            ("no connection: client error (Connect): received corrupt message of type InvalidContentType", "http://"),
            ("the answer is no HTTP: invalid HTTP version parsed", "is no OSS"),
            ("no connection: something new", "something new"),
            ("the connection broke before the answer", "wants https"),
        ] {
            let line = said(HANGZHOU, Error::new(Kind::Unavailable, "GetBucketInfo", message));
            assert!(line.contains(said_of_it), "{message}: {line}");
        }
    }
}
