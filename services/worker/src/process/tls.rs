//! The one TLS implementation of the process, for every client in it.

pub(crate) fn install() {
    // A second call finds it there.
    let _ = rustls::crypto::ring::default_provider().install_default();
}
