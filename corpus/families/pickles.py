"""Pickle streams: protocols, opcodes, names that must not be called."""

from __future__ import annotations

import base64
import gzip
import pickle
import struct
import zlib
from collections import OrderedDict

from corpus.case import benign, hostile


def short(text: str) -> bytes:
    data = text.encode()
    return b"\x8c" + bytes([len(data)]) + data


def glob(name: str) -> bytes:
    module, _, attribute = name.rpartition(".")
    return f"c{module}\n{attribute}\n".encode()


def stack_global(name: str) -> bytes:
    module, _, attribute = name.rpartition(".")
    return short(module) + short(attribute) + b"\x93"


def call(name: str, argument: str = "true") -> bytes:
    """Protocol 4: name(argument)."""
    return b"\x80\x04" + stack_global(name) + short(argument) + b"\x85R."


STATE = {"weight": [0.5, -1.0, 2.0], "steps": 3, "name": "probe", "raw": b"\x00\x01"}
SYSTEM0 = b"cposix\nsystem\n(S'true'\ntR."

for number in range(6):
    data = pickle.dumps(STATE, protocol=number)
    benign(f"pickle-plain-proto{number}-twin", {"model.pkl": data})
    head = b"" if number < 2 else bytes([0x80, number])
    if number < 4:
        body = glob("os.system") + b"(X\x04\x00\x00\x00truetR."
    else:
        body = stack_global("os.system") + short("true") + b"\x85R."
    hostile(
        f"pickle-os-system-proto{number}",
        "pickle.dangerous_call pickle_fickling.agrees",
        {"model.pkl": head + body},
    )

CALL = "pickle.dangerous_call"
hostile("pickle-inst", CALL, {"m.pkl": b"(S'true'\nios\nsystem\n."})
hostile("pickle-obj", CALL, {"m.pkl": b"\x80\x02(" + glob("os.system") + b"X\x04\0\0\0trueo."})
hostile(
    "pickle-obj-pop", CALL, {"m.pkl": b"\x80\x02(" + glob("os.system") + b"X\x04\0\0\0trueo0N."}
)
hostile(
    "pickle-newobj",
    CALL,
    {"m.pkl": b"\x80\x02" + glob("builtins.exec") + b"X\x04\0\0\0pass\x85\x81."},
)
hostile(
    "pickle-memo",
    CALL,
    {
        "m.pkl": b"\x80\x04"
        + short("os")
        + b"\x940"
        + short("system")
        + b"\x940h\0h\1\x93"
        + short("true")
        + b"\x85R."
    },
)
hostile(
    "pickle-dotted-stack-global",
    CALL,
    {
        "m.pkl": b"\x80\x04"
        + short("os")
        + short("path.os.system")
        + b"\x93"
        + short("true")
        + b"\x85R."
    },
)
for identity, target in {
    "cve-2025-1716-pip": "pip.main",
    "ghsa-vvpj-8cmc-gx39": "pkgutil.resolve_name",
    "builtins-getattr": "builtins.getattr",
    "python2-builtin": "__builtin__.eval",
    "importlib": "importlib.import_module",
    "runpy": "runpy.run_path",
    "pty": "pty.spawn",
    "marshal": "marshal.loads",
    "cprofile": "cProfile.runctx",
    "ctypes": "ctypes.CDLL",
    "timeit": "timeit.timeit",
    "idlelib": "idlelib.pyshell.ModifiedInterpreter.runcode",
    "torch-load": "torch.load",
    "torch-storage-bytes": "torch.storage._load_from_bytes",
    "torch-collect-env": "torch.utils.collect_env.run",
    "numpy-runstring": "numpy.testing._private.utils.runstring",
    "dill": "dill._dill._create_function",
    "operator-attrgetter": "operator.attrgetter",
    "urlopen": "urllib.request.urlopen",
    "asyncio-submodule-cve-2025-10157": "asyncio.unix_events._UnixSubprocessTransport._start",
    "code-interpreter": "code.InteractiveInterpreter",
    "webbrowser": "webbrowser.open",
    "functools-partial": "functools.partial",
}.items():
    hostile(f"pickle-{identity}", CALL, {"model.bin": call(target)})

hostile("pickle-numpy-f2py", CALL, {"m.pkl": call("numpy.f2py.crackfortran.myeval")})
hostile(
    "pickle-unknown-function", "pickle.unknown_call", {"m.pkl": call("somepackage.helpers.setup")}
)
benign("pickle-ordered-dict-twin", {"m.pkl": pickle.dumps(OrderedDict(a=1, b=[2.0]), protocol=4)})
hostile(
    "pickle-unknown-class",
    "pickle.unknown_class",
    {"m.pkl": b"\x80\x04" + stack_global("somepackage.layers.Linear") + b")\x81}b."},
    "incomplete",
)
hostile(
    "pickle-unexpected-import",
    "pickle.unknown_import",
    {"m.pkl": b"\x80\x04" + stack_global("statistics.mean") + b"."},
    "incomplete",
)
hostile(
    "pickle-shadowpickle-rebound",
    "pickle.rebound",
    {
        "m.pkl": b"\x80\x02ccollections\nOrderedDict\nq\0}X\x04\0\0\0nameX\x01\0\0\0xsb0"
        + glob("collections.OrderedDict")
        + b")R."
    },
)
hostile("pickle-ext1", "pickle.extension_code", {"m.pkl": b"\x80\x02\x82\x01X\x04\0\0\0true\x85R."})
hostile("pickle-persid", "pickle.persistent_id", {"m.pkl": b"Psomething\n."}, "incomplete")
hostile(
    "pickle-broken-after-payload", "pickle.dangerous_global", {"m.pkl": b"cposix\nsystem\n(S'tr"}
)
hostile("pickle-broken-after-call", CALL, {"m.pkl": SYSTEM0[:-1] + b"\xff\xff broken"})
hostile(
    "pickle-second-stream",
    f"{CALL} pickle_fickling.differs",
    {"m.pkl": pickle.dumps({"a": 1}) + call("os.system")},
)
hostile("pickle-no-extension", CALL, {"weights": call("os.system")})
hostile("pickle-text-in-readme", f"{CALL} pickle.disguised", {"README.md": SYSTEM0})
hostile(
    "pickle-as-safetensors", f"{CALL} pickle.disguised", {"model.safetensors": call("os.system")}
)
hostile("pickle-as-gguf", CALL, {"model.gguf": call("os.system")})
hostile("pickle-frame-first", CALL, {"m.dat": b"\x95\x1c\0\0\0\0\0\0\0" + call("os.system")[2:]})
hostile(
    "pickle-unicode-truncated-utf8",
    "pickle.dangerous_global",
    {"m.pkl": b"\x80\x04" + stack_global("os.system") + b"\x8c\x02\xc3\x28\x85R."},
)
INNER = call("os.system")
hostile("pickle-nested-raw", "pickle.nested", {"m.pkl": pickle.dumps({"blob": INNER + b" " * 40})})
hostile(
    "pickle-nested-base64",
    "pickle.nested",
    {"m.pkl": pickle.dumps({"x": base64.b64encode(INNER).decode()})},
)
benign(
    "pickle-base64-twin",
    {"m.pkl": pickle.dumps({"x": base64.b64encode(b"just some text, nothing else").decode()})},
)
hostile(
    "pickle-suspicious-string",
    "pickle.suspicious_string",
    {"m.pkl": pickle.dumps({"x": "import os; os.system('true')"})},
    "pass",
)
hostile(
    "pickle-stack-global-confusion",
    "pickle.tampered",
    {"m.pkl": b"\x80\x04K\x01" + short("system") + b"\x93" + short("true") + b"\x85R."},
)


hostile(
    "pickle-expansion",
    "pickle.expansion",
    {"m.pkl": b"\x80\x02N" + b"2" * 5000 + b"0" * 5000 + b"."},
)
hostile("pickle-gzip-joblib", CALL, {"m.joblib": gzip.compress(INNER, mtime=0)})
hostile("pickle-zlib-joblib", CALL, {"m.joblib": zlib.compress(INNER)})
benign("pickle-zlib-joblib-twin", {"m.joblib": zlib.compress(pickle.dumps(STATE))})

NUMBERS = b"".join(zlib.crc32(struct.pack("<I", n)).to_bytes(4, "little") for n in range(1 << 16))
benign("pickle-numbers-twin", {"m.pkl": pickle.dumps({"w": NUMBERS})})
hostile("pickle-unknown-nested", "pickle.unknown_call", {"m.pkl": pickle.dumps({"x": call("a.b")})})
