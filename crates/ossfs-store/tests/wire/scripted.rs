//! A server that answers what a test tells it to, and remembers what it was asked.

use ossfs_store::{
    BufferPool, CredentialKeeper, Credentials, Endpoint, HttpOptions, OssOptions, OssStore, Proxy, RetryOptions,
    Timeouts,
};
use ossfs_types::{BucketName, Key, SystemClock};
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::time::Duration;

/// A request as the server saw it.
#[derive(Debug, Clone)]
pub(crate) struct Asked {
    /// Method, target and version.
    pub(crate) line: String,
    /// Headers, names in lowercase.
    pub(crate) headers: Vec<(String, String)>,
}

impl Asked {
    pub(crate) fn method(&self) -> &str {
        self.line.split(' ').next().unwrap()
    }

    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(header, _)| header == name).map(|(_, value)| value.as_str())
    }
}

/// What the server does with a request.
pub(crate) enum Reply {
    /// Sends these bytes and keeps the connection.
    Send(Vec<u8>),
    /// Sends these bytes and closes.
    SendAndClose(Vec<u8>),
    /// Says nothing until the client goes.
    Silence,
    /// Sends this again and again until the client goes.
    Forever(Vec<u8>, Duration),
}

type Script = dyn Fn(usize, &Asked) -> Reply + Send + Sync;

pub(crate) struct Server {
    address: SocketAddr,
    asked: Arc<Mutex<Vec<Asked>>>,
}

impl Server {
    /// `script` is given the number of the request, from 0, and the request.
    pub(crate) fn start(script: impl Fn(usize, &Asked) -> Reply + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let asked = Arc::new(Mutex::new(Vec::new()));
        let script: Arc<Script> = Arc::new(script);
        let remembered = asked.clone();
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let (script, remembered) = (script.clone(), remembered.clone());
                std::thread::spawn(move || drop(serve(&stream, &*script, &remembered)));
            }
        });
        Self { address, asked }
    }

    pub(crate) fn asked(&self) -> Vec<Asked> {
        self.asked.lock().unwrap().clone()
    }

    /// The methods that were asked, in order.
    pub(crate) fn methods(&self) -> Vec<String> {
        self.asked().iter().map(|asked| asked.method().to_owned()).collect()
    }

    pub(crate) fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// A store that talks to this server, impatiently.
    pub(crate) async fn store(&self) -> OssStore {
        self.store_with(|_| {}).await
    }

    pub(crate) async fn store_with(&self, adjust: impl FnOnce(&mut OssOptions)) -> OssStore {
        let credentials = Box::new(Credentials::new("id", "the-secret", None).unwrap());
        let keeper = CredentialKeeper::start(credentials, Arc::new(SystemClock)).await.unwrap();
        let mut options = self.options();
        adjust(&mut options);
        OssStore::new(options, Some(keeper), Arc::new(SystemClock)).unwrap()
    }

    pub(crate) fn options(&self) -> OssOptions {
        let endpoint = Endpoint::parse(&self.url()).unwrap();
        let brief = Duration::from_millis(300);
        let mut options = OssOptions::new(endpoint, BucketName::parse("my-bucket").unwrap()).in_region("cn-hangzhou");
        options.http = HttpOptions {
            connections_max: 4,
            timeouts: Timeouts { connect: brief, first_byte: brief, silence: brief },
            proxy: Proxy::Direct,
            ..HttpOptions::default()
        };
        options.retry = RetryOptions {
            attempts_max: 3,
            delay_first: Duration::from_millis(1),
            delay_max: Duration::from_millis(2),
            patience: Duration::ZERO,
        };
        options
    }
}

fn serve(stream: &TcpStream, script: &Script, remembered: &Mutex<Vec<Asked>>) -> std::io::Result<()> {
    let mut reader = BufReader::new(stream);
    let mut writer = stream;
    loop {
        let mut line = String::new();
        if reader.read_line(&mut line)? == 0 {
            return Ok(());
        }
        let mut headers = Vec::new();
        loop {
            let mut header = String::new();
            reader.read_line(&mut header)?;
            match header.trim_end().split_once(':') {
                Some((name, value)) => headers.push((name.to_ascii_lowercase(), value.trim().to_owned())),
                None => break,
            }
        }
        let asked = Asked { line: line.trim_end().to_owned(), headers };
        let len: usize = asked.header("content-length").map_or(0, |value| value.parse().unwrap());
        reader.read_exact(&mut vec![0; len])?;
        let number = {
            let mut all = remembered.lock().unwrap();
            all.push(asked.clone());
            all.len() - 1
        };
        match script(number, &asked) {
            Reply::Send(bytes) => writer.write_all(&bytes)?,
            Reply::SendAndClose(bytes) => {
                writer.write_all(&bytes)?;
                return stream.shutdown(std::net::Shutdown::Both);
            }
            Reply::Silence => {
                let mut rest = Vec::new();
                reader.read_to_end(&mut rest)?;
                return Ok(());
            }
            Reply::Forever(bytes, pause) => loop {
                writer.write_all(&bytes)?;
                std::thread::sleep(pause);
            },
        }
    }
}

/// An answer of OSS: with a request id, a date, and the length of the body unless a header says otherwise.
pub(crate) fn answer(status: u16, headers: &[(&str, &str)], body: impl AsRef<[u8]>) -> Vec<u8> {
    let mut head = format!(
        "HTTP/1.1 {status} X\r\nServer: AliyunOSS\r\nDate: Mon, 01 Jan 2035 00:00:00 GMT\r\nx-oss-request-id: REQUEST\r\n"
    );
    for (name, value) in headers {
        head.push_str(&format!("{name}: {value}\r\n"));
    }
    if !headers.iter().any(|(name, _)| ["content-length", "transfer-encoding"].contains(name)) {
        head.push_str(&format!("content-length: {}\r\n", body.as_ref().len()));
    }
    head.push_str("\r\n");
    [head.as_bytes(), body.as_ref()].concat()
}

/// The headers of an object.
pub(crate) const OBJECT: [(&str, &str); 3] =
    [("etag", "\"E1\""), ("last-modified", "Fri, 24 Feb 2012 06:07:48 GMT"), ("x-oss-object-type", "Normal")];

/// An answer with the headers of an object.
pub(crate) fn object(status: u16, more: &[(&str, &str)], body: impl AsRef<[u8]>) -> Vec<u8> {
    let headers: Vec<(&str, &str)> = more.iter().chain(&OBJECT).copied().collect();
    answer(status, &headers, body)
}

/// An error of OSS.
pub(crate) fn error(status: u16, code: &str) -> Vec<u8> {
    answer(status, &[], format!("<Error><Code>{code}</Code><Message>because</Message></Error>"))
}

pub(crate) fn key(text: &str) -> Key {
    Key::parse(text).unwrap()
}

pub(crate) fn pool() -> Arc<BufferPool> {
    BufferPool::new(1 << 20)
}
