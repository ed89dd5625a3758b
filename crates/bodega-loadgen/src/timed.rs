//! The same loop with a clock: how long each answer took, closed or at a rate.
//!
//! At a rate requests are due whatever the answers do, and the time of each counts from when it was due: what has to
//! wait for a connection, since the server is late with others, counts that as well.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use mio::{Events, Interest, Poll, Token};

use crate::arguments::{Arguments, Until};
use crate::client::Client;
use crate::drive::{Count, PATIENCE, connect, expected, wait};
use crate::keys::{Keys, xorshift};
use crate::tls::Tls;

const SEED: u64 = 0xD1B5_4A32_D192_ED03;
/// So many quantiles are told, from the fastest to the slowest.
const N_QUANTILES: usize = 1_000;

/// How long each answer took.
pub(crate) struct Latencies {
    /// In nanoseconds, the fastest first.
    sorted: Vec<u64>,
}

impl Latencies {
    /// The quantiles in microseconds, as JSON: `[fastest, ..., slowest]`, 1,001 of them.
    pub(crate) fn json(&self) -> String {
        let quantiles: Vec<String> = (0..=N_QUANTILES)
            .map(|part| format!("{:.1}", *self.quantile(part as f64 / N_QUANTILES as f64) as f64 / 1e3))
            .collect();
        format!("[{}]", quantiles.join(", "))
    }

    fn quantile(&self, part: f64) -> &u64 {
        let last = self.sorted.len().saturating_sub(1);
        self.sorted.get((last as f64 * part).round() as usize).unwrap_or(&0)
    }
}

/// Makes the load; fails at the first answer that is wrong, or when the server cannot carry the rate.
pub(crate) fn drive(arguments: &Arguments, tls: Option<&Tls>) -> Result<(Count, Latencies), String> {
    let mut poll = Poll::new().map_err(|error| error.to_string())?;
    let mut clients = connect(arguments, tls)?;
    for (index, client) in clients.iter_mut().enumerate() {
        if client.capacity() != 1 {
            return Err("--latencies and --rate are for one request at a time on each connection".to_owned());
        }
        poll.registry()
            .register(client.socket(), Token(index), Interest::READABLE)
            .map_err(|error| error.to_string())?;
    }
    let mut events = Events::with_capacity(clients.len());
    let expected = expected(arguments)?;
    let mut run = Run::new(arguments, clients.len());
    loop {
        run.ask(&mut clients)?;
        if run.is_done() {
            break;
        }
        if arguments.rate.is_none() {
            wait(&mut poll, &mut events, arguments.awake)?;
        } else {
            // What is due next is due in microseconds: nothing sleeps so shortly.
            match poll.poll(&mut events, Some(Duration::ZERO)) {
                Err(error) if error.kind() != std::io::ErrorKind::Interrupted => return Err(error.to_string()),
                _ => {}
            }
        }
        for event in &events {
            let index = event.token().0;
            if clients[index].take(&expected)? > 0 {
                run.answered(index);
            }
        }
    }
    let elapsed = run.began.elapsed();
    run.took.sort_unstable();
    Ok((Count { requests: run.asked, elapsed }, Latencies { sorted: run.took }))
}

struct Run {
    keys: Keys,
    until: Until,
    began: Instant,
    asked: u64,
    /// Connections on which nothing is under way, the one that has been so for longest first.
    idle: VecDeque<usize>,
    /// Since when each connection's request counts.
    since: Vec<Instant>,
    /// When each request that could not be sent yet was due.
    late: VecDeque<Instant>,
    schedule: Option<Schedule>,
    took: Vec<u64>,
}

impl Run {
    fn new(arguments: &Arguments, n_clients: usize) -> Self {
        let began = Instant::now();
        Self {
            keys: arguments.keys.clone(),
            until: arguments.until,
            began,
            asked: 0,
            idle: (0..n_clients).collect(),
            since: vec![began; n_clients],
            late: VecDeque::new(),
            schedule: arguments.rate.map(|rate| Schedule { mean: 1.0 / rate, next: began, state: SEED }),
            took: Vec::with_capacity(1 << 20),
        }
    }

    /// Asks on every idle connection, as far as something is to be asked.
    fn ask(&mut self, clients: &mut [Box<dyn Client>]) -> Result<(), String> {
        let now = Instant::now();
        while !self.is_over(now)
            && let Some(schedule) = &mut self.schedule
            && schedule.next <= now
        {
            self.late.push_back(schedule.next);
            schedule.advance();
        }
        if let Some(since) = self.late.front()
            && now.duration_since(*since) > PATIENCE
        {
            return Err(format!("the server cannot carry the rate: {} requests are late", self.late.len()));
        }
        while let Some(&index) = self.idle.front() {
            let since = match self.schedule {
                Some(_) => self.late.pop_front(),
                None => (!self.is_over(now)).then(Instant::now),
            };
            let Some(since) = since else { break };
            self.idle.pop_front();
            self.since[index] = since;
            self.asked += 1;
            clients[index].ask(self.keys.next())?;
            clients[index].send()?;
        }
        Ok(())
    }

    fn answered(&mut self, index: usize) {
        self.took.push(self.since[index].elapsed().as_nanos() as u64);
        self.idle.push_back(index);
    }

    fn is_over(&self, now: Instant) -> bool {
        match self.until {
            Until::Elapsed(time) => now.duration_since(self.began) >= time,
            Until::Asked(count) => self.asked + self.late.len() as u64 >= count,
        }
    }

    fn is_done(&self) -> bool {
        self.is_over(Instant::now()) && self.late.is_empty() && self.idle.len() == self.since.len()
    }
}

/// When requests are due: at random, as those of many clients that do not know of each other (a Poisson process), and
/// the same for every server.
struct Schedule {
    /// Seconds between two, on average.
    mean: f64,
    next: Instant,
    state: u64,
}

impl Schedule {
    fn advance(&mut self) {
        // In (0, 1], so that its logarithm is finite.
        let chance = ((xorshift(&mut self.state) >> 11) + 1) as f64 / (1_u64 << 53) as f64;
        self.next += Duration::from_secs_f64(-chance.ln() * self.mean);
    }
}

#[cfg(test)]
mod tests {
    use std::io::{Read, Write};
    use std::net::TcpListener;

    use super::*;

    /// Answers so many requests on so many connections, and returns the port.
    fn server(n_connections: usize) -> u16 {
        let listener = TcpListener::bind(("127.0.0.1", 0)).unwrap();
        let port = listener.local_addr().unwrap().port();
        std::thread::spawn(move || {
            for _ in 0..n_connections {
                let (mut stream, _) = listener.accept().unwrap();
                std::thread::spawn(move || {
                    let mut asked = [0; 4096];
                    while stream.read(&mut asked).is_ok_and(|got| got > 0) {
                        stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok").unwrap();
                    }
                });
            }
        });
        port
    }

    #[test]
    fn at_a_rate_and_without_one_all_is_asked_and_answered() {
        for rate in ["", "--rate 20000", "--rate 500000"] {
            let port = server(3);
            let line = format!("--port {port} --folder f --body-bytes 2 --connections 3 --keys from:0 --requests 300");
            let words = format!("{line} --latencies {rate}");
            let arguments = Arguments::read(words.split_whitespace().map(str::to_owned)).unwrap();
            let (count, latencies) = drive(&arguments, None).unwrap();
            assert_eq!((count.requests, latencies.sorted.len()), (300, 300), "{rate}");
        }
    }

    #[test]
    fn what_is_due_comes_at_the_rate_and_at_random() {
        let began = Instant::now();
        let mut schedule = Schedule { mean: 0.001, next: began, state: SEED };
        let mut gaps = Vec::new();
        for _ in 0..100_000 {
            let before = schedule.next;
            schedule.advance();
            gaps.push((schedule.next - before).as_secs_f64());
        }
        let mean = gaps.iter().sum::<f64>() / gaps.len() as f64;
        assert!((0.00098..0.00102).contains(&mean), "{mean}");
        // Of an exponential distribution 1 - 1/e are below the mean.
        let below = gaps.iter().filter(|&&gap| gap < 0.001).count();
        assert!((62_500..63_900).contains(&below), "{below}");
    }

    #[test]
    fn quantiles_go_from_the_fastest_to_the_slowest() {
        let told = Latencies { sorted: (0..=2_000).map(|at| at * 1_000).collect() }.json();
        assert!(told.starts_with("[0.0, 2.0, 4.0, ") && told.ends_with(", 1998.0, 2000.0]"), "{told}");
        assert_eq!(Latencies { sorted: vec![] }.json().matches("0.0").count(), N_QUANTILES + 1);
    }
}
