//! Who we are to OSS: access keys, where they come from, and how they are kept fresh.
//!
//! A [`CredentialSource`] knows one place to take credentials from; [`find`] looks through the places in order; a
//! [`CredentialKeeper`] holds the current ones and renews them before they expire. Secrets are never printed.

mod aliyun_config;
mod environment;
mod finder;
mod keeper;
mod passwd;
mod process;
mod remote;

pub use finder::{CredentialOptions, find};
pub use keeper::CredentialKeeper;
pub use passwd::{PasswdFile, SYSTEM_PASSWD_PATH};

use async_trait::async_trait;
use ossfs_types::Timestamp;
use std::fmt;
use std::path::PathBuf;

/// An access key, perhaps a temporary one.
#[derive(Clone, PartialEq, Eq)]
pub struct Credentials {
    id: String,
    secret: String,
    security_token: Option<String>,
    expires_at: Option<Timestamp>,
}

impl Credentials {
    /// An access key. Id, secret and token must be printable ASCII and not empty.
    pub fn new(id: &str, secret: &str, security_token: Option<String>) -> Result<Self, CredentialError> {
        let printable = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_graphic());
        let invalid = |what| Err(CredentialError::Malformed { what });
        if !printable(id) {
            return invalid("access key id");
        }
        if !printable(secret) {
            return invalid("access key secret");
        }
        if security_token.as_deref().is_some_and(|token| !printable(token)) {
            return invalid("security token");
        }
        Ok(Self { id: id.to_owned(), secret: secret.to_owned(), security_token, expires_at: None })
    }

    /// The same key, valid until then.
    #[must_use]
    pub fn expiring_at(mut self, expires_at: Option<Timestamp>) -> Self {
        self.expires_at = expires_at;
        self
    }

    /// The access key id.
    pub fn id(&self) -> &str {
        &self.id
    }

    /// When the key ceases to be valid; never, if absent.
    pub fn expires_at(&self) -> Option<Timestamp> {
        self.expires_at
    }

    pub(crate) fn secret(&self) -> &str {
        &self.secret
    }

    pub(crate) fn security_token(&self) -> Option<&str> {
        self.security_token.as_deref()
    }
}

impl fmt::Debug for Credentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let token = if self.security_token.is_some() { ", with a token" } else { "" };
        write!(f, "Credentials({}{token})", self.id)
    }
}

/// Why there are no credentials. Says what to do about it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CredentialError {
    /// A part of a key is empty or holds what can't be sent.
    #[error("the {what} is empty or not printable ASCII")]
    Malformed {
        /// Which part.
        what: &'static str,
    },
    /// A file of keys that others may read.
    #[error("{path} has mode {mode:04o}, so others could use its keys: run `chmod {wanted:o} {path}`", path = path.display())]
    Permissions {
        /// The file.
        path: PathBuf,
        /// Its permission bits.
        mode: u32,
        /// The most that is allowed.
        wanted: u32,
    },
    /// A file of keys that this user may not read.
    #[error("{path} can't be read by this user", path = path.display())]
    NotForThisUser {
        /// The file.
        path: PathBuf,
    },
    /// A file of keys that is not one.
    #[error("{path}:{line}: {problem}", path = path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// Its line, from 1.
        line: usize,
        /// What is wrong with it.
        problem: String,
    },
    /// A file of keys that has none for the bucket.
    #[error("{path} has no line `id:secret` and none for the bucket {bucket}", path = path.display())]
    NoLine {
        /// The file.
        path: PathBuf,
        /// The bucket.
        bucket: String,
    },
    /// A place that was named, or that seemed to have credentials, could not give them.
    #[error("{origin}: {problem}")]
    Unusable {
        /// The place.
        origin: String,
        /// What is wrong.
        problem: String,
    },
    /// None of the places has credentials.
    #[error("no credentials found; looked at: {}", looked_at.join("; "))]
    NotFound {
        /// The places, each with what was found there.
        looked_at: Vec<String>,
    },
}

/// A place to take credentials from.
#[async_trait]
pub trait CredentialSource: Send + Sync + fmt::Debug {
    /// The credentials that the place gives now.
    async fn load(&self) -> Result<Credentials, CredentialError>;

    /// The place, for messages.
    fn origin(&self) -> String;
}

/// Credentials that are given and never change.
#[async_trait]
impl CredentialSource for Credentials {
    async fn load(&self) -> Result<Credentials, CredentialError> {
        Ok(self.clone())
    }

    fn origin(&self) -> String {
        format!("the access key {}", self.id)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_are_not_printed() {
        let credentials = Credentials::new("ID", "s3cret", Some("t0ken".into())).unwrap();
        let printed = format!("{credentials:?}");
        assert!(printed.contains("ID") && !printed.contains("s3cret") && !printed.contains("t0ken"), "{printed}");
    }

    #[test]
    fn what_cannot_be_sent_is_refused() {
        assert!(Credentials::new("", "s", None).is_err());
        assert!(Credentials::new("id", "a b", None).is_err());
        assert!(Credentials::new("id", "s", Some("a\nb".into())).is_err());
    }
}
