//! One way for every call: poll it once here, else spawn it; limit it, log it, map its error, reply.
//!
//! A round trip costs 4 to 7 µs, and waking a task for each would cost a third of the throughput. So a call's future is
//! polled once on the kernel's thread, inside the runtime's context: what is answered from memory is answered at once.
//! Only what has to wait is handed to the runtime, with its reply.

use fuser::{
    Errno, INodeNo, ReplyAttr, ReplyCreate, ReplyData, ReplyEmpty, ReplyEntry, ReplyLseek, ReplyOpen, ReplyWrite,
    ReplyXattr,
};
use ossfs_volume::{Error, Result};
use std::ffi::OsStr;
use std::panic::AssertUnwindSafe;
use std::pin::Pin;
use std::task::{Context, Poll, Waker};
use std::time::Duration;
use tokio::runtime::{EnterGuard, Handle};
use tracing::Level;

/// A call, as the log names it.
#[derive(Debug)]
pub(super) struct Call {
    name: &'static str,
    node: u64,
    /// Its arguments; empty where nobody would read them.
    detail: String,
}

impl Call {
    /// A call on a node.
    pub(super) fn of(name: &'static str, node: INodeNo) -> Self {
        Self { name, node: node.0, detail: String::new() }
    }

    /// A call on a name in a directory.
    pub(super) fn named(name: &'static str, parent: INodeNo, child: &OsStr) -> Self {
        Self::detailed(name, parent, || format!("{child:?}"))
    }

    /// A call with arguments, which are only written down if they are logged.
    pub(super) fn detailed(name: &'static str, node: INodeNo, detail: impl FnOnce() -> String) -> Self {
        let detail = if tracing::enabled!(Level::DEBUG) { detail() } else { String::new() };
        Self { name, node: node.0, detail }
    }

    /// Logs that this call is never possible.
    pub(super) fn refused(&self, why: &str) {
        tracing::debug!("{} {} {}: {why}", self.name, self.node, self.detail);
    }

    fn done<T>(&self, outcome: &Result<T>) {
        match outcome {
            Ok(_) => tracing::debug!("{} {} {}: ok", self.name, self.node, self.detail),
            Err(error) => tracing::debug!("{} {} {}: {error}", self.name, self.node, self.detail),
        }
    }
}

/// How long a call may take.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Limit {
    /// As long as every call: then it fails with EIO.
    Deadline,
    /// As long as it gets on: the volume measures that itself, because how long is right depends on how much there is.
    Progress,
}

/// A reply that can say no.
pub(super) trait Refuse: Send + 'static {
    /// Answers with an error.
    fn refuse(self, errno: Errno);
}

/// For calls whose work replies itself.
pub(super) struct Answered;

impl Refuse for Answered {
    fn refuse(self, _errno: Errno) {}
}

macro_rules! refuse {
    ($($reply:ty),*) => {
        $(impl Refuse for $reply {
            fn refuse(self, errno: Errno) {
                self.error(errno);
            }
        })*
    };
}

refuse!(ReplyAttr, ReplyCreate, ReplyData, ReplyEmpty, ReplyEntry, ReplyLseek, ReplyOpen, ReplyWrite, ReplyXattr);

/// What the kernel is told of an error.
pub(super) fn errno(error: Error) -> Errno {
    Errno::from_i32(error.errno())
}

/// Runs calls.
#[derive(Debug)]
pub(super) struct Calls {
    runtime: Handle,
    deadline: Duration,
}

impl Calls {
    pub(super) fn new(runtime: Handle, deadline: Duration) -> Self {
        Self { runtime, deadline }
    }

    /// The runtime's context, for verbs that answer at once but may spawn something.
    pub(super) fn context(&self) -> EnterGuard<'_> {
        self.runtime.enter()
    }

    /// Runs `work` and replies by `answer`, or with the error's number.
    ///
    /// A panic in `work` is answered with EIO (fuser replies when a reply is dropped) and does not end the thread.
    pub(super) fn run<R, T>(
        &self,
        call: Call,
        limit: Limit,
        reply: R,
        work: impl Future<Output = Result<T>> + Send + 'static,
        answer: impl FnOnce(R, T) + Send + 'static,
    ) where
        R: Refuse,
        T: Send + 'static,
    {
        let deadline = self.deadline;
        let name = call.name;
        let finish = async move {
            let outcome = match limit {
                Limit::Progress => work.await,
                Limit::Deadline => match tokio::time::timeout(deadline, work).await {
                    Ok(outcome) => outcome,
                    Err(_) => {
                        tracing::warn!("{} on node {} took more than {deadline:?}: EIO", call.name, call.node);
                        Err(Error::Failed)
                    }
                },
            };
            call.done(&outcome);
            match outcome {
                Ok(value) => answer(reply, value),
                Err(error) => reply.refuse(errno(error)),
            }
        };
        if self.poll_or_spawn(Box::pin(finish)).is_err() {
            tracing::error!("{name} panicked: EIO");
        }
    }

    fn poll_or_spawn(&self, mut work: Pin<Box<impl Future<Output = ()> + Send + 'static>>) -> std::thread::Result<()> {
        let _context = self.runtime.enter();
        let mut context = Context::from_waker(Waker::noop());
        let polled = std::panic::catch_unwind(AssertUnwindSafe(|| work.as_mut().poll(&mut context)))?;
        if polled == Poll::Pending {
            // Its first poll there tells it the waker that counts.
            self.runtime.spawn(work);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::mpsc::{SyncSender, sync_channel};
    use std::thread::ThreadId;

    struct Told(SyncSender<(Result<u32, i32>, ThreadId)>);

    impl Told {
        fn tell(self, outcome: Result<u32, i32>) {
            self.0.send((outcome, std::thread::current().id())).unwrap();
        }
    }

    impl Refuse for Told {
        fn refuse(self, errno: Errno) {
            self.tell(Err(errno.code()));
        }
    }

    fn outcome(
        limit: Limit,
        work: impl Future<Output = Result<u32>> + Send + 'static,
    ) -> Option<(Result<u32, i32>, ThreadId)> {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
        let calls = Calls::new(runtime.handle().clone(), Duration::from_millis(50));
        let (sender, receiver) = sync_channel(1);
        calls.run(Call::of("test", INodeNo(1)), limit, Told(sender), work, |told, value| told.tell(Ok(value)));
        receiver.recv_timeout(Duration::from_secs(10)).ok()
    }

    #[test]
    fn what_is_ready_is_answered_on_the_same_thread() {
        let here = std::thread::current().id();
        assert_eq!(outcome(Limit::Deadline, async { Ok(7) }), Some((Ok(7), here)));
        assert_eq!(outcome(Limit::Deadline, async { Err(Error::NotEmpty) }), Some((Err(39), here)));
    }

    #[test]
    fn what_is_pending_is_answered_by_the_runtime() {
        let (answer, thread) = outcome(Limit::Deadline, async {
            tokio::time::sleep(Duration::from_millis(5)).await;
            Ok(8)
        })
        .unwrap();
        assert_eq!(answer, Ok(8));
        assert_ne!(thread, std::thread::current().id());
    }

    #[test]
    fn what_takes_too_long_is_eio_unless_it_measures_itself() {
        assert_eq!(outcome(Limit::Deadline, std::future::pending()).unwrap().0, Err(5));
        let long = async {
            tokio::time::sleep(Duration::from_millis(120)).await;
            Ok(9)
        };
        assert_eq!(outcome(Limit::Progress, long).unwrap().0, Ok(9));
    }

    #[test]
    fn a_panic_drops_the_reply_and_nothing_else() {
        assert_eq!(outcome(Limit::Deadline, async { panic!("on purpose") }), None);
    }
}
