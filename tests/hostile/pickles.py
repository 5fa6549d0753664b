# SPDX-License-Identifier: Apache-2.0
"""Pickles that are programs, or break a rule of the reader (trust: pickle):
each opcode, each family of globals, tricks with stack and memo."""
import pickletools
import struct

import zips
from case import TENSORS, Case, around, bf16, elements

# What a pickle would run in the folder it is loaded in, if anything ran it.
CANARY = "lodestone-canary"
COMMAND = f"touch {CANARY}"
SOCKET = "lodestone-canary.sock"

# Globals that run a command of a pickle, or lead to what does: one of every
# family that was published. Most deny-lists miss some.
GLOBALS = (
    "posix system", "nt system", "os system", "os popen", "os execv",
    "os spawnlp", "os startfile", "subprocess Popen", "subprocess run",
    "subprocess check_output", "subprocess getoutput", "sys modules",
    "shutil rmtree", "socket create_connection", "pty spawn",
    "runpy run_path", "runpy run_module", "importlib import_module",
    "ctypes CDLL", "marshal loads", "types CodeType", "types FunctionType",
    "builtins eval", "builtins exec", "builtins compile", "builtins getattr",
    "builtins open", "builtins __import__", "builtins apply",
    "builtins breakpoint", "__builtin__ eval", "operator attrgetter",
    "operator itemgetter", "operator methodcaller", "functools partial",
    "functools reduce", "pickle loads", "_pickle loads", "dill loads",
    "cloudpickle loads", "torch load", "torch.serialization load",
    "torch.hub load", "torch.jit load", "torch storage._load_from_bytes",
    "pip main", "pip._internal main", "pydoc locate", "pydoc pipepager",
    "pkgutil resolve_name", "timeit timeit", "timeit main", "cProfile run",
    "cProfile runctx", "profile run", "trace Trace.run", "code interact",
    "code InteractiveInterpreter", "doctest debug_script",
    "idlelib.pyshell ModifiedInterpreter.runcommand",
    "idlelib.calltip get_entity", "lib2to3.pgen2.grammar Grammar.loads",
    "numpy.testing._private.utils runstring", "numpy.f2py.crackfortran "
    "myeval", "numpy.f2py.diagnose run_command", "torch._inductor.codecache "
    "compile_file", "torch.utils.bottleneck.__main__ run_cprofile",
    "torch.fx.experimental.symbolic_shapes ShapeEnv.evaluate_guards"
    "_expression", "torch.utils.collect_env run",
    "torch._dynamo.guards GuardBuilder.get", "uuid _get_command_stdout",
    "_aix_support _read_cmd_output", "_osx_support _read_output",
    "imaplib IMAP4_stream", "logging FileHandler",
    "logging.config listen", "distutils.file_util write_file",
    "urllib.request urlopen", "requests.api get", "http.client "
    "HTTPSConnection", "aiohttp ClientSession", "ftplib FTP",
    "smtplib SMTP", "webbrowser open", "antigravity geohash",
    "bdb Bdb.run", "pdb run", "asyncio.unix_events "
    "_UnixSubprocessTransport._start", "multiprocessing.util "
    "spawnv_passfds", "venv create", "ensurepip _run_pip",
    "site execsitecustomize", "tempfile mktemp", "zipimport zipimporter",
    "commands getoutput", "platform popen", "popen2 popen2",
    "_codecs encode", "codecs decode", "collections Counter",
    "copyreg _reconstructor", "copy_reg _reconstructor",
    "numpy.core.multiarray _reconstruct", "numpy load",
    "numpy _core.multiarray.scalar", "argparse Namespace",
    "pathlib PosixPath", "pytorch_lightning.callbacks ModelCheckpoint",
    "transformers.training_args TrainingArguments",
    # Near what is allowed, and not the same.
    "torch._utils _rebuild_tensor_v2.__globals__", "torch._utils rebuild",
    "torch Storage", "torch._utils _rebuild_sparse_tensor",
    "torch._utils _rebuild_qtensor", "torch BFloat16Storage.__init__",
    "collections OrderedDict.__init__", "Collections OrderedDict",
    "torch.nn.parameter Buffer", "torch device", "torch Size",
)


def text(value):
    data = value if isinstance(value, bytes) else value.encode()
    return b"X" + struct.pack("<I", len(data)) + data


def number(value):
    if value < 256:
        return b"K" + bytes([value])
    if value < 65536:
        return b"M" + struct.pack("<H", value)
    return b"J" + struct.pack("<i", value)


def reference(module, name):
    return b"c" + module.encode() + b"\n" + name.encode() + b"\n"


def call(module, name, argument):
    return (b"\x80\x02" + reference(module, name) + text(argument) +
            b"\x85R.")


def storage_id(key, numel, kind="BFloat16Storage", device="cpu"):
    count = numel if isinstance(numel, bytes) else number(numel)
    return (b"(" + text("storage") + reference("torch", kind) + text(key) +
            text(device) + count + b"tQ")


def numbers(values):
    return b"(" + b"".join(
        v if isinstance(v, bytes) else number(v) for v in values) + b"t"


def strides(shape):
    out = []
    step = 1
    for size in reversed(shape):
        out.append(step)
        step *= size
    return list(reversed(out))


def tensor(key, shape, stride=None, start=0, numel=None,
           kind="BFloat16Storage", storage=None):
    if storage is None:
        storage = storage_id(key, elements(shape) if numel is None else numel,
                             kind)
    return (reference("torch._utils", "_rebuild_tensor_v2") + b"(" + storage +
            (start if isinstance(start, bytes) else number(start)) +
            numbers(shape) +
            numbers(strides(shape) if stride is None else stride) + b"\x89" +
            reference("collections", "OrderedDict") + b")RtR")


def entries(first=None):
    """Keys and tensors of the small model; `first` in place of the first."""
    out = b""
    for index, (name, _, _, shape) in enumerate(TENSORS):
        one = (first if first is not None and index == 0
               else tensor(str(index), shape))
        out += text(name) + one
    return out


def state_dict(before=b"", first=None, behind=b"", proto=2, more=b""):
    """`before`: opcodes in front of it all; `behind`: in front of STOP;
    `more`: further keys and values."""
    return (b"\x80" + bytes([proto]) + before + b"}(" + entries(first) + more +
            b"u" + behind + b".")


def storages():
    return [bf16(index, shape)
            for index, (_, _, _, shape) in enumerate(TENSORS)]


# For every opcode that has an argument, one that fits.
ARGUMENTS = {
    "FLOAT": b"1.5\n", "INT": b"7\n", "BININT": b"\x07\0\0\0",
    "BININT1": b"\x07", "LONG": b"7L\n", "BININT2": b"\x07\0",
    "PERSID": b"storage\n", "STRING": b"'x'\n",
    "BINSTRING": b"\x01\0\0\0x", "SHORT_BINSTRING": b"\x01x",
    "UNICODE": b"x\n", "BINUNICODE": b"\x01\0\0\0x",
    "GLOBAL": b"posix\nsystem\n", "GET": b"0\n", "BINGET": b"\0",
    "INST": b"posix\nsystem\n", "LONG_BINGET": b"\0\0\0\0", "PUT": b"0\n",
    "BINPUT": b"\0", "LONG_BINPUT": b"\0\0\0\0",
    "BINFLOAT": struct.pack(">d", 1.5), "BINBYTES": b"\x01\0\0\0x",
    "SHORT_BINBYTES": b"\x01x", "PROTO": b"\x02", "EXT1": b"\x01",
    "EXT2": b"\x01\0", "EXT4": b"\x01\0\0\0", "LONG1": b"\x01\x07",
    "LONG4": b"\x01\0\0\0\x07", "SHORT_BINUNICODE": b"\x01x",
    "BINUNICODE8": b"\x01" + b"\0" * 7 + b"x",
    "BINBYTES8": b"\x01" + b"\0" * 7 + b"x", "FRAME": b"\x40" + b"\0" * 7,
    "BYTEARRAY8": b"\x01" + b"\0" * 7 + b"x",
}

# What torch.save writes. Each stands where it must not: on an empty stack, or
# with its value left over at the end.
WRITTEN = {
    "MARK", "STOP", "NONE", "REDUCE", "BINPERSID", "APPEND", "APPENDS",
    "BUILD", "GLOBAL", "EMPTY_DICT", "EMPTY_LIST", "EMPTY_TUPLE",
    "EMPTY_SET", "SETITEM", "SETITEMS", "TUPLE", "TUPLE1", "TUPLE2", "TUPLE3",
    "NEWTRUE", "NEWFALSE", "BININT", "BININT1", "BININT2", "LONG1",
    "BINFLOAT", "BINUNICODE", "SHORT_BINSTRING", "BINGET", "LONG_BINGET",
    "BINPUT", "LONG_BINPUT", "NEWOBJ",
}


def opcode(code):
    return code.code.encode("latin-1") + ARGUMENTS.get(code.name, b"")


def in_torch(name, data_pkl, id, **more):
    return Case("pickle/" + name, around(zips.archive(data_pkl)), id, **more)


def opcode_cases():
    for code in pickletools.opcodes:
        name = code.name.lower().replace("_", "-")
        if code.name in WRITTEN:
            id, says = "E-PICKLE*", ("pickle",)
        elif code.name == "INST":
            id, says = "E-PICKLE-GLOBAL", ("posix system",)
        else:
            id, says = "E-PICKLE-OPCODE", (code.name,)
        if code.name == "GLOBAL":
            id = "E-PICKLE-GLOBAL"
        yield in_torch(f"opcode-{name}", state_dict(before=opcode(code)), id,
                       says=says)
        # By itself, in the protocol that brought it.
        bare = b"\x80" + bytes([max(2, code.proto)]) + opcode(code) + b"."
        yield Case(f"pickle/bare-{name}", around(bare), "E-CONTENT",
                   says=("pickle",))
    for code in (0, 1, 0x7F, 0x99, 0xFF):
        yield in_torch(f"opcode-byte-{code}", b"\x80\x02" + bytes([code]) + b".",
                       "E-PICKLE-OPCODE")


def forms(module, name, argument):
    """Ways to have a global called."""
    ref = reference(module, name)
    arg = text(argument)
    short = b"\x8c" + bytes([len(module)]) + module.encode() + b"\x8c" + bytes(
        [len(name)]) + name.encode()
    return {
        "reduce": ref + arg + b"\x85R",
        "stack-global": short + b"\x93" + arg + b"\x85R",
        "stack-global-memo": short[:2 + len(module)] + b"\x940" +
                             short[2 + len(module):] + b"\x940h\0h\x01\x93" +
                             arg + b"\x85R",
        "inst": b"(" + arg + b"i" + ref[1:],
        "obj": b"(" + ref + arg + b"o",
        "obj-pop": b"(" + ref + arg + b"o0N",
        "newobj": ref + arg + b"\x85\x81",
        "newobj-ex": ref + arg + b"\x85}\x92",
        "build": b"ccollections\nOrderedDict\n)R" + ref + arg + b"\x85Rb",
        "build-setstate": ref + b")\x81" + arg + b"b",
        "as-value": ref,
        "as-key-part": b"}" + ref + arg + b"\x85RK\x01s",
        "in-tuple": ref + arg + b"\x85R\x85",
        "in-call-arguments": b"ccollections\nOrderedDict\n" + ref + arg +
                             b"\x85R\x85R",
        "in-rebuild": b"ctorch._utils\n_rebuild_tensor_v2\n(" + ref + arg +
                      b"\x85RtR",
        "in-rebuild-from-type": b"ctorch._tensor\n_rebuild_from_type_v2\n(" +
                                ref + b"ctorch\nTensor\n" + arg +
                                b"\x85}tR",
        "in-persistent-id": ref + arg + b"\x85RQ",
        "persistent-id-text": b"Pposix system\n",
        "extension": b"\x82\x01" + arg + b"\x85R",
        "module-with-dot": b"c" + module.encode() + b".x\n" + name.encode() +
                           b"\n" + arg + b"\x85R",
        "string-names": b"S'" + module.encode() + b"'\nS'" + name.encode() +
                        b"'\n\x93" + arg + b"\x85R",
        "in-frame": b"\x95" + struct.pack("<Q", len(ref)) + ref + arg +
                    b"\x85R",
        "over-frames": b"\x95" + struct.pack("<Q", 4) + ref + arg + b"\x85R",
        "nested-pickle": reference("pickle", "loads") + b"C" + bytes(
            [len(call(module, name, argument))]) +
            call(module, name, argument) + b"\x85R",
        "carriage-return": b"c" + module.encode() + b"\r\n" + name.encode() +
                           b"\n" + arg + b"\x85R",
    }


def global_cases():
    for entry in GLOBALS:
        module, _, name = entry.partition(" ")
        shown = f"{module}-{name}".replace(".", "-").replace("__", "")
        yield in_torch(f"global-{shown.lower()}",
                       call(module, name, COMMAND), "E-PICKLE-GLOBAL",
                       says=(f"{module} {name}", "nothing was executed"))
    for form, code in forms("posix", "system", COMMAND).items():
        yield in_torch(f"form-{form}", b"\x80\x04" + code + b".", "E-PICKLE*",
                       says=("pickle",))
        # The same in front of a whole model: what is loaded looks right.
        yield in_torch(f"form-{form}-before-model",
                       state_dict(before=code + b"0"), "E-PICKLE*")
    connect = ("import socket; socket.socket(socket.AF_UNIX)"
               f".connect('{SOCKET}')")
    yield in_torch("global-exec-connects", call("builtins", "exec", connect),
                   "E-PICKLE-GLOBAL")
    yield in_torch("global-escape-characters",
                   call("po\x1b[2Jsix", "sys\x07tem", COMMAND),
                   "E-PICKLE-GLOBAL")
    yield in_torch("global-endless-name",
                   b"\x80\x02c" + b"a" * 100000 + b"\nb\n.", "E-PICKLE")
    yield in_torch("global-no-newline", b"\x80\x02cposix", "E-PICKLE")


def stack_cases():
    od = reference("collections", "OrderedDict")
    yield in_torch("garbage-behind-stop", state_dict() + b"garbage",
                   "E-PICKLE")
    yield in_torch("second-pickle-behind-stop",
                   state_dict() + call("posix", "system", COMMAND),
                   "E-PICKLE")
    # nullifAI: runs first, then breaks.
    yield in_torch("breaks-behind-the-call",
                   call("posix", "system", COMMAND)[:-1] + b"\xff\xff",
                   "E-PICKLE-GLOBAL")
    yield in_torch("no-stop", state_dict()[:-1], "E-PICKLE")
    yield in_torch("empty", b"", "E-PICKLE")
    yield in_torch("only-proto", b"\x80\x02", "E-PICKLE")
    yield in_torch("no-proto", state_dict()[2:], "E-PICKLE")
    yield in_torch("protocol-6", state_dict(proto=6), "E-PICKLE")
    yield in_torch("protocol-255", state_dict(proto=255), "E-PICKLE")
    yield in_torch("protocol-0-text", b"cposix\nsystem\n(S'" +
                   COMMAND.encode() + b"'\ntR.", "E-PICKLE-GLOBAL")
    yield in_torch("two-protos", b"\x80\x02" + state_dict(),
                   "E-PICKLE-OPCODE")
    yield in_torch("cut-in-text", state_dict()[:40], "*")
    yield in_torch("nothing-on-stack", b"\x80\x02.", "E-PICKLE")
    yield in_torch("left-on-stack", state_dict(before=b"N"), "E-PICKLE")
    yield in_torch("mark-left", state_dict(before=b"("), "E-PICKLE")
    yield in_torch("pop-below-mark", b"\x80\x02}(R.", "E-PICKLE")
    yield in_torch("tuple-below-mark", b"\x80\x02NN(\x86.", "E-PICKLE")
    yield in_torch("memo-never-written", b"\x80\x02h\x07.", "E-PICKLE")
    yield in_torch("memo-written-twice", state_dict(behind=b"q\0q\0"),
                   "E-PICKLE")
    yield in_torch("memo-index-2-32", b"\x80\x02}r\xff\xff\xff\xff.",
                   "E-PICKLE")
    yield in_torch("memo-of-nothing", b"\x80\x02q\0.", "E-PICKLE")
    yield in_torch("memo-global-called-later",
                   b"\x80\x02cposix\nsystem\nq\0" + text(COMMAND) +
                   b"q\x01h\0h\x01\x85R.", "E-PICKLE-GLOBAL")
    yield in_torch("holds-itself-list", b"\x80\x02]q\0h\0a.", "E-PICKLE")
    yield in_torch("holds-itself-dict", b"\x80\x02}q\0" + text("a") +
                   b"h\0s.", "E-PICKLE")
    yield in_torch("holds-itself-by-tuple", b"\x80\x02]q\0h\0\x85h\0q\x01a.",
                   "E-PICKLE")
    yield in_torch("changed-while-held", b"\x80\x02}q\0" + text("a") +
                   b"]q\x01sh\x01K\x01a.", "E-PICKLE")
    # Laughs: each tuple holds the one before it many times.
    yield in_torch("nested-200-deep", b"\x80\x02)" + b"\x85" * 200 + b".",
                   "E-PICKLE")
    laughs = b"\x80\x02K\x01\x85q\0"
    for index in range(60):
        laughs += b"(" + (b"h" + bytes([index])) * 100 + b"tq" + bytes(
            [index + 1])
    yield in_torch("expansion", laughs + b".", "E-PICKLE")
    yield in_torch("memo-refs-1e6", b"\x80\x02K\x01q\0(" + b"h\0" * 2 ** 20 +
                   b"h\0h\0t.", "E-PICKLE")
    yield in_torch("lists-1e6", b"\x80\x02" + b"]" * (2 ** 20 + 10) + b".",
                   "E-PICKLE")
    yield in_torch("numbers-1e6", b"\x80\x02(" + b"K\x01" * (2 ** 20 + 9) +
                   b"t.", "E-PICKLE")
    # Just below the limits of stack and values: as much memory as there is.
    yield in_torch("tuples-2e6", b"\x80\x02](" + (
        b"](" + b")\x85" * 500000 + b"e") * 4 + b"e.", "*")
    yield in_torch("tuples-1e6", b"\x80\x02](" + (
        b"](" + b")\x85" * 500000 + b"e") * 2 + b"e.", "*")
    yield in_torch("items-1e7", b"\x80\x02K\x01q\0](" + (
        b"](" + b"h\0" * 1000000 + b"e") * 10 + b"e.", "*")
    yield in_torch("memo-2-22", b"\x80\x02}r\xff\xff\x3f\0" + b"." , "*")
    yield in_torch("marks-1e6", b"\x80\x02" + b"(" * (2 ** 20 + 10) + b".",
                   "E-PICKLE")
    yield in_torch("text-2-gib", b"\x80\x02X\xff\xff\xff\x7fabc.", "*")
    yield in_torch("text-of-2-mib", b"\x80\x02" + text("a" * (2 << 20)) +
                   b".", "E-PICKLE")
    yield in_torch("text-not-utf8", b"\x80\x02" + text(b"\xff\xfe") + b".",
                   "E-PICKLE")
    yield in_torch("number-of-255-bytes", b"\x80\x02\x8a\xff" + b"\x7f" * 255 +
                   b".", "E-PICKLE")
    yield in_torch("setitem-on-list", b"\x80\x02]K\x01K\x02s.", "E-PICKLE")
    yield in_torch("setitems-on-tuple", b"\x80\x02)(K\x01K\x02u.",
                   "E-PICKLE")
    yield in_torch("setitem-on-global", b"\x80\x02" + od + b"K\x01K\x02s.",
                   "E-PICKLE")
    yield in_torch("setitem-on-tensor", b"\x80\x02" + tensor("0", (1,)) +
                   b"K\x01K\x02s.", "E-PICKLE")
    yield in_torch("setitem-on-storage", b"\x80\x02" + storage_id("0", 1) +
                   b"K\x01K\x02s.", "E-PICKLE")
    yield in_torch("setitems-odd", b"\x80\x02}(K\x01u.", "E-PICKLE")
    yield in_torch("key-is-dict", b"\x80\x02}}K\x01s.", "E-PICKLE")
    yield in_torch("key-is-tensor", b"\x80\x02}" + tensor("0", (1,)) +
                   b"K\x01s.", "E-PICKLE")
    yield in_torch("append-to-dict", b"\x80\x02}K\x01a.", "E-PICKLE")
    yield in_torch("appends-to-set", b"\x80\x02\x8f(K\x01e.", "E-PICKLE")
    yield in_torch("build-on-tensor", b"\x80\x02" + tensor("0", (1,)) +
                   b"}b.", "E-PICKLE-CALL")
    yield in_torch("build-on-list", b"\x80\x02]}b.", "E-PICKLE-CALL")
    yield in_torch("build-state-is-text", b"\x80\x02" + od + b")R" +
                   text("x") + b"b.", "E-PICKLE-CALL")
    yield in_torch("reduce-of-dict", b"\x80\x02})R.", "E-PICKLE-CALL")
    yield in_torch("reduce-of-text", b"\x80\x02" + text("os.system") +
                   text(COMMAND) + b"\x85R.", "E-PICKLE-CALL")
    yield in_torch("reduce-of-storage-class", b"\x80\x02" +
                   reference("torch", "BFloat16Storage") + b")R.",
                   "E-PICKLE-CALL")
    yield in_torch("reduce-of-dtype", b"\x80\x02" +
                   reference("torch", "bfloat16") + b")R.", "E-PICKLE-CALL")
    yield in_torch("reduce-without-tuple", b"\x80\x02" + od + b"]R.",
                   "E-PICKLE")
    yield in_torch("ordered-dict-of-arguments", b"\x80\x02" + od +
                   b"]\x85R.", "E-PICKLE")
    yield in_torch("newobj-of-storage-class", b"\x80\x02" +
                   reference("torch", "BFloat16Storage") + b")\x81.",
                   "E-PICKLE-CALL")
    yield in_torch("parameter-of-no-tensor", b"\x80\x02" +
                   reference("torch._utils", "_rebuild_parameter") +
                   b"(K\x01\x88}tR.", "E-PICKLE")
    yield in_torch("from-type-twice", b"\x80\x02" + reference(
        "torch._tensor", "_rebuild_from_type_v2") + b"(" + reference(
            "torch._tensor", "_rebuild_from_type_v2") +
            reference("torch", "Tensor") + b")}tR.", "E-PICKLE-CALL")
    for what, body in (
            ("number", b"K\x01"), ("text", text("storage")), ("dict", b"}"),
            ("short-tuple", b"(" + text("storage") + b"t"),
            ("module", b"(" + text("module") + reference(
                "torch", "BFloat16Storage") + text("0") + text("cpu") +
             b"K\x01t"),
            ("no-class", b"(" + text("storage") + b"N" + text("0") +
             text("cpu") + b"K\x01t"),
            ("key-is-number", b"(" + text("storage") + reference(
                "torch", "BFloat16Storage") + b"K\0" + text("cpu") +
             b"K\x01t"),
            ("numel-negative", storage_id("0", b"J\xff\xff\xff\xff")[:-1]),
            ("numel-text", storage_id("0", text("1"))[:-1]),
            ("numel-float", storage_id(
                "0", b"G" + struct.pack(">d", 1.0))[:-1])):
        yield in_torch(f"persistent-id-{what}", b"\x80\x02" + body + b"Q.",
                       "E-PICKLE")


def tensor_cases():
    shape = TENSORS[0][3]
    numel = elements(shape)

    def case(name, first, id="E-TORCH", **more):
        return Case("torch/" + name, around(
            zips.archive(state_dict(first=first))), id, **more)

    yield case("numel-too-large", tensor("0", shape, numel=numel + 1))
    yield case("numel-too-small", tensor("0", shape, numel=numel - 1))
    yield case("numel-2-62", tensor("0", shape,
                                    numel=b"\x8a\x08" + b"\0" * 7 + b"\x40"))
    yield case("storage-class-wrong", tensor("0", shape, kind="FloatStorage"))
    yield case("storage-not-there", tensor("99", shape))
    yield case("storage-climbs", tensor("../data.pkl", shape))
    yield case("storage-key-empty", tensor("", shape))
    yield case("storage-is-other", tensor("1", shape))
    yield case("storage-declared-twice", tensor("1", (3,), numel=3))
    yield case("offset-outside", tensor("0", shape, start=numel))
    yield case("offset-one-too-far", tensor("0", shape, start=1))
    yield case("offset-negative", tensor("0", shape,
                                         start=b"J\xff\xff\xff\xff"))
    yield case("offset-2-63", tensor(
        "0", shape, start=b"\x8a\x08" + b"\xff" * 7 + b"\x7f"))
    yield case("offset-text", tensor("0", shape, start=text("0")))
    yield case("shape-negative", tensor(
        "0", (b"J\xff\xff\xff\xff", 32), stride=[32, 1],
        storage=storage_id("0", numel)))
    yield case("shape-product-2-64", tensor(
        "0", (b"\x8a\x05\0\0\0\0\x01", b"\x8a\x05\0\0\0\0\x01"),
        stride=[1, 1], storage=storage_id("0", numel)), "*")
    yield case("shape-too-large", tensor(
        "0", (shape[0] * 2, shape[1]), stride=[32, 1],
        storage=storage_id("0", numel)))
    yield case("shape-float", tensor(
        "0", (b"G" + struct.pack(">d", 40.0), 32), stride=[32, 1],
        storage=storage_id("0", numel)))
    yield case("shape-list", reference(
        "torch._utils", "_rebuild_tensor_v2") + b"(" + storage_id("0", numel) +
        b"K\0](K\x28K\x20e(K\x20K\x01t\x89}tR")
    yield case("shape-of-9-dimensions", tensor(
        "0", (1,) * 9, storage=storage_id("0", numel)), "*")
    yield case("shape-other-than-params", tensor(
        "0", (shape[1], shape[0])), "E-STRUCTURE")
    yield case("strides-negative", tensor(
        "0", shape, stride=[32, b"J\xff\xff\xff\xff"]))
    yield case("strides-zero", tensor("0", shape, stride=[0, 1]))
    yield case("strides-all-zero", tensor("0", shape, stride=[0, 0]))
    yield case("strides-alias", tensor("0", shape, stride=[1, 1]))
    yield case("strides-overflow", tensor(
        "0", shape, stride=[b"\x8a\x08" + b"\xff" * 7 + b"\x7f", 1]))
    yield case("strides-too-few", tensor("0", shape, stride=[1]))
    yield case("strides-reach-outside", tensor("0", shape, stride=[64, 1]))
    yield case("arguments-too-few", reference(
        "torch._utils", "_rebuild_tensor_v2") + b"(" +
        storage_id("0", numel) + b"K\0tR", "E-PICKLE")
    yield case("tensor-without-storage", reference(
        "torch._utils", "_rebuild_tensor_v2") + b"(NK\0)" + b")\x89}tR")
    yield case("value-is-no-tensor", b"K\x01")
    yield case("value-is-global", reference("torch", "bfloat16"))
    yield case("value-is-dict", b"}")
    twice = text(TENSORS[0][0]) + tensor("0", shape)
    yield Case("torch/name-twice", around(zips.archive(
        state_dict(more=twice))), "*")
    yield Case("torch/name-empty", around(zips.archive(
        state_dict(more=text("") + tensor("0", shape)))), "*")
    yield Case("torch/name-control", around(zips.archive(
        state_dict(more=text("a\x1b[2J") + tensor("0", shape)))), "*")
    yield Case("torch/name-number", around(zips.archive(
        state_dict(more=b"K\x01" + tensor("0", shape)))), "E-TORCH")
    yield Case("torch/name-huge", around(zips.archive(
        state_dict(more=text("a" * 100000) + tensor("0", shape)))), "*")
    yield Case("torch/record-unclaimed", around(zips.archive(
        storages=storages() + [b"hidden data"])), "E-TORCH")
    yield Case("torch/record-missing", around(zips.archive(
        storages=storages()[:-1])), "E-TORCH")
    yield Case("torch/record-longer", around(zips.archive(
        storages=[storages()[0] + b"\0\0"] + storages()[1:])), "E-TORCH")
    yield Case("torch/root-is-list", around(zips.archive(b"\x80\x02].")),
               "E-TORCH")
    yield Case("torch/root-is-empty", around(zips.archive(b"\x80\x02}.")),
               "E-TORCH")
    yield Case("torch/two-state-dicts", around(zips.archive(
        b"\x80\x02}(" + text("model") + b"}(" + entries() + b"u" +
        text("state_dict") + b"}(" + entries() + b"uu.")), "E-TORCH")
    # As torch.save wrote before the zip form: magic number, protocol, sizes,
    # then the object: five pickles, of which any may be a program.
    magic = b"\x80\x02\x8a\x0a\x6c\xfc\x9c\x46\xf9\x20\x6a\xa8\x50\x19."
    yield Case("torch/legacy-form", around(
        magic + b"\x80\x02M\xe9\x03." + b"\x80\x02}." +
        call("posix", "system", COMMAND)), "E-CONTENT", says=("pickle",))
    yield Case("torch/legacy-magic-by-call", around(
        call("posix", "system", COMMAND)[:-1] + b"0" + magic[2:]),
        "E-CONTENT", says=("pickle",))


def cases():
    yield from opcode_cases()
    yield from global_cases()
    yield from stack_cases()
    yield from tensor_cases()
