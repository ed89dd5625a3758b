use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::thread;
use std::time::{Duration, Instant};

use super::Relay;

const DELAY: Duration = Duration::from_millis(50);

/// Echoes every connection to its end.
fn echo() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            thread::spawn(move || std::io::copy(&mut &stream, &mut &stream));
        }
    });
    address
}

fn ping(stream: &mut TcpStream) -> Duration {
    let began = Instant::now();
    stream.write_all(b"ping").unwrap();
    stream.read_exact(&mut [0; 4]).unwrap();
    began.elapsed()
}

#[test]
fn the_first_answer_costs_two_round_trips_and_later_ones_cost_one() {
    let relay = Relay::start(echo(), DELAY, "127.0.0.1:0").unwrap();
    let mut stream = TcpStream::connect(relay.address()).unwrap();
    let (first, second) = (ping(&mut stream), ping(&mut stream));
    assert!(first >= 4 * DELAY && first < 6 * DELAY, "{first:?}");
    assert!(second >= 2 * DELAY && second < 4 * DELAY, "{second:?}");
}

#[test]
fn distance_does_not_cost_throughput_and_bytes_stay_in_order() {
    const N_BYTES: usize = 24 * 1024 * 1024;
    let relay = Relay::start(echo(), DELAY, "127.0.0.1:0").unwrap();
    let mut stream = TcpStream::connect(relay.address()).unwrap();
    let sent: Vec<u8> = (0..N_BYTES).map(|index| (index / 1000) as u8).collect();
    let (copy, mut writer) = (sent.clone(), stream.try_clone().unwrap());
    let began = Instant::now();
    let upload = thread::spawn(move || {
        writer.write_all(&copy).unwrap();
        writer.shutdown(Shutdown::Write).unwrap();
    });
    let mut received = Vec::new();
    stream.read_to_end(&mut received).unwrap();
    upload.join().unwrap();
    assert!(received == sent);
    // One piece a round trip would take 38 s; a line as wide as a window well below two.
    assert!(began.elapsed() < Duration::from_secs(5), "{:?}", began.elapsed());
    assert_eq!(relay.stats().bytes_sent, N_BYTES as u64);
    assert_eq!(relay.stats().requests, 1);
}

#[test]
fn a_reader_that_stops_reading_stops_the_sender() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let relay = Relay::start(listener.local_addr().unwrap(), Duration::from_millis(1), "127.0.0.1:0").unwrap();
    let mut stream = TcpStream::connect(relay.address()).unwrap();
    let (_unread, _) = listener.accept().unwrap();
    stream.set_write_timeout(Some(Duration::from_millis(300))).unwrap();
    let piece = vec![0; 1024 * 1024];
    let n_sent = (0..1024).take_while(|_| stream.write_all(&piece).is_ok()).count();
    assert!((30..200).contains(&n_sent), "{n_sent} MiB went into the line");
}

#[test]
fn a_target_that_is_not_there_closes_the_connection_a_round_trip_later() {
    let nobody = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let relay = Relay::start(nobody, DELAY, "127.0.0.1:0").unwrap();
    let began = Instant::now();
    let mut stream = TcpStream::connect(relay.address()).unwrap();
    assert_eq!(stream.read(&mut [0; 1]).unwrap_or(0), 0);
    assert!(began.elapsed() >= 2 * DELAY);
}
