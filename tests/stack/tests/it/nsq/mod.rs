//! NSQ: one suite of tests for ours and for the real nsqd and nsqlookupd, where these are on PATH; then what only ours
//! has, such as a limit of memory.

mod http;
mod lookupd;
mod misuse;
mod protocol;
mod restart;
mod server;
mod wire;

/// Each test runs twice: against ours and against the real one.
macro_rules! on_both {
    ($($test:ident)*) => {
        mod ours {
            $(#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $test() {
                super::$test($crate::nsq::server::Kind::Ours).await;
            })*
        }
        mod real {
            $(#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $test() {
                if $crate::nsq::server::is_there(concat!(module_path!(), "::", stringify!($test))) {
                    super::$test($crate::nsq::server::Kind::Real).await;
                }
            })*
        }
    };
}
use on_both;
