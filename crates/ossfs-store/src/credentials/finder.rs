//! The places where credentials may be, in the order in which they are asked.

use super::aliyun_config::ConfigFile;
use super::passwd::USER_PASSWD_NAME;
use super::process::Process;
use super::{CredentialError, CredentialSource, PasswdFile, SYSTEM_PASSWD_PATH, environment, remote};
use ossfs_types::BucketName;
use std::fmt;
use std::path::{Path, PathBuf};

/// What a user asked for; nothing, by default.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct CredentialOptions {
    /// This credential file and nothing else (`-opasswd_file=`).
    pub passwd_file: Option<PathBuf>,
    /// The role of the ECS instance and nothing else (`-oram_role`): `Some(None)` for the one it has.
    pub ram_role: Option<Option<String>>,
    /// Where to ask for the role (`http://host`), if not at the address that every ECS instance has.
    pub metadata_endpoint: Option<String>,
    /// What this URL answers and nothing else (`-oram_role=http://…`).
    pub credentials_uri: Option<String>,
    /// The output of this command and nothing else.
    pub credential_process: Option<String>,
}

impl fmt::Debug for CredentialOptions {
    /// Without the command and the URL, which may hold a secret.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CredentialOptions")
            .field("passwd_file", &self.passwd_file)
            .field("ram_role", &self.ram_role)
            .field("metadata_endpoint", &self.metadata_endpoint)
            .field("credentials_uri", &self.credentials_uri.is_some())
            .field("credential_process", &self.credential_process.is_some())
            .finish()
    }
}

/// Finds the source of credentials for a bucket.
///
/// What the options name comes alone. Else, in order: environment variables, `~/.passwd-ossfs`, `/etc/passwd-ossfs`, the
/// role of a pod (OIDC), a credentials URI, the role of the ECS instance if `ALIBABA_CLOUD_ECS_METADATA` asks for it, and
/// `~/.aliyun/config.json`. A place that is there but broken ends the search with its error, except that a file without a
/// line for the bucket, or one that this user may not read, is passed over and named if nothing else is found.
///
/// `variable` reads the environment.
pub async fn find(
    options: &CredentialOptions,
    bucket: &BucketName,
    variable: &(dyn Fn(&str) -> Option<String> + Sync),
) -> Result<Box<dyn CredentialSource>, CredentialError> {
    if let Some(path) = &options.passwd_file {
        return Ok(Box::new(PasswdFile::new(path, bucket.clone())));
    }
    if let Some(role) = &options.ram_role {
        let endpoint = options.metadata_endpoint.clone();
        let endpoint = endpoint.or_else(|| variable("ALIBABA_CLOUD_ECS_METADATA_SERVICE_ENDPOINT"));
        return remote::ecs_role(role.as_deref(), endpoint.as_deref());
    }
    if let Some(uri) = &options.credentials_uri {
        return remote::credentials_uri(uri);
    }
    if let Some(command) = &options.credential_process {
        return Ok(Box::new(Process::new(command)));
    }
    let mut looked_at = vec![environment::LOOKED_AT.to_owned()];
    if let Some(credentials) = environment::read(variable)? {
        return Ok(Box::new(credentials));
    }
    let home = variable("HOME").filter(|home| !home.is_empty()).map(PathBuf::from);
    let own = home.as_ref().map(|home| home.join(USER_PASSWD_NAME));
    for path in own.into_iter().chain([PathBuf::from(SYSTEM_PASSWD_PATH)]) {
        if let Some(file) = usable_passwd_file(&path, bucket, &mut looked_at)? {
            return Ok(Box::new(file));
        }
    }
    if let Some(source) = from_alibaba_variables(variable)? {
        return Ok(source);
    }
    if let Some(home) = home {
        let path =
            variable("ALIBABA_CLOUD_CONFIG_FILE").map_or_else(|| home.join(".aliyun/config.json"), PathBuf::from);
        let profile = variable("ALIBABA_CLOUD_PROFILE").filter(|name| !name.is_empty());
        let file = ConfigFile::new(path, profile);
        if file.source().await?.is_some() {
            return Ok(Box::new(file));
        }
        looked_at.push(format!("{} (no such file)", file.origin()));
    }
    Err(CredentialError::NotFound { looked_at })
}

fn usable_passwd_file(
    path: &Path,
    bucket: &BucketName,
    looked_at: &mut Vec<String>,
) -> Result<Option<PasswdFile>, CredentialError> {
    let file = PasswdFile::new(path, bucket.clone());
    match file.read() {
        Ok(Some(_)) => return Ok(Some(file)),
        Ok(None) => looked_at.push(format!("{} (no such file)", path.display())),
        Err(CredentialError::NoLine { .. }) => {
            looked_at.push(format!("{} (no line for {bucket}, and none for every bucket)", path.display()));
        }
        Err(CredentialError::NotForThisUser { .. }) => {
            looked_at.push(format!("{} (not readable by this user)", path.display()));
        }
        Err(error) => return Err(error),
    }
    Ok(None)
}

/// Roles and services that Alibaba's own variables name.
fn from_alibaba_variables(
    variable: &(dyn Fn(&str) -> Option<String> + Sync),
) -> Result<Option<Box<dyn CredentialSource>>, CredentialError> {
    let set = |name| variable(name).filter(|value| !value.is_empty());
    let role = set("ALIBABA_CLOUD_ROLE_ARN");
    let oidc = (role, set("ALIBABA_CLOUD_OIDC_PROVIDER_ARN"), set("ALIBABA_CLOUD_OIDC_TOKEN_FILE"));
    if let (Some(role), Some(provider), Some(token_file)) = oidc {
        let session = set("ALIBABA_CLOUD_ROLE_SESSION_NAME");
        return remote::oidc_role(&role, &provider, &token_file, session.as_deref()).map(Some);
    }
    if let Some(uri) = set("ALIBABA_CLOUD_CREDENTIALS_URI") {
        return remote::credentials_uri(&uri).map(Some);
    }
    if let Some(role) = set("ALIBABA_CLOUD_ECS_METADATA") {
        let endpoint = set("ALIBABA_CLOUD_ECS_METADATA_SERVICE_ENDPOINT");
        return remote::ecs_role(Some(&role), endpoint.as_deref()).map(Some);
    }
    Ok(None)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;

    async fn found(options: &CredentialOptions, set: &[(&str, &str)]) -> Result<String, String> {
        let bucket = BucketName::parse("my-bucket").unwrap();
        let variable = |name: &str| set.iter().find(|(set, _)| *set == name).map(|(_, value)| (*value).to_owned());
        match find(options, &bucket, &variable).await {
            Ok(source) => match source.load().await {
                Ok(credentials) => Ok(credentials.id().to_owned()),
                Err(error) => Err(error.to_string()),
            },
            Err(error) => Err(error.to_string()),
        }
    }

    fn passwd(dir: &Path, name: &str, text: &str, mode: u32) -> String {
        let path = dir.join(name);
        std::fs::write(&path, text).unwrap();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(mode)).unwrap();
        path.to_str().unwrap().to_owned()
    }

    #[tokio::test]
    async fn the_environment_goes_before_files_and_an_option_before_both() {
        let home = tempfile::tempdir().unwrap();
        passwd(home.path(), ".passwd-ossfs", "FILE:s", 0o600);
        let other = passwd(home.path(), "other", "OPTION:s", 0o600);
        let home = home.path().to_str().unwrap();
        let environment = [("HOME", home), ("OSS_ACCESS_KEY_ID", "ENV"), ("OSS_ACCESS_KEY_SECRET", "s")];
        let option = CredentialOptions { passwd_file: Some(other.into()), ..Default::default() };
        assert_eq!(found(&option, &environment).await, Ok("OPTION".into()));
        assert_eq!(found(&CredentialOptions::default(), &environment).await, Ok("ENV".into()));
        assert_eq!(found(&CredentialOptions::default(), &environment[..1]).await, Ok("FILE".into()));
    }

    #[tokio::test]
    async fn wrong_permissions_end_the_search() {
        let home = tempfile::tempdir().unwrap();
        let path = passwd(home.path(), ".passwd-ossfs", "FILE:s", 0o644);
        let error = found(&CredentialOptions::default(), &[("HOME", home.path().to_str().unwrap())]).await.unwrap_err();
        assert!(error.contains(&format!("chmod 600 {path}")), "{error}");
    }

    #[tokio::test]
    async fn nothing_anywhere_lists_the_places() {
        if Path::new(SYSTEM_PASSWD_PATH).exists() {
            println!("SKIPPED: {SYSTEM_PASSWD_PATH} exists on this machine");
            return;
        }
        let home = tempfile::tempdir().unwrap();
        passwd(home.path(), ".passwd-ossfs", "other-bucket:I:s", 0o600);
        let error = found(&CredentialOptions::default(), &[("HOME", home.path().to_str().unwrap())]).await.unwrap_err();
        for place in
            ["OSS_ACCESS_KEY_ID", ".passwd-ossfs (no line for my-bucket", SYSTEM_PASSWD_PATH, ".aliyun/config.json"]
        {
            assert!(error.contains(place), "{place}: {error}");
        }
    }

    #[tokio::test]
    async fn a_named_file_that_is_missing_is_an_error() {
        let option = CredentialOptions { passwd_file: Some("/nonexistent/passwd".into()), ..Default::default() };
        let error = found(&option, &[]).await.unwrap_err();
        assert_eq!(error, "/nonexistent/passwd: there is no such file");
    }
}
