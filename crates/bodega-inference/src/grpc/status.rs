//! What became of a call, where that is no answer: the number and the text are those of `bodega_edge::grpc`.

use bodega_edge::grpc;
use bodega_edge::predict::Refused;

use crate::problem::Problem;

/// A request that cannot be answered.
pub(super) fn refused(problem: &Problem) -> Refused {
    Refused { status: problem.status, told: grpc::alone(problem.status, &problem.told()) }
}
