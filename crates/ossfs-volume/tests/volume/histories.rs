//! Random histories against a reference model: the mount equals it at every step, the bucket once settled.
