//! A bucket of Alibaba Cloud OSS.
//!
//! [`ObjectStore`] is the seam that the file system stands on; [`OssStore`] is OSS over HTTP, [`MemoryStore`] the reference
//! implementation. This crate knows no files, no ledger and no kernel.

mod api;
mod buffer;
pub mod contract;
mod credentials;
mod endpoint;
mod error;
mod http;
mod memory;
mod oss;
mod retry;
mod sign;
mod xml;

pub use api::*;
pub use buffer::{Buffer, BufferPool};
pub use credentials::{
    CredentialError, CredentialKeeper, CredentialOptions, CredentialSource, Credentials, PasswdFile,
    SYSTEM_PASSWD_PATH, find as find_credentials,
};
pub use endpoint::{Addressing, Endpoint, EndpointError};
pub use error::{Error, Kind, Result};
pub use http::{HttpOptions, Proxy, Timeouts};
pub use memory::MemoryStore;
pub use oss::{OssOptions, OssStore};
pub use retry::RetryOptions;
pub use sign::SignatureVersion;
