//! Sources that need requests of their own: the ECS metadata service, STS, a credentials URI. The protocols are
//! `reqsign`'s; the requests go through our HTTP client, with short deadlines.

use super::{CredentialError, CredentialSource, Credentials};
use crate::api::Payload;
use crate::http::{Client, HttpOptions, Proxy, Timeouts};
use async_trait::async_trait;
use bytes::Bytes;
use ossfs_types::Timestamp;
use reqsign_aliyun_oss::{
    AssumeRoleCredentialProvider, AssumeRoleWithOidcCredentialProvider, Credential, CredentialsUriCredentialProvider,
    EcsRamRoleCredentialProvider, StaticCredentialProvider,
};
use reqsign_core::{Context, FileRead, HttpSend, ProvideCredential};
use std::fmt;
use std::time::Duration;

/// The metadata service is one hop away; where there is none, the address is silent.
const METADATA_TIMEOUT: Duration = Duration::from_secs(3);
const STS_TIMEOUT: Duration = Duration::from_secs(10);
/// Largest answer of such a service.
const ANSWER_BYTES_MAX: usize = 1 << 20;
const SESSION_NAME: &str = "ossfs";

/// A source behind one of `reqsign`'s providers.
pub(super) struct RemoteSource<P> {
    provider: P,
    context: Context,
    origin: String,
}

impl<P> fmt::Debug for RemoteSource<P> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "RemoteSource({})", self.origin)
    }
}

#[async_trait]
impl<P: ProvideCredential<Credential = Credential>> CredentialSource for RemoteSource<P> {
    async fn load(&self) -> Result<Credentials, CredentialError> {
        let unusable = |problem: String| CredentialError::Unusable { origin: self.origin.clone(), problem };
        let credential = match self.provider.provide_credential(&self.context).await {
            Ok(Some(credential)) => credential,
            Ok(None) => return Err(unusable("gave no credentials".to_owned())),
            Err(error) => return Err(unusable(without_bodies(&error.to_string()))),
        };
        let expires_at = match credential.expires_in {
            None => None,
            Some(at) => Some(
                Timestamp::from_second(at.as_second())
                    .map_err(|error| unusable(format!("gave an impossible expiry: {error}")))?,
            ),
        };
        Credentials::new(&credential.access_key_id, &credential.access_key_secret, credential.security_token)
            .map(|credentials| credentials.expiring_at(expires_at))
            .map_err(|error| unusable(error.to_string()))
    }

    fn origin(&self) -> String {
        self.origin.clone()
    }
}

/// The part of a message before what a service answered or was asked: its errors may echo what was signed, tokens included.
fn without_bodies(message: &str) -> String {
    message.split(['{', '<', '?']).next().unwrap_or_default().trim_end_matches([' ', ':', ',']).to_owned()
}

/// The role of an ECS instance: the named one, or the one it has. The hardened mode of the metadata service is asked
/// first. `endpoint` is another address than the real one, for tests.
pub(super) fn ecs_role(
    role: Option<&str>,
    endpoint: Option<&str>,
) -> Result<Box<dyn CredentialSource>, CredentialError> {
    let mut provider = EcsRamRoleCredentialProvider::new();
    if let Some(role) = role {
        provider = provider.with_role_name(role);
    }
    if let Some(endpoint) = endpoint {
        provider = provider.with_endpoint(endpoint);
    }
    let origin = format!("the ECS metadata service (RAM role {})", role.unwrap_or("of the instance"));
    source(provider, origin, METADATA_TIMEOUT, Proxy::Direct)
}

/// A role that an access key may assume.
pub(super) fn assumed_role(
    base: &Credentials,
    role_arn: &str,
    session: Option<&str>,
    external_id: Option<&str>,
) -> Result<Box<dyn CredentialSource>, CredentialError> {
    let mut key = StaticCredentialProvider::new(base.id(), base.secret());
    if let Some(token) = base.security_token() {
        key = key.with_security_token(token);
    }
    let mut provider = AssumeRoleCredentialProvider::new()
        .with_base_provider(key)
        .with_role_arn(role_arn)
        .with_role_session_name(session.unwrap_or(SESSION_NAME));
    if let Some(external_id) = external_id {
        provider = provider.with_external_id(external_id);
    }
    source(provider, format!("STS AssumeRole {role_arn}"), STS_TIMEOUT, Proxy::FromEnvironment)
}

/// A role that the bearer of an OIDC token may assume, as pods of a Kubernetes cluster do.
pub(super) fn oidc_role(
    role_arn: &str,
    provider_arn: &str,
    token_file: &str,
    session: Option<&str>,
) -> Result<Box<dyn CredentialSource>, CredentialError> {
    let provider = AssumeRoleWithOidcCredentialProvider::new()
        .with_role_arn(role_arn)
        .with_oidc_provider_arn(provider_arn)
        .with_oidc_token_file(token_file)
        .with_role_session_name(session.unwrap_or(SESSION_NAME));
    source(provider, format!("STS AssumeRoleWithOIDC {role_arn}"), STS_TIMEOUT, Proxy::FromEnvironment)
}

/// A local service that hands out credentials as JSON.
pub(super) fn credentials_uri(uri: &str) -> Result<Box<dyn CredentialSource>, CredentialError> {
    let provider = CredentialsUriCredentialProvider::new().with_uri(uri);
    // Without user and query, which may hold a secret.
    let shown = uri.split('?').next().unwrap_or_default();
    let shown = shown.rsplit('@').next().unwrap_or_default();
    source(provider, format!("the credentials URI {shown}"), STS_TIMEOUT, Proxy::FromEnvironment)
}

fn source(
    provider: impl ProvideCredential<Credential = Credential> + 'static,
    origin: String,
    timeout: Duration,
    proxy: Proxy,
) -> Result<Box<dyn CredentialSource>, CredentialError> {
    // The metadata service alone is reached directly, and speaks no https.
    let https = proxy != Proxy::Direct;
    let timeouts = Timeouts { connect: timeout, first_byte: timeout, silence: timeout };
    let options = HttpOptions { connections_max: 1, timeouts, proxy, ..HttpOptions::default() };
    let client = Client::new(&options, https)
        .map_err(|problem| CredentialError::Unusable { origin: origin.clone(), problem })?;
    let context = Context::new().with_http_send(Http(client)).with_file_read(Files);
    Ok(Box::new(RemoteSource { provider, context, origin }))
}

#[derive(Debug)]
struct Http(Client);

impl HttpSend for Http {
    async fn http_send(&self, request: http::Request<Bytes>) -> reqsign_core::Result<http::Response<Bytes>> {
        let failed = |failure: crate::http::Failure| reqsign_core::Error::unexpected(failure.to_string());
        let (head, body) = request.into_parts();
        let sent = self.0.send(head.method, head.uri, head.headers, Payload::from(body));
        let response = sent.await.map_err(failed)?;
        let mut answer = http::Response::new(response.body.collect(ANSWER_BYTES_MAX).await.map_err(failed)?);
        *answer.status_mut() = response.status;
        *answer.headers_mut() = response.headers;
        Ok(answer)
    }
}

#[derive(Debug)]
struct Files;

impl FileRead for Files {
    async fn file_read(&self, path: &str) -> reqsign_core::Result<Vec<u8>> {
        let read = tokio::fs::read(path).await;
        read.map_err(|error| reqsign_core::Error::unexpected(format!("can't read {path}: {error}")))
    }
}

#[cfg(test)]
mod tests {
    use super::without_bodies;

    #[test]
    fn what_a_service_answered_is_not_passed_on() {
        assert_eq!(without_bodies("request failed: {\"Message\":\"string to sign is: t0ken\"}"), "request failed");
        assert_eq!(without_bodies("can't reach http://host/path?Signature=x"), "can't reach http://host/path");
        assert_eq!(without_bodies("no connection: timed out"), "no connection: timed out");
    }
}
