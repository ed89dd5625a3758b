#!/usr/bin/env python3
"""A worker of the tests, without NumPy or bodega: does what the path that it is started with says."""

from __future__ import annotations

import json
import os
import signal
import socket
import struct
import sys
import time

connection, memory = socket.socket(fileno=os.dup(0)), os.dup(1)


def receive():
    length = connection.recv(4, socket.MSG_WAITALL)
    if len(length) < 4:
        sys.exit()
    body = connection.recv(struct.unpack("<I", length)[0], socket.MSG_WAITALL)
    return body[0], struct.unpack("<Q", body[1:9])[0], body[9:]


def send(kind, number, payload):
    connection.sendall(struct.pack("<IBQ", len(payload) + 9, ord(kind), number) + payload)


how = json.loads(receive()[2])["path"]
if how == "ends":
    sys.exit(3)
if how == "crashes":
    print("oh no", file=sys.stderr, flush=True)
    os.kill(os.getpid(), signal.SIGSEGV)
if how == "prattles":
    connection.sendall(b"\xff" * 100)
    time.sleep(3600)
if how == "refuses":
    send("E", 0, b"it is no model")
    time.sleep(3600)
if how == "says nothing":
    send("H", 0, b"{}")
    time.sleep(3600)
port = {"element": "int64", "has_axis": True}
inputs, outputs = [{"name": "x", "row": [], **port}], [{"name": "y", "row": [2], **port}]
send("H", 0, json.dumps({"inputs": inputs, "outputs": outputs, "is_batched": True}).encode())

HALF = 256 << 20
while True:
    kind, number, payload = receive()
    if kind == ord("Q") and how != "stays":
        break
    if kind == ord("Q"):
        continue
    n_rows, _, _, _, at, n_bytes = struct.unpack("<IHBBQQ", payload)
    rows = struct.unpack(f"<{n_rows}q", os.pread(memory, n_bytes, at))
    os.pwrite(memory, b"".join(struct.pack("<qq", row, -row) for row in rows), HALF)
    said = {"rows": n_rows, "columns": 1, "element": 5, "axes": [2], "offset": HALF, "n_bytes": 16 * n_rows}
    if how in ("dies", "dies of 13") and (how == "dies" or 13 in rows):
        os.kill(os.getpid(), signal.SIGKILL)
    if how == "fails for 13" and 13 in rows:
        send("E", number, b"not 13")
        continue
    if how == "hangs":
        time.sleep(3600)
    if how == "answers half":
        connection.sendall(b"\x40\0\0\0A")
        sys.exit()
    if how == "answers garbage":
        connection.sendall(b"HTTP/1.1 200 OK\r\n\r\n")
        time.sleep(3600)
    said.update(
        {
            "other rows": {"rows": n_rows + 1},
            "another element": {"element": 1},
            "another shape": {"axes": [4], "n_bytes": 32 * n_rows},
            "more axes": {"axes": [2, 1]},
            "vast axes": {"axes": [2**32 - 1] * 200},
            "fewer bytes": {"n_bytes": 16 * n_rows - 1},
            "more bytes": {"n_bytes": 16 * n_rows + 8},
            "vast bytes": {"n_bytes": 2**64 - 1},
            "beyond the end": {"offset": 2 * HALF - 8},
            "beyond numbers": {"offset": 2**64 - 8},
            "among inputs": {"offset": 0},
            "no outputs": {"columns": 0},
            "an element that there is not": {"element": 99},
        }.get(how, {})
    )
    answer = struct.pack("<IH", said["rows"], said["columns"])
    if said["columns"]:
        answer += struct.pack(f"<BB{len(said['axes'])}I", said["element"], len(said["axes"]), *said["axes"])
        answer += struct.pack("<QQ", said["offset"], said["n_bytes"])
    send("A", number + (how == "another run"), answer)
    if how == "answers twice":
        send("A", number, answer)
