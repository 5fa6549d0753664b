# SPDX-License-Identifier: Apache-2.0
"""A conversion that is killed at any moment goes on: the same bytes in the
end, nothing done twice that its journal speaks of, no final name before.
Ctrl-C, a disk that fills up or breaks, a source that changes."""
import errno
import json
import os
import random
import shutil
import signal
import struct
import subprocess
import threading

from harness import DEMO, check, contains, equal, main, read, write

SEED = 20261126
SHIM = os.environ.get("FAULT_SHIM", "")
# The slowest type, so that a run lasts.
TYPE = "q4_1"
DIM, FF, LAYERS, EXPERTS = 1024, 2048, 4, 8
KILLS = 10
UNIT = 2 << 20


def large_model(box):
    """About 400 MB of weights, in Mistral's layout."""
    generator = random.Random(SEED)
    block = bytearray(generator.randbytes(4 << 20))
    # Magnitudes from 0.008 to 2: no infinity, no NaN.
    table = bytes(byte & 0x80 | 0x3c | byte & 3 for byte in range(256))
    block[1::2] = bytes(block[1::2]).translate(table)
    block = bytes(block)
    shapes = {"tok_embeddings.weight": [2048, DIM], "norm.weight": [DIM],
              "output.weight": [2048, DIM]}
    for layer in range(LAYERS):
        at = f"layers.{layer}."
        for name in ("attention_norm", "ffn_norm"):
            shapes[f"{at}{name}.weight"] = [DIM]
        for name, rows in (("wq", DIM), ("wk", 128), ("wv", 128), ("wo", DIM)):
            shapes[f"{at}attention.{name}.weight"] = [rows, DIM]
        shapes[at + "feed_forward.gate.weight"] = [EXPERTS, DIM]
        for expert in range(EXPERTS):
            for name, shape in (("w1", [FF, DIM]), ("w2", [DIM, FF]),
                                ("w3", [FF, DIM])):
                shapes[f"{at}feed_forward.experts.{expert}.{name}.weight"] = shape
    header, at = {}, 0
    for name, shape in shapes.items():
        size = 2
        for extent in shape:
            size *= extent
        header[name] = {"dtype": "BF16", "shape": shape,
                        "data_offsets": [at, at + size]}
        at += size
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    folder = box.path("model")
    os.makedirs(folder)
    path = os.path.join(folder, "consolidated.safetensors")
    with open(path, "wb") as file:
        file.write(struct.pack("<Q", len(text)) + text)
        while at > 0:
            file.write(block[:min(at, len(block))])
            at -= len(block)
    write(os.path.join(folder, "params.json"), json.dumps({
        "dim": DIM, "n_layers": LAYERS, "head_dim": 128, "hidden_dim": FF,
        "n_heads": 8, "n_kv_heads": 1, "norm_eps": 1e-5, "vocab_size": 2048,
        "rope_theta": 1e6,
        "moe": {"num_experts": EXPERTS, "num_experts_per_tok": 2}}))
    write(os.path.join(folder, "tokenizer.model"),
          read(os.path.join(DEMO, "tokenizer.model")))
    return folder


def arguments(model, output, *more):
    return ("convert", model, output, "--to", TYPE, "--threads", "1", *more,
            "--json")


def journaled(output):
    """Units that the journal of an unfinished conversion speaks of."""
    lines = read(output + ".partial-journal").decode().splitlines()
    equal(lines[0], "lodestone conversion journal 1", "first line")
    return len({line.split()[0] for line in lines[2:] if line.count(" ") == 2})


def stopped(process, seconds=0.0):
    """Holds it for a while: a second makes the next unit a checkpoint."""
    process.send(signal.SIGSTOP)
    threading.Event().wait(seconds)


def kills(box, model, whole, seconds):
    generator = random.Random(SEED)
    output = box.path("killed.gguf")
    units = 0
    for number in range(KILLS):
        process = box.start(*arguments(model, output))
        # Before there is a plan, too.
        if number % 5 == 4:
            threading.Event().wait(generator.uniform(0, 0.05))
        else:
            resumed = process.wait_event("plan")["resume_bytes"]
            # All that the journal spoke of; a unit may be shorter by a row.
            check(resumed >= units * (UNIT - 65536) - UNIT,
                  f"resumed with {resumed} bytes, {units} units were done")
            check((resumed > 0) == (units > 0), f"{resumed} bytes of {units}")
            threading.Event().wait(generator.uniform(0, seconds / KILLS))
            stopped(process, 1.05)
            process.send(signal.SIGCONT)
            threading.Event().wait(generator.uniform(0, seconds / KILLS))
        process.send(signal.SIGKILL)
        run = process.end()
        if run.code == 0:
            break
        check(not os.path.exists(output), "a final name before the end")
        if os.path.exists(output + ".partial-journal"):
            had, units = units, journaled(output)
            check(units >= had, f"{units} units in the journal, {had} before")
        print(f"kill {number + 1}: {units} units of about "
              f"{len(whole) // UNIT}")
    check(units > 0, "no checkpoint in all these runs")
    run = box.run(*arguments(model, output, "--overwrite"))
    check(read(output) == whole, "other bytes after kills")
    equal([name for name in os.listdir(box.folder)
           if name.startswith("killed")], ["killed.gguf"], "what is left")


def interrupted(box, model, whole, name="stopped.gguf"):
    """Asked to stop it loses nothing: the next run begins with all of it."""
    output = box.path(name)
    had = 0
    for number, code in ((signal.SIGINT, 130), (signal.SIGTERM, 143)):
        process = box.start(*arguments(model, output))
        resumed = process.wait_event("plan")["resume_bytes"]
        check(resumed >= had, f"resumed with {resumed} bytes, had {had}")
        reported = 0
        while reported <= resumed + UNIT:
            reported = process.wait_event("progress")["done_bytes"]
        stopped(process)
        # A second process leaves it alone.
        if number == signal.SIGINT:
            box.fails(*arguments(model, output)[:-1], code=12, id="E-LOCKED")
        process.send(number)
        process.send(signal.SIGCONT)
        run = process.end(code)
        contains(run.error["hint"], "run the same command again", "the hint")
        check(not os.path.exists(output), "a final name")
        equal(os.path.getsize(output + ".partial"), len(whole), "size reserved")
        had = reported - UNIT  # its header counts as done, not as resumed
    run = box.run(*arguments(model, output))
    check(run.result["summary"]["resumed_bytes"] >= had, f"lost work\n{run}")
    check(read(output) == whole, "other bytes")


def failing_disk(box, model, whole):
    """F1, F2: a disk that fills up or breaks midway; what was written stays."""
    if not SHIM:
        return
    output = box.path("faulty.gguf")
    for call, part, nth, error in (
            ("write", "faulty.gguf.partial", 20, errno.ENOSPC),
            ("sync", "faulty.gguf.partial", 2, errno.ENOSPC),
            ("sync", "faulty.gguf.partial-journal", 2, errno.EIO)):
        env = dict(box.env, LD_PRELOAD=SHIM, FAULT_CALL=call, FAULT_PATH=part,
                   FAULT_NTH=str(nth), FAULT_ERRNO=str(error))
        run = box.run(*arguments(model, output), code=5, env=env)
        contains(run.error["message"], "faulty.gguf.partial", "the error")
        contains(run.error["hint"], "run the same command again", "the hint")
        if error == errno.ENOSPC:
            equal(run.error["code"], "E-DISK-FULL", f"error code\n{run}")
        check(not os.path.exists(output), "a final name")
    run = box.run(*arguments(model, output))
    check(run.result["summary"]["resumed_bytes"] > 0, "nothing was kept")
    check(read(output) == whole, "other bytes")
    equal([name for name in os.listdir(box.folder)
           if name.startswith("faulty")], ["faulty.gguf"], "what is left")


def compressed(box, model, whole):
    """The same out of zstd, which is read in its own order, and cut off."""
    if shutil.which("zstd") is None:
        return
    folder = box.path("compressed")
    os.makedirs(folder)
    for name in ("params.json", "tokenizer.model"):
        shutil.copy(os.path.join(model, name), folder)
    packed = os.path.join(folder, "consolidated.safetensors.zst")
    subprocess.run(["zstd", "-q", "-1", "-o", packed,
                    os.path.join(model, "consolidated.safetensors")],
                   check=True)
    interrupted(box, folder, whole, "unpacked.gguf")
    output = box.path("changed.gguf")
    process = box.start(*arguments(folder, output))
    process.wait_event("plan")
    stopped(process)
    os.truncate(packed, os.path.getsize(packed) // 4)
    process.send(signal.SIGCONT)
    run = process.end(6)
    equal(run.error["code"], "E-CHANGED", "error code")
    contains(run.error["message"], "consolidated.safetensors.zst", "the error")
    equal([name for name in os.listdir(box.folder)
           if name.startswith("changed")], [], "what is left")
    shutil.rmtree(folder)


def changed_source(box, model):
    """While it is read, and between two runs."""
    output = box.path("changed.gguf")
    weights = os.path.join(model, "consolidated.safetensors")

    def left():
        return [name for name in os.listdir(box.folder)
                if name.startswith("changed")]
    process = box.start(*arguments(model, output))
    process.wait_event("plan")
    stopped(process)
    os.utime(weights)
    process.send(signal.SIGCONT)
    run = process.end(6)
    equal(run.error["code"], "E-CHANGED", "error code")
    equal(left(), [], "what is left")

    # Cut off under the eyes of the reader, and put back.
    size, head = os.path.getsize(weights), 64 << 20
    with open(weights, "rb") as file:
        file.seek(head)
        tail = file.read()
    process = box.start(*arguments(model, output))
    process.wait_event("plan")
    stopped(process)
    os.truncate(weights, head)
    process.send(signal.SIGCONT)
    run = process.end(6)
    equal(run.error["code"], "E-CHANGED", "error code")
    contains(run.error["message"], "consolidated.safetensors", "the error")
    equal(left(), [], "what is left")
    with open(weights, "ab") as file:
        file.write(tail)
    equal(os.path.getsize(weights), size, "size")

    process = box.start(*arguments(model, output))
    process.wait_event("progress")
    stopped(process)
    process.send(signal.SIGTERM)
    process.send(signal.SIGCONT)
    process.end(143)
    os.utime(weights)
    run = box.run(*arguments(model, output))
    equal(run.result["summary"]["resumed_bytes"], 0, "resumed bytes")
    check(any("started anew" in event["message"]
              for event in run.of_type("warning")), f"no word of it\n{run}")
    equal(left(), ["changed.gguf"], "what is left")


def test(box):
    print(f"seed {SEED}")
    model = large_model(box)
    first = box.run(*arguments(model, box.path("whole.gguf")))
    whole = read(box.path("whole.gguf"))
    os.unlink(box.path("whole.gguf"))
    print(f"{len(whole)} bytes in {first.seconds:.2f} s")
    kills(box, model, whole, first.seconds)
    interrupted(box, model, whole)
    failing_disk(box, model, whole)
    compressed(box, model, whole)
    changed_source(box, model)


main(test)
