//! Makes the load of `benchmarks/`: a closed loop over kept connections, on one thread, each connection asking again
//! as soon as it was answered.
//!
//! Every answer is checked: status, length, and for objects that begin with their own path, the path. In plain, bodies
//! that do not come with their head are dropped within the kernel, so that the one who asks costs less than the one
//! measured. By TLS they are decrypted in place, and the first of each connection is compared.
//! It speaks HTTP/1.1 in plain, and HTTP/1.1 and HTTP/2 by TLS; `handshakes` makes a connection for each request.
//! `--post` makes bodies from a template instead, and `timed` tells how long each answer took, in a closed loop or at a
//! rate.
//! It prints one line of JSON when all that was asked has been answered.
//! Start at `arguments`, then `drive`.

#![forbid(unsafe_code)]

mod answer;
mod arguments;
mod client;
mod drive;
mod handshakes;
mod http1;
mod http1_tls;
mod http2;
mod keys;
mod post;
mod records;
mod timed;
mod tls;

use std::process::ExitCode;

use crate::arguments::Arguments;
use crate::drive::Count;
use crate::timed::Latencies;
use crate::tls::Tls;

#[expect(clippy::print_stdout, clippy::print_stderr, reason = "a program for the command line")]
fn main() -> ExitCode {
    let arguments = match Arguments::read(std::env::args().skip(1)) {
        Ok(arguments) => arguments,
        Err(what) => {
            eprintln!("{what}\n{}", arguments::USAGE);
            return ExitCode::from(2);
        }
    };
    match run(&arguments) {
        Ok((count, latencies)) => {
            println!(
                r#"{{"requests": {}, "body_bytes": {}, "seconds": {:.6}{}}}"#,
                count.requests,
                count.requests * arguments.body_bytes as u64,
                count.elapsed.as_secs_f64(),
                latencies.map_or_else(String::new, |told| format!(r#", "latency_quantiles_us": {}"#, told.json()))
            );
            ExitCode::SUCCESS
        }
        Err(what) => {
            eprintln!("{what}");
            ExitCode::FAILURE
        }
    }
}

#[expect(clippy::print_stdout, reason = "a program for the command line")]
fn run(arguments: &Arguments) -> Result<(Count, Option<Latencies>), String> {
    let tls = arguments.tls.as_deref().map(Tls::read).transpose()?;
    if arguments.latencies || arguments.rate.is_some() {
        return timed::drive(arguments, tls.as_ref()).map(|(count, latencies)| (count, Some(latencies)));
    }
    let count = match (arguments.handshakes, &tls) {
        (Some(handshakes), Some(tls)) => handshakes::drive(arguments, tls, handshakes),
        (Some(_), None) => Err("--handshakes needs --tls".to_owned()),
        (None, _) if arguments.hold => drive::hold(arguments, tls.as_ref(), || println!("held")),
        (None, _) => drive::drive(arguments, tls.as_ref()),
    };
    Ok((count?, None))
}
