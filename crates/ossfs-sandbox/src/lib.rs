//! An OSS server.
