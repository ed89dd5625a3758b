//! Makes the load of `benchmarks/`: a closed loop over kept connections, on one thread, each connection asking again
//! as soon as it was answered.
//!
//! Every answer is checked: status, length, and for objects that begin with their own path, the path. Bodies that do
//! not come with their head are dropped within the kernel, so that the one who asks costs less than the one measured.
//! It prints one line of JSON when all that was asked has been answered.
//! Start at `arguments`, then `drive`.

#![forbid(unsafe_code)]

mod answer;
mod arguments;
mod client;
mod drive;
mod keys;

use std::process::ExitCode;

use crate::arguments::Arguments;

#[expect(clippy::print_stdout, clippy::print_stderr, reason = "a program for the command line")]
fn main() -> ExitCode {
    let arguments = match Arguments::read(std::env::args().skip(1)) {
        Ok(arguments) => arguments,
        Err(what) => {
            eprintln!("{what}\n{}", arguments::USAGE);
            return ExitCode::from(2);
        }
    };
    match drive::drive(&arguments) {
        Ok(count) => {
            println!(
                r#"{{"requests": {}, "body_bytes": {}, "seconds": {:.6}}}"#,
                count.requests,
                count.requests * arguments.body_bytes as u64,
                count.elapsed.as_secs_f64()
            );
            ExitCode::SUCCESS
        }
        Err(what) => {
            eprintln!("{what}");
            ExitCode::FAILURE
        }
    }
}
