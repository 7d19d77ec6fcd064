//! Being told to end: SIGTERM and SIGINT, and in a terminal SIGHUP, which then means that the terminal is gone. Elsewhere
//! SIGHUP means that the log file was moved away. SIGUSR1 and SIGUSR2 mean nothing, and do not kill.

use crate::log;
use anyhow::{Context, Result};
use std::io::IsTerminal;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::mpsc;

/// One to end, one more to end at once; further ones say nothing new.
const PENDING_MAX: usize = 2;

/// Signals as they come.
#[derive(Debug)]
pub(super) struct Signals(mpsc::Receiver<()>);

impl Signals {
    /// From now on signals do not kill.
    pub(super) fn listen(foreground: bool) -> Result<Self> {
        let listen = |kind| signal(kind).context("cannot listen for signals");
        let (mut interrupted, mut terminated) = (listen(SignalKind::interrupt())?, listen(SignalKind::terminate())?);
        let mut hung_up = listen(SignalKind::hangup())?;
        let (mut first, mut second) = (listen(SignalKind::user_defined1())?, listen(SignalKind::user_defined2())?);
        let terminal = foreground && std::io::stderr().is_terminal();
        let (sender, receiver) = mpsc::channel(PENDING_MAX);
        tokio::spawn(async move {
            loop {
                tokio::select! {
                    _ = interrupted.recv() => {}
                    _ = terminated.recv() => {}
                    _ = hung_up.recv() => {
                        let reopened = !terminal && log::reopen();
                        if reopened || !foreground {
                            continue;
                        }
                    }
                    _ = first.recv() => continue,
                    _ = second.recv() => continue,
                }
                if sender.send(()).await.is_err() {
                    return;
                }
            }
        });
        Ok(Self(receiver))
    }

    /// Signals that a test sends.
    #[cfg(test)]
    pub(super) fn of(receiver: mpsc::Receiver<()>) -> Self {
        Self(receiver)
    }

    /// Waits to be told to end, for ever if nobody does.
    pub(super) async fn told(&mut self) {
        if self.0.recv().await.is_none() {
            std::future::pending().await
        }
    }
}
