//! Measures GETs of one URL, which must need no signature: `load http://127.0.0.1:9900/demo/key CONNECTIONS SECONDS`.
//!
//! One blocking thread a connection that reads into one buffer and throws away: as little work as a client can do, so
//! that what is measured is the server.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// Large enough that system calls do not matter, small enough for the processor's cache.
const BUFFER_BYTES: usize = 256 << 10;

fn main() {
    let arguments: Vec<String> = std::env::args().collect();
    let [_, url, connections, seconds] = arguments.as_slice() else {
        eprintln!("usage: load http://HOST:PORT/BUCKET/KEY CONNECTIONS SECONDS");
        std::process::exit(2);
    };
    let rest = url.strip_prefix("http://").expect("an http URL");
    let (host, path) = rest.split_once('/').expect("a URL with a path");
    let request = format!("GET /{path} HTTP/1.1\r\nhost: {host}\r\n\r\n");
    let connections: usize = connections.parse().expect("a number of connections");
    let time = Duration::from_secs(seconds.parse().expect("a number of seconds"));
    let (stop, requests, bytes) = (AtomicBool::new(false), AtomicU64::new(0), AtomicU64::new(0));
    let started = Instant::now();
    std::thread::scope(|scope| {
        for _ in 0..connections {
            scope.spawn(|| {
                let mut stream = TcpStream::connect(host).expect("a connection");
                stream.set_nodelay(true).expect("a socket option");
                let mut buffer = vec![0; BUFFER_BYTES];
                while !stop.load(Ordering::Relaxed) {
                    bytes.fetch_add(get(&mut stream, request.as_bytes(), &mut buffer), Ordering::Relaxed);
                    requests.fetch_add(1, Ordering::Relaxed);
                }
            });
        }
        std::thread::sleep(time);
        stop.store(true, Ordering::Relaxed);
    });
    let took = started.elapsed().as_secs_f64();
    let (requests, bytes) = (requests.into_inner() as f64, bytes.into_inner() as f64);
    println!("{:.0} requests/s, {:.2} GB/s over {connections} connections", requests / took, bytes / took / 1e9);
}

/// Asks once and reads the answer; gives the length of its body.
fn get(stream: &mut TcpStream, request: &[u8], buffer: &mut [u8]) -> u64 {
    stream.write_all(request).expect("a request that is sent");
    let mut filled = 0;
    let end = loop {
        filled += stream.read(&mut buffer[filled..]).expect("an answer");
        if let Some(at) = buffer[..filled].windows(4).position(|window| window == b"\r\n\r\n") {
            break at + 4;
        }
    };
    let head = String::from_utf8_lossy(&buffer[..end]).to_ascii_lowercase();
    assert!(head.starts_with("http/1.1 200"), "{head}");
    let length = head.lines().find_map(|line| line.strip_prefix("content-length: ")).expect("a content-length");
    let length: u64 = length.parse().expect("a number of bytes");
    let mut left = length - (filled - end) as u64;
    while left > 0 {
        let want = buffer.len().min(usize::try_from(left).unwrap_or(usize::MAX));
        let read = stream.read(&mut buffer[..want]).expect("a body");
        assert!(read > 0, "the body ended early");
        left -= read as u64;
    }
    length
}
