//! Connections: direct, or through the proxy that the environment names; with TLS where the scheme says so.

use super::{HttpOptions, tls};
use http::{HeaderValue, Uri};
use hyper::rt::{Read, ReadBufCursor, Write};
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder, MaybeHttpsStream};
use hyper_util::client::legacy::connect::proxy::Tunnel;
use hyper_util::client::legacy::connect::{Connected, Connection, HttpConnector};
use hyper_util::client::proxy::matcher::{Intercept, Matcher};
use hyper_util::rt::TokioIo;
use std::fmt;
use std::future::Future;
use std::io::{IoSlice, Result as IoResult};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;
use tokio::net::TcpStream;
use tower_service::Service;

type BoxError = Box<dyn std::error::Error + Send + Sync>;
type BoxFuture<T> = Pin<Box<dyn Future<Output = Result<T, BoxError>> + Send>>;

/// How long a connection may idle before TCP asks whether the other end is still there.
const TCP_KEEPALIVE: Duration = Duration::from_secs(60);

/// Which proxy to go through.
#[derive(Clone, PartialEq, Eq)]
pub enum Proxy {
    /// `http_proxy`, `https_proxy`, `all_proxy`, but not for what `no_proxy` names.
    FromEnvironment,
    /// This one for everything: an `http://` address, with user and password if it wants them.
    Always(String),
    /// None.
    Direct,
}

impl fmt::Debug for Proxy {
    /// Without the address, which may hold a password.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::FromEnvironment => "FromEnvironment",
            Self::Always(_) => "Always",
            Self::Direct => "Direct",
        })
    }
}

impl Proxy {
    fn matcher(&self) -> Option<Arc<Matcher>> {
        match self {
            Self::FromEnvironment => Some(Arc::new(Matcher::from_env())),
            Self::Always(url) => Some(Arc::new(Matcher::builder().all(url.as_str()).build())),
            Self::Direct => None,
        }
    }
}

/// What a request travels on.
pub(super) type Stream = MaybeHttpsStream<ProxyStream>;

/// Connects within a time limit that covers name lookup, TCP, proxy and TLS.
#[derive(Clone)]
pub(super) struct Connector {
    plain: ProxyConnector,
    /// Absent for a client that is for http alone: reading the system's certificates takes its time.
    tls: Option<HttpsConnector<ProxyConnector>>,
    limit: Duration,
}

impl Connector {
    /// Fails if https is wanted and the system's certificates can't be read.
    pub(super) fn new(options: &HttpOptions, https: bool) -> Result<Self, String> {
        let (proxy, limit) = (&options.proxy, options.timeouts.connect);
        let mut tcp = HttpConnector::new();
        tcp.enforce_http(false);
        tcp.set_nodelay(true);
        tcp.set_keepalive(Some(TCP_KEEPALIVE));
        let plain = ProxyConnector { tcp, matcher: proxy.matcher() };
        if matches!(proxy, Proxy::Always(_)) && plain.intercept(&Uri::from_static("http://example.com/")).is_none() {
            return Err("the proxy's address is malformed; it looks like http://user:password@host:port".to_owned());
        }
        let tls = if https {
            let config = tls::client_config(options.verify_certificates)?;
            let builder = HttpsConnectorBuilder::new().with_tls_config(config);
            Some(builder.https_only().enable_http1().wrap_connector(plain.clone()))
        } else {
            None
        };
        Ok(Self { plain, tls, limit })
    }

    /// What to tell the proxy in each request that it passes on; tunnels are told when they are made.
    pub(super) fn proxy_authorization(&self, uri: &Uri) -> Option<HeaderValue> {
        let plain = uri.scheme_str() == Some("http");
        let intercept = self.plain.intercept(uri).filter(|_| plain)?;
        intercept.basic_auth().cloned()
    }
}

impl Service<Uri> for Connector {
    type Response = Stream;
    type Error = BoxError;
    type Future = BoxFuture<Stream>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, uri: Uri) -> Self::Future {
        let connecting: BoxFuture<Stream> = if uri.scheme_str() == Some("http") {
            let connecting = self.plain.call(uri);
            Box::pin(async move { Ok(MaybeHttpsStream::Http(connecting.await?)) })
        } else if let Some(tls) = &mut self.tls {
            tls.call(uri)
        } else {
            Box::pin(async { Err("this client speaks no https".into()) })
        };
        let limit = self.limit;
        Box::pin(async move {
            match tokio::time::timeout(limit, connecting).await {
                Ok(connected) => connected,
                Err(_) => Err(format!("no connection within {limit:?}").into()),
            }
        })
    }
}

/// Connects to the server, or to the proxy that stands for it.
#[derive(Clone)]
struct ProxyConnector {
    tcp: HttpConnector,
    matcher: Option<Arc<Matcher>>,
}

impl ProxyConnector {
    fn intercept(&self, uri: &Uri) -> Option<Intercept> {
        self.matcher.as_ref().and_then(|matcher| matcher.intercept(uri))
    }
}

impl Service<Uri> for ProxyConnector {
    type Response = ProxyStream;
    type Error = BoxError;
    type Future = BoxFuture<ProxyStream>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, uri: Uri) -> Self::Future {
        let mut tcp = self.tcp.clone();
        let Some(proxy) = self.intercept(&uri) else {
            return Box::pin(async move { Ok(ProxyStream { io: tcp.call(uri).await?, by_proxy: false }) });
        };
        if proxy.uri().scheme_str() != Some("http") {
            let message = format!("only http:// proxies can be used, not {}", proxy.uri());
            return Box::pin(async move { Err(message.into()) });
        }
        Box::pin(async move {
            if uri.scheme_str() == Some("http") {
                return Ok(ProxyStream { io: tcp.call(proxy.uri().clone()).await?, by_proxy: true });
            }
            let mut tunnel = Tunnel::new(proxy.uri().clone(), tcp);
            if let Some(authorization) = proxy.basic_auth() {
                tunnel = tunnel.with_auth(authorization.clone());
            }
            Ok(ProxyStream { io: tunnel.call(uri).await?, by_proxy: false })
        })
    }
}

/// A TCP connection that knows whether a proxy reads the requests on it: they then name the whole URL.
pub(super) struct ProxyStream {
    io: TokioIo<TcpStream>,
    by_proxy: bool,
}

impl Connection for ProxyStream {
    fn connected(&self) -> Connected {
        self.io.connected().proxy(self.by_proxy)
    }
}

impl Read for ProxyStream {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: ReadBufCursor<'_>) -> Poll<IoResult<()>> {
        Pin::new(&mut self.io).poll_read(cx, buf)
    }
}

impl Write for ProxyStream {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<IoResult<usize>> {
        Pin::new(&mut self.io).poll_write(cx, buf)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<IoResult<()>> {
        Pin::new(&mut self.io).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<IoResult<()>> {
        Pin::new(&mut self.io).poll_shutdown(cx)
    }

    fn is_write_vectored(&self) -> bool {
        self.io.is_write_vectored()
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[IoSlice<'_>],
    ) -> Poll<IoResult<usize>> {
        Pin::new(&mut self.io).poll_write_vectored(cx, bufs)
    }
}
