"""Tensors in shared memory as arrays."""

from __future__ import annotations

import mmap

import numpy as np

from bodega.serving.arrays import SharedArrays
from bodega.serving.frames import Column, write_columns
from bodega.serving.specs import TensorSpec


def test_what_a_runner_does_to_its_arrays_is_not_done_to_those_of_the_next_run() -> None:
    """A runner that set `x.shape` changed what later runs of as many rows got."""
    with mmap.mmap(-1, 4096) as memory:
        arrays = SharedArrays(memory, {"x": TensorSpec.parse("float32[4]")}, {"y": TensorSpec.parse("float32[]")})
        payload = write_columns(2, [Column("float32", (4,), 64, 32)])
        for run in range(3):
            memory[64:96] = np.arange(run, run + 8, dtype=np.float32).tobytes()
            n_rows, batch = arrays.batch(payload)
            x = batch["x"]
            assert (n_rows, x.shape, x.tolist()[1][3]) == (2, (2, 4), 7.0 + run)
            assert (x.flags.owndata, x.flags.writeable) == (False, False)
            x.shape = (8,)
            batch.clear()
            del x, batch
        # Nothing may point into the memory when it is closed.
        del arrays
