//! Access keys in environment variables: the SDKs' names, ossfs 1.x's, and Alibaba Cloud's general ones.

use super::{CredentialError, Credentials};

/// One family of names.
struct Names {
    id: &'static str,
    secret: &'static str,
    token: &'static str,
}

/// In the order in which they are asked.
const FAMILIES: [Names; 3] = [
    Names { id: "OSS_ACCESS_KEY_ID", secret: "OSS_ACCESS_KEY_SECRET", token: "OSS_SESSION_TOKEN" },
    Names { id: "OSSACCESSKEYID", secret: "OSSSECRETACCESSKEY", token: "OSSSESSIONTOKEN" },
    Names {
        id: "ALIBABA_CLOUD_ACCESS_KEY_ID",
        secret: "ALIBABA_CLOUD_ACCESS_KEY_SECRET",
        token: "ALIBABA_CLOUD_SECURITY_TOKEN",
    },
];

/// What [`find`](super::find) says of this place when it is empty.
pub(super) const LOOKED_AT: &str =
    "the environment (OSS_ACCESS_KEY_ID, OSSACCESSKEYID, ALIBABA_CLOUD_ACCESS_KEY_ID are not set)";

/// The first family that is set. Half of one is an error, not a reason to look elsewhere.
pub(super) fn read(variable: impl Fn(&str) -> Option<String>) -> Result<Option<Credentials>, CredentialError> {
    let variable = |name| variable(name).filter(|value| !value.is_empty());
    for names in &FAMILIES {
        let problem = |problem: String| CredentialError::Unusable { origin: "the environment".to_owned(), problem };
        match (variable(names.id), variable(names.secret)) {
            (None, None) => {}
            (Some(_), None) => return Err(problem(format!("{} is set, but {} is not", names.id, names.secret))),
            (None, Some(_)) => return Err(problem(format!("{} is set, but {} is not", names.secret, names.id))),
            (Some(id), Some(secret)) => {
                let credentials = Credentials::new(
                    id.trim(),
                    secret.trim(),
                    variable(names.token).map(|token| token.trim().to_owned()),
                );
                return credentials.map(Some).map_err(|error| problem(format!("{}: {error}", names.id)));
            }
        }
    }
    Ok(None)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read_from(set: &[(&str, &str)]) -> Result<Option<Credentials>, CredentialError> {
        read(|name| set.iter().find(|(set, _)| *set == name).map(|(_, value)| (*value).to_owned()))
    }

    #[test]
    fn each_family_is_known_and_the_first_wins() {
        for names in &FAMILIES {
            let found = read_from(&[(names.id, "I"), (names.secret, "S"), (names.token, "T")]).unwrap().unwrap();
            assert_eq!((found.id(), found.security_token()), ("I", Some("T")));
        }
        let both = [
            ("OSSACCESSKEYID", "B"),
            ("OSSSECRETACCESSKEY", "b"),
            ("OSS_ACCESS_KEY_ID", "A"),
            ("OSS_ACCESS_KEY_SECRET", "a"),
        ];
        assert_eq!(read_from(&both).unwrap().unwrap().id(), "A");
        assert_eq!(read_from(&[("OSS_ACCESS_KEY_ID", "")]), Ok(None));
    }

    #[test]
    fn half_a_key_is_an_error() {
        let error = read_from(&[("OSS_ACCESS_KEY_ID", "A")]).unwrap_err().to_string();
        assert_eq!(error, "the environment: OSS_ACCESS_KEY_ID is set, but OSS_ACCESS_KEY_SECRET is not");
        assert!(read_from(&[("OSSSECRETACCESSKEY", "x")]).is_err());
    }
}
