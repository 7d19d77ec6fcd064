//! A command that prints credentials as JSON, as `credential_process` of the SDKs and `External` of Alibaba's command
//! line do.

use super::{CredentialError, CredentialSource, Credentials};
use async_trait::async_trait;
use ossfs_types::Timestamp;
use serde::Deserialize;
use std::process::Stdio;
use std::time::Duration;

/// Such a command may ask a service on the network, but not a person.
const TIME_LIMIT: Duration = Duration::from_secs(30);

/// What the command prints; both spellings of the names are in use.
#[derive(Deserialize)]
struct Printed {
    #[serde(alias = "AccessKeyId")]
    access_key_id: String,
    #[serde(alias = "AccessKeySecret")]
    access_key_secret: String,
    #[serde(alias = "SecurityToken", alias = "sts_token", default)]
    security_token: Option<String>,
    #[serde(alias = "Expiration", default)]
    expiration: Option<String>,
}

/// A command, run by the shell.
#[derive(Clone)]
pub(super) struct Process {
    command: String,
}

impl std::fmt::Debug for Process {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Process")
    }
}

impl Process {
    pub(super) fn new(command: impl Into<String>) -> Self {
        Self { command: command.into() }
    }

    fn unusable(&self, problem: impl Into<String>) -> CredentialError {
        CredentialError::Unusable { origin: self.origin(), problem: problem.into() }
    }

    fn parse(&self, stdout: &[u8]) -> Result<Credentials, CredentialError> {
        // serde's message could quote what was printed, so it is not passed on.
        let printed: Printed =
            serde_json::from_slice(stdout).map_err(|_| self.unusable("printed no JSON with an access key"))?;
        let expires_at = match printed.expiration.filter(|text| !text.is_empty()) {
            None => None,
            Some(text) => {
                Some(text.parse::<Timestamp>().map_err(|_| self.unusable("printed an expiration that is no date"))?)
            }
        };
        let token = printed.security_token.filter(|token| !token.is_empty());
        Credentials::new(&printed.access_key_id, &printed.access_key_secret, token)
            .map(|credentials| credentials.expiring_at(expires_at))
            .map_err(|error| self.unusable(error.to_string()))
    }
}

#[async_trait]
impl CredentialSource for Process {
    async fn load(&self) -> Result<Credentials, CredentialError> {
        let mut command = tokio::process::Command::new("/bin/sh");
        command.arg("-c").arg(&self.command).stdin(Stdio::null()).kill_on_drop(true);
        let output = match tokio::time::timeout(TIME_LIMIT, command.output()).await {
            Err(_) => return Err(self.unusable(format!("did not end within {TIME_LIMIT:?}"))),
            Ok(Err(error)) => return Err(self.unusable(format!("can't be run: {error}"))),
            Ok(Ok(output)) => output,
        };
        if !output.status.success() {
            return Err(self.unusable(format!("failed with {}", output.status)));
        }
        self.parse(&output.stdout)
    }

    fn origin(&self) -> String {
        "the credential process".to_owned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn what_a_command_prints_is_used() {
        let json =
            r#"{"AccessKeyId":"I","AccessKeySecret":"S","SecurityToken":"T","Expiration":"2030-01-01T00:00:00Z"}"#;
        let found = Process::new(format!("echo '{json}'")).load().await.unwrap();
        assert_eq!((found.id(), found.secret(), found.security_token()), ("I", "S", Some("T")));
        assert_eq!(found.expires_at().unwrap().as_second(), 1_893_456_000);
    }

    #[tokio::test]
    async fn a_command_that_fails_or_babbles_is_an_error_without_its_secrets() {
        let failed = Process::new("echo s3cret; exit 3").load().await.unwrap_err().to_string();
        assert!(failed.contains("exit status: 3"), "{failed}");
        let babble = Process::new("echo '{\"AccessKeySecret\":\"s3cret\"}'").load().await.unwrap_err().to_string();
        assert!(!babble.contains("s3cret"), "{babble}");
    }
}
