"""Our reader of GGUF headers beside the one that loads them, llama.cpp's own."""

import ctypes
import json
import random
import struct
import subprocess
import sys
from pathlib import Path

import xllamacpp

from corpus.families.gguf_files import PLAIN, gguf
from keelmark.vet.checks.gguf import CHECK
from keelmark.vet.contract import Budget, File, ReadLimitError
from keelmark.vet.gguf_header import BLOCKS, TYPE_NAMES

LIBRARY = next(Path(xllamacpp.__file__).parent.glob("xllamacpp*.so"))
_OPEN = """
import ctypes, json, sys

class Params(ctypes.Structure):
    _fields_ = [("no_alloc", ctypes.c_bool), ("ctx", ctypes.c_void_p)]

lib = ctypes.CDLL(sys.argv[1])
lib.gguf_init_from_file.restype = ctypes.c_void_p
lib.gguf_init_from_file.argtypes = [ctypes.c_char_p, Params]
print(json.dumps([bool(lib.gguf_init_from_file(path.encode(), Params(True, None)))
                  for path in sys.argv[2:]]))
"""


def _clean(data: bytes) -> bool:
    file = File("m.gguf", len(data), lambda size, at: data[at : at + size], Budget(1 << 26))
    try:
        result = CHECK.run(file)
    except ReadLimitError:
        return False
    return not result.unexamined and all(f.rule == "gguf.review" for f in result.findings)


def test_types_and_blocks_are_the_engine_s() -> None:
    engine = ctypes.CDLL(str(LIBRARY))
    engine.ggml_blck_size.restype = ctypes.c_int64
    engine.ggml_type_size.restype = ctypes.c_size_t
    engine.ggml_type_name.restype = ctypes.c_char_p
    for number in range(max(BLOCKS) + 1):
        block = (engine.ggml_blck_size(number), engine.ggml_type_size(number))
        assert BLOCKS.get(number, (0, 0)) == block
        if number in BLOCKS:
            assert TYPE_NAMES[number].lower() == engine.ggml_type_name(number).decode().lower()


def test_what_we_call_clean_the_engine_opens(tmp_path: Path) -> None:
    good = gguf({"tokenizer.chat_template": PLAIN, "general.alignment": 32})
    values = [0, 1, 2, 4, 8, 31, 32, 64, 255, 1 << 31, (1 << 32) - 1]
    chance = random.Random(7)
    files = [good]
    for _ in range(1500):
        data = bytearray(good)
        at = chance.randrange(4, len(good) - 2688)
        if chance.random() < 0.5:
            data[at : at + 4] = struct.pack("<I", chance.choice(values))
        else:
            data[at] = chance.randrange(256)
        files.append(bytes(data))
    paths = []
    for number, data in enumerate(filter(_clean, files)):
        paths.append(tmp_path / f"{number}.gguf")
        paths[-1].write_bytes(data)
    command = [sys.executable, "-c", _OPEN, str(LIBRARY), *map(str, paths)]
    ran = subprocess.run(command, capture_output=True, check=False)
    assert ran.returncode == 0, ran.stderr[-2000:]
    opened = json.loads(ran.stdout.splitlines()[-1])
    assert len(opened) > 50
    refused = [path.name for path, ok in zip(paths, opened, strict=True) if not ok]
    assert refused == [], ran.stderr[-2000:]
