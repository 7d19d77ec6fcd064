//! `~/.aliyun/config.json`, the file of Alibaba Cloud's command line: named profiles, each with a way to get a key.

use super::process::Process;
use super::{CredentialError, CredentialSource, Credentials, remote};
use async_trait::async_trait;
use serde::Deserialize;
use std::path::PathBuf;

/// Profiles may be based on one another; longer chains than this are loops.
const CHAIN_MAX: usize = 8;

#[derive(Deserialize)]
struct Config {
    #[serde(default)]
    current: String,
    #[serde(default)]
    profiles: Vec<Profile>,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct Profile {
    name: String,
    mode: String,
    access_key_id: String,
    access_key_secret: String,
    sts_token: String,
    ram_role_name: String,
    ram_role_arn: String,
    ram_session_name: String,
    external_id: String,
    source_profile: String,
    oidc_provider_arn: String,
    oidc_token_file: String,
    process_command: String,
    credentials_uri: String,
}

/// The file, and the profile of it that is wanted. Read anew at each load: keys in it are refreshed by others, and what a
/// role is assumed with may itself expire.
#[derive(Debug)]
pub(super) struct ConfigFile {
    path: PathBuf,
    /// The file's current one if absent.
    profile: Option<String>,
}

impl ConfigFile {
    pub(super) fn new(path: PathBuf, profile: Option<String>) -> Self {
        Self { path, profile }
    }

    /// The source that the profile stands for now; `None` if there is no such file.
    pub(super) async fn source(&self) -> Result<Option<Box<dyn CredentialSource>>, CredentialError> {
        let unusable = |problem: String| CredentialError::Unusable { origin: self.origin(), problem };
        let text = match tokio::fs::read(&self.path).await {
            Ok(text) => text,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(unusable(format!("can't be read: {error}"))),
        };
        // serde's message could quote a secret, so only the place is passed on.
        let config: Config = serde_json::from_slice(&text)
            .map_err(|error| unusable(format!("line {}: is not what the command line writes", error.line())))?;
        let name = match &self.profile {
            Some(name) => name,
            None if config.current.is_empty() => "default",
            None => &config.current,
        };
        of_profile(&config, name, 1).await.map(Some).map_err(unusable)
    }
}

#[async_trait]
impl CredentialSource for ConfigFile {
    async fn load(&self) -> Result<Credentials, CredentialError> {
        match self.source().await? {
            Some(source) => source.load().await,
            None => {
                let problem = "there is no such file".to_owned();
                Err(CredentialError::Unusable { origin: self.origin(), problem })
            }
        }
    }

    fn origin(&self) -> String {
        self.path.display().to_string()
    }
}

async fn of_profile(config: &Config, name: &str, depth: usize) -> Result<Box<dyn CredentialSource>, String> {
    if depth > CHAIN_MAX {
        return Err(format!("the profile {name:?} is based on itself"));
    }
    let Some(profile) = config.profiles.iter().find(|profile| profile.name == name) else {
        return Err(format!("has no profile {name:?}"));
    };
    let set = |value: &'_ str| (!value.is_empty()).then(|| value.to_owned());
    let key = |token| {
        Credentials::new(&profile.access_key_id, &profile.access_key_secret, token)
            .map_err(|error| format!("profile {name:?}: {error}"))
    };
    let built: Result<Box<dyn CredentialSource>, CredentialError> = match profile.mode.to_ascii_lowercase().as_str() {
        "" | "ak" => return Ok(Box::new(key(None)?)),
        "ststoken" => return Ok(Box::new(key(set(&profile.sts_token))?)),
        "external" => return Ok(Box::new(Process::new(&profile.process_command))),
        "ecsramrole" => remote::ecs_role(set(&profile.ram_role_name).as_deref(), None),
        "credentialsuri" => remote::credentials_uri(&profile.credentials_uri),
        "oidc" => remote::oidc_role(
            &profile.ram_role_arn,
            &profile.oidc_provider_arn,
            &profile.oidc_token_file,
            set(&profile.ram_session_name).as_deref(),
        ),
        "ramrolearn" => assume(profile, &key(set(&profile.sts_token))?),
        "chainableramrolearn" => {
            let base = Box::pin(of_profile(config, &profile.source_profile, depth + 1)).await?;
            assume(profile, &base.load().await.map_err(|error| error.to_string())?)
        }
        mode => return Err(format!("profile {name:?} has the mode {mode:?}, which is not supported")),
    };
    built.map_err(|error| error.to_string())
}

fn assume(profile: &Profile, base: &Credentials) -> Result<Box<dyn CredentialSource>, CredentialError> {
    let set = |value: &'_ str| (!value.is_empty()).then(|| value.to_owned());
    remote::assumed_role(
        base,
        &profile.ram_role_arn,
        set(&profile.ram_session_name).as_deref(),
        set(&profile.external_id).as_deref(),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn load(json: &str, profile: Option<&str>) -> Result<Credentials, String> {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("config.json");
        std::fs::write(&path, json).unwrap();
        ConfigFile::new(path, profile.map(str::to_owned)).load().await.map_err(|error| error.to_string())
    }

    const TWO: &str = r#"{"current": "work", "profiles": [
        {"name": "default", "mode": "AK", "access_key_id": "A", "access_key_secret": "a"},
        {"name": "work", "mode": "StsToken", "access_key_id": "B", "access_key_secret": "b", "sts_token": "t"},
        {"name": "out", "mode": "External",
         "process_command": "echo '{\"access_key_id\":\"C\",\"access_key_secret\":\"c\",\"mode\":\"AK\"}'"},
        {"name": "loop", "mode": "ChainableRamRoleArn", "source_profile": "loop"},
        {"name": "odd", "mode": "BearerToken"}]}"#;

    #[tokio::test]
    async fn profiles_give_their_keys() {
        let work = load(TWO, None).await.unwrap();
        assert_eq!((work.id(), work.security_token()), ("B", Some("t")));
        assert_eq!(load(TWO, Some("default")).await.unwrap().id(), "A");
        assert_eq!(load(TWO, Some("out")).await.unwrap().id(), "C");
    }

    #[tokio::test]
    async fn a_key_that_was_refreshed_in_the_file_is_found() {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), TWO).unwrap();
        let config = ConfigFile::new(file.path().to_owned(), None);
        assert_eq!(config.load().await.unwrap().security_token(), Some("t"));
        std::fs::write(file.path(), TWO.replace("\"t\"", "\"t2\"")).unwrap();
        assert_eq!(config.load().await.unwrap().security_token(), Some("t2"));
    }

    #[tokio::test]
    async fn what_is_wrong_is_named() {
        let error = |profile| async move { load(TWO, Some(profile)).await.unwrap_err() };
        assert!(error("absent").await.contains("has no profile \"absent\""));
        assert!(error("loop").await.contains("based on itself"));
        assert!(error("odd").await.contains("\"bearertoken\", which is not supported"));
        assert!(load("{\n\"current\": 5}", None).await.unwrap_err().contains("line 2"));
        assert!(ConfigFile::new("/nonexistent/config.json".into(), None).source().await.unwrap().is_none());
    }
}
