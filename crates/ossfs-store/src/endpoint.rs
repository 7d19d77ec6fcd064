//! Where OSS is, and how buckets are addressed there.

use crate::sign::{encode_key, encode_query_value};
use http::Uri;
use ossfs_types::BucketName;
use std::fmt::{self, Write};
use std::net::IpAddr;

/// How a bucket stands in a URL.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Addressing {
    /// `bucket.endpoint/key`: what OSS wants.
    VirtualHosted,
    /// `endpoint/bucket/key`: for addresses and `localhost`.
    PathStyle,
    /// `domain/key`: a domain of the bucket's own (CNAME).
    CustomDomain,
}

/// Why a text is no endpoint.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{text:?} is no endpoint: {problem}; it looks like http://oss-cn-hangzhou.aliyuncs.com")]
pub struct EndpointError {
    text: String,
    problem: &'static str,
}

/// The address of an OSS service or of a bucket's own domain.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Endpoint {
    https: bool,
    host: String,
    /// Host, and port where it was given.
    authority: String,
}

impl Endpoint {
    /// Takes `[http://|https://]host[:port][/]`. Without a scheme it is http, as in ossfs 1.x.
    pub fn parse(text: &str) -> Result<Self, EndpointError> {
        let wrong = |problem| EndpointError { text: text.to_owned(), problem };
        let trimmed = text.trim();
        let lower = trimmed.to_ascii_lowercase();
        let (https, rest) = match lower.split_once("://") {
            None => (false, lower.as_str()),
            Some(("http", rest)) => (false, rest),
            Some(("https", rest)) => (true, rest),
            Some(_) => return Err(wrong("the scheme must be http or https")),
        };
        let authority = rest.strip_suffix('/').unwrap_or(rest);
        if authority.contains(['/', '?', '#']) {
            return Err(wrong("there must be nothing after the host"));
        }
        let parsed: http::uri::Authority = authority.parse().map_err(|_| wrong("the host is malformed"))?;
        if authority.contains('@') {
            return Err(wrong("there must be no user in it"));
        }
        let port = authority[parsed.host().len()..].strip_prefix(':');
        if parsed.host().is_empty() || port.is_some_and(|port| port.parse::<u16>().is_err()) {
            return Err(wrong("the host is missing, or the port is no number up to 65535"));
        }
        Ok(Self { https, host: parsed.host().to_owned(), authority: authority.to_owned() })
    }

    /// Whether requests go over TLS.
    pub fn is_https(&self) -> bool {
        self.https
    }

    /// The host, without the port.
    pub fn host(&self) -> &str {
        &self.host
    }

    /// The region that the host's name tells, such as `cn-hangzhou`.
    pub fn region(&self) -> Option<&str> {
        let name = self.host.strip_suffix(".aliyuncs.com")?;
        // `cn-hangzhou.oss` (dual stack) and `cn-hangzhou-internal.oss-data-acc` (accelerators) name it first.
        let dual = name.strip_suffix(".oss").or_else(|| name.strip_suffix(".oss-data-acc"));
        let region = match dual {
            Some(region) => region,
            None => name.rsplit('.').next().and_then(|label| label.split_once("oss-")).map(|(_, region)| region)?,
        };
        let region = region.strip_suffix("-internal").unwrap_or(region);
        let known = !region.is_empty() && !region.contains('.') && !region.starts_with("accelerate");
        known.then_some(region)
    }

    /// How buckets are addressed here if nobody says otherwise: path style for addresses and `localhost`, virtual-hosted
    /// for OSS's own names, as a custom domain else.
    pub fn default_addressing(&self) -> Addressing {
        let bare = self.host.trim_start_matches('[').trim_end_matches(']');
        if bare.parse::<IpAddr>().is_ok() || bare == "localhost" {
            Addressing::PathStyle
        } else if bare.ends_with(".aliyuncs.com") {
            Addressing::VirtualHosted
        } else {
            Addressing::CustomDomain
        }
    }

    /// The URL of a request to the service, a bucket or an object.
    pub(crate) fn url(
        &self,
        addressing: Addressing,
        bucket: Option<&BucketName>,
        key: Option<&str>,
        query: &[(&str, Option<&str>)],
    ) -> Result<Uri, http::uri::InvalidUri> {
        let scheme = if self.https { "https" } else { "http" };
        let mut url = match (addressing, bucket) {
            (Addressing::VirtualHosted, Some(bucket)) => format!("{scheme}://{bucket}.{}/", self.authority),
            (Addressing::PathStyle, Some(bucket)) => format!("{scheme}://{}/{bucket}/", self.authority),
            (Addressing::CustomDomain, Some(_)) | (_, None) => format!("{scheme}://{}/", self.authority),
        };
        let mut push = |piece: fmt::Arguments<'_>| url.write_fmt(piece).expect("writing to a string does not fail");
        push(format_args!("{}", encode_key(key.unwrap_or_default())));
        for (index, (name, value)) in query.iter().enumerate() {
            push(format_args!("{}{}", if index == 0 { '?' } else { '&' }, encode_query_value(name)));
            if let Some(value) = value.filter(|value| !value.is_empty()) {
                push(format_args!("={}", encode_query_value(value)));
            }
        }
        url.parse()
    }
}

impl fmt::Display for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}://{}", if self.https { "https" } else { "http" }, self.authority)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_people_write_is_understood() {
        let shown = |text| Endpoint::parse(text).unwrap().to_string();
        assert_eq!(shown("oss-cn-hangzhou.aliyuncs.com"), "http://oss-cn-hangzhou.aliyuncs.com");
        assert_eq!(shown("HTTPS://OSS-cn-hangzhou.aliyuncs.com/"), "https://oss-cn-hangzhou.aliyuncs.com");
        assert_eq!(shown("127.0.0.1:9900"), "http://127.0.0.1:9900");
        assert_eq!(shown("http://[::1]:9900"), "http://[::1]:9900");
    }

    #[test]
    fn what_is_no_endpoint_is_refused_with_the_reason() {
        for (text, reason) in [
            ("", "malformed"),
            ("ftp://host", "scheme"),
            ("http://host/bucket", "after the host"),
            ("http://user@host", "user"),
            ("http://host:", "port"),
            ("http://host:99999", "port"),
            ("http://a b", "malformed"),
            ("http://", "malformed"),
        ] {
            let error = Endpoint::parse(text).unwrap_err().to_string();
            assert!(error.contains(reason), "{text:?}: {error}");
        }
    }

    #[test]
    fn regions_are_told_by_names() {
        for (host, region) in [
            ("oss-cn-hangzhou.aliyuncs.com", Some("cn-hangzhou")),
            ("oss-cn-hangzhou-internal.aliyuncs.com", Some("cn-hangzhou")),
            ("ap-southeast-1.oss.aliyuncs.com", Some("ap-southeast-1")),
            ("cn-beijing-internal.oss-data-acc.aliyuncs.com", Some("cn-beijing")),
            ("vpc100-oss-cn-beijing.aliyuncs.com", Some("cn-beijing")),
            ("bucket.oss-us-west-1.aliyuncs.com", Some("us-west-1")),
            ("oss-accelerate.aliyuncs.com", None),
            ("oss-accelerate-overseas.aliyuncs.com", None),
            ("files.example.com", None),
            ("127.0.0.1:9900", None),
            ("oss.aliyuncs.com", None),
        ] {
            assert_eq!(Endpoint::parse(host).unwrap().region(), region, "{host}");
        }
    }

    #[test]
    fn buckets_are_addressed_as_the_host_wants() {
        let bucket = BucketName::parse("my-bucket").unwrap();
        let url = |endpoint: &str, query: &[(&str, Option<&str>)]| {
            let endpoint = Endpoint::parse(endpoint).unwrap();
            endpoint.url(endpoint.default_addressing(), Some(&bucket), Some("a b/+%/é"), query).unwrap().to_string()
        };
        assert_eq!(
            url("oss-cn-hangzhou.aliyuncs.com", &[]),
            "http://my-bucket.oss-cn-hangzhou.aliyuncs.com/a%20b/%2B%25/%C3%A9"
        );
        assert_eq!(
            url("https://127.0.0.1:1", &[("uploads", None), ("marker", Some("a&b"))]),
            "https://127.0.0.1:1/my-bucket/a%20b/%2B%25/%C3%A9?uploads&marker=a%26b"
        );
        assert_eq!(url("files.example.com", &[]), "http://files.example.com/a%20b/%2B%25/%C3%A9");
    }
}
