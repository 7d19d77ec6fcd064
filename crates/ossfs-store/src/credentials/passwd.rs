//! The credential files of ossfs 1.x: lines `id:secret` or `bucket:id:secret`, comments with `#`.

use super::{CredentialError, CredentialSource, Credentials};
use async_trait::async_trait;
use ossfs_types::BucketName;
use std::io::ErrorKind;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

/// The file for all users of a machine; the only one that a group may read.
pub const SYSTEM_PASSWD_PATH: &str = "/etc/passwd-ossfs";
/// Name of a user's own file, in the home directory.
pub(super) const USER_PASSWD_NAME: &str = ".passwd-ossfs";

/// A credential file, and the bucket whose line is wanted. Read anew at each load, so that a changed key is found.
#[derive(Debug, Clone)]
pub struct PasswdFile {
    path: PathBuf,
    bucket: BucketName,
}

impl PasswdFile {
    /// The file at `path`, for `bucket`.
    pub fn new(path: impl Into<PathBuf>, bucket: BucketName) -> Self {
        Self { path: path.into(), bucket }
    }

    fn unusable(&self, problem: impl Into<String>) -> CredentialError {
        CredentialError::Unusable { origin: self.path.display().to_string(), problem: problem.into() }
    }

    fn unreadable(&self, error: &std::io::Error) -> CredentialError {
        match error.kind() {
            ErrorKind::PermissionDenied => CredentialError::NotForThisUser { path: self.path.clone() },
            _ => self.unusable(format!("can't be read: {error}")),
        }
    }

    /// What the file holds for the bucket; `None` if there is no such file.
    pub(super) fn read(&self) -> Result<Option<Credentials>, CredentialError> {
        let metadata = match std::fs::metadata(&self.path) {
            Ok(metadata) => metadata,
            Err(error) if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory) => return Ok(None),
            Err(error) => return Err(self.unreadable(&error)),
        };
        if !metadata.is_file() {
            return Err(self.unusable("is no file"));
        }
        check_mode(&self.path, metadata.permissions().mode())?;
        let text = std::fs::read_to_string(&self.path).map_err(|error| self.unreadable(&error))?;
        parse(&self.path, &text, &self.bucket).map(Some)
    }
}

#[async_trait]
impl CredentialSource for PasswdFile {
    async fn load(&self) -> Result<Credentials, CredentialError> {
        let file = self.clone();
        let read = tokio::task::spawn_blocking(move || file.read()).await.expect("reading a file does not panic");
        read?.ok_or_else(|| self.unusable("there is no such file"))
    }

    fn origin(&self) -> String {
        self.path.display().to_string()
    }
}

/// Refuses files that others could use: any bit for others, any execute bit, any group bit but read on the system's file.
fn check_mode(path: &Path, mode: u32) -> Result<(), CredentialError> {
    let wanted = if path == Path::new(SYSTEM_PASSWD_PATH) { 0o640 } else { 0o600 };
    let mode = mode & 0o777;
    if mode & !wanted == 0 { Ok(()) } else { Err(CredentialError::Permissions { path: path.to_owned(), mode, wanted }) }
}

/// The bucket's own line, else the line without a bucket. Any malformed or repeated line is an error, whichever bucket
/// it is for: a typing error must not silently select another key.
fn parse(path: &Path, text: &str, bucket: &BucketName) -> Result<Credentials, CredentialError> {
    let mut lines: Vec<(Option<&str>, Credentials)> = Vec::new();
    for (index, line) in text.lines().enumerate() {
        let line = line.trim();
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        let file_error = |problem: String| CredentialError::File { path: path.to_owned(), line: index + 1, problem };
        let fields: Vec<&str> = line.split(':').collect();
        let (name, id, secret) = match fields[..] {
            [id, secret] => (None, id, secret),
            [name, id, secret] => (Some(name), id, secret),
            _ => return Err(file_error("is neither `id:secret` nor `bucket:id:secret`".to_owned())),
        };
        if let Some(name) = name {
            BucketName::parse(name).map_err(|error| file_error(error.to_string()))?;
        }
        let credentials = Credentials::new(id, secret, None).map_err(|error| file_error(error.to_string()))?;
        if lines.iter().any(|(other, _)| *other == name) {
            let what = name.map_or("a line without a bucket".to_owned(), |name| format!("the bucket {name}"));
            return Err(file_error(format!("{what} is there a second time; remove one of them")));
        }
        lines.push((name, credentials));
    }
    let line_for = |wanted: Option<&str>| lines.iter().find(|(name, _)| *name == wanted);
    match line_for(Some(bucket.as_str())).or_else(|| line_for(None)) {
        Some((_, credentials)) => Ok(credentials.clone()),
        None => Err(CredentialError::NoLine { path: path.to_owned(), bucket: bucket.to_string() }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id_of(text: &str) -> Result<String, String> {
        let bucket = BucketName::parse("my-bucket").unwrap();
        let parsed = parse(Path::new("/etc/passwd-ossfs"), text, &bucket);
        parsed.map(|credentials| credentials.id().to_owned()).map_err(|error| error.to_string())
    }

    #[test]
    fn the_buckets_own_line_wins() {
        assert_eq!(id_of("A:a\nmy-bucket:B:b\n"), Ok("B".into()));
        assert_eq!(id_of("# keys\n\n  other-bucket:B:b  \nA:a\r\n"), Ok("A".into()));
    }

    #[test]
    fn a_bad_line_is_named_and_its_secret_is_not() {
        let error = id_of("A:a\nonly-one-field-with-s3cret\n").unwrap_err();
        assert_eq!(error, "/etc/passwd-ossfs:2: is neither `id:secret` nor `bucket:id:secret`");
        assert!(id_of("a:b:c:d").is_err());
        assert!(id_of(":x").unwrap_err().contains("access key id"));
        assert!(id_of("id:").unwrap_err().contains("access key secret"));
        assert!(id_of("Not_A_Bucket:id:secret").unwrap_err().contains("no bucket name"));
    }

    #[test]
    fn a_line_twice_is_an_error_for_every_bucket() {
        assert!(id_of("my-bucket:A:a\nmy-bucket:B:b").unwrap_err().contains("my-bucket is there a second time"));
        assert!(id_of("x-bucket:A:a\nx-bucket:A:a\nA:a").is_err());
        assert!(id_of("A:a\nB:b").is_err());
    }

    #[test]
    fn no_line_for_the_bucket() {
        let error = id_of("other-bucket:A:a").unwrap_err();
        assert_eq!(error, "/etc/passwd-ossfs has no line `id:secret` and none for the bucket my-bucket");
    }

    #[test]
    fn only_the_systems_file_may_be_read_by_a_group() {
        let refused = |path: &str, mode| check_mode(Path::new(path), mode).map_err(|error| error.to_string()).err();
        for mode in [0o640, 0o600, 0o400, 0o440, 0o100_640] {
            assert_eq!(refused(SYSTEM_PASSWD_PATH, mode), None, "{mode:o}");
        }
        for mode in [0o644, 0o641, 0o660, 0o740, 0o650, 0o777] {
            assert!(refused(SYSTEM_PASSWD_PATH, mode).unwrap().contains("chmod 640 /etc/passwd-ossfs"), "{mode:o}");
        }
        assert_eq!(refused("/root/.passwd-ossfs", 0o600), None);
        assert!(refused("/root/.passwd-ossfs", 0o640).unwrap().contains("chmod 600 /root/.passwd-ossfs"));
    }

    #[test]
    fn a_missing_file_is_none_and_a_directory_is_an_error() {
        let bucket = BucketName::parse("my-bucket").unwrap();
        let dir = tempfile::tempdir().unwrap();
        assert_eq!(PasswdFile::new(dir.path().join("none"), bucket.clone()).read(), Ok(None));
        assert!(PasswdFile::new(dir.path(), bucket).read().unwrap_err().to_string().contains("is no file"));
    }
}
