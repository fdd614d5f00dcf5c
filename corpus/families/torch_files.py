"""The forms of torch's files: stacked streams, tar, TorchScript, exported programs, packages."""

from __future__ import annotations

import io
import struct
import tarfile

from corpus.case import benign, hostile
from corpus.families.archives import make_tar, make_zip, torch_pickle, torch_zip
from corpus.families.gadgets import tensor
from corpus.families.pickles import CALL, INNER, call, glob

MAGIC = b"\x80\2\x8a\x0a" + (0x1950A86A20F9469CFC6C).to_bytes(10, "little") + b"."
VERSION = b"\x80\2M\xe9\x03."
SYSTEM = b"\x80\2}(X\x0d\0\0\0little_endian\x88u."
KEYS = b"\x80\2]X\1\0\0\x000a."
STORAGE = struct.pack("<q4f", 4, 1, 2, 3, 4)


def stacked(main: bytes, storage: bytes = STORAGE) -> bytes:
    """Five streams, then the storages: what torch wrote until 1.6."""
    return MAGIC + VERSION + SYSTEM + main + KEYS + storage


benign("torch-stacked-twin", {"pytorch_model.bin": stacked(tensor(4))})
hostile("torch-stacked-call", CALL, {"pytorch_model.bin": stacked(call("os.system"))})
hostile("torch-stacked-magic-bypass", CALL, {"m.pt": call("os.system") + stacked(tensor(4))})
hostile(
    "torch-stacked-magic-computed",
    CALL,
    {"m.pt": stacked(tensor(4)).replace(MAGIC, b"\x80\2" + glob("builtins.eval") + b"V1\n\x85R.")},
)
hostile("torch-stacked-behind", "", {"m.pt": stacked(tensor(4)) + b"PAYLOAD"}, "incomplete")
hostile("torch-stacked-short", "", {"m.pt": stacked(tensor(4), STORAGE[:-1])}, "incomplete")


def old_tar(tensors: bytes = b"K\1.") -> bytes:
    """The four members that torch wrote before 0.2."""
    storage = b"K\1." + b"\x80\2X\1\0\0\x000X\3\0\0\0cpu" + glob("torch.FloatStorage") + b"\x87."
    key = b"\x80\2X\1\0\0\x000X\1\0\0\x000" + glob("torch.FloatTensor") + b"\x87."
    shape = struct.pack("<i4xqqq", 1, 4, 1, 0)
    return make_tar(
        {
            "sys_info": SYSTEM,
            "pickle": b"\x80\2}X\1\0\0\0wX\1\0\0\x000Qs.",
            "tensors": tensors + key + shape,
            "storages": storage + STORAGE,
        }
    )


hostile("torch-tar-persistent", "pickle.persistent_id", {"m.pt": old_tar()}, "incomplete")
hostile("torch-tar-call", CALL, {"m.pt": old_tar(tensors=call("os.system"))})
V7 = bytearray(make_tar({"data": INNER}))
V7[257:265] = bytes(8)
V7[148:156] = b"%06o\0 " % (sum(V7[:148]) + 256 + sum(V7[156:512]))
hostile("tar-v7-without-mark", CALL, {"m.pt": bytes(V7)})
hostile(
    "tar-same-name-twice",
    "archive.mismatch",
    {"m.nemo": make_tar({"w": b"text"})[:1024] + make_tar({"w": b"TEXT"})},
    "fail",
)

SCRIPT = b"""class Linear(Module):
  __parameters__ = ["weight", ]
  __buffers__ = []
  weight : Tensor
  training : bool
  def forward(self: __torch__.Linear,
    input: Tensor) -> Tensor:
    return torch.linear(input, self.weight)
"""


def script(
    code: bytes, data: bytes = b"\x80\2c__torch__\nLinear\n)\x81}(X\1\0\0\0wK\1ub."
) -> bytes:
    return make_zip(
        {
            "m/data.pkl": data,
            "m/code/__torch__.py": code,
            "m/code/__torch__.py.debug_pkl": b"\x80\2(K\0K\1t.",
            "m/constants.pkl": b"\x80\2).",
            "m/version": b"3\n",
        }
    )


def with_line(line: bytes) -> bytes:
    return script(SCRIPT.replace(b"    return", b"    " + line + b"\n    return"))


benign("torchscript-twin", {"m.pt": script(SCRIPT)})
hostile(
    "torchscript-cve-2025-32434-from-file",
    "torch_archive.file_operator",
    {"m.pt": with_line(b'_0 = torch.from_file("/etc/hostname", False, 8)')},
)
hostile(
    "torchscript-cve-2025-32434-save",
    "torch_archive.file_operator",
    {"m.pt": with_line(b'ops.aten.save(input, "/tmp/x")')},
)
hostile(
    "torchscript-import", "torch_archive.not_torchscript", {"m.pt": script(b"import os\n" + SCRIPT)}
)
hostile(
    "torchscript-custom-operator",
    "torch_archive.custom_operator",
    {"m.pt": with_line(b"_0 = ops.mylib.run(input)")},
    "pass",
)
hostile("torchscript-data-call", CALL, {"m.pt": script(SCRIPT, call("os.system"))})

EXPORTED = {
    "m/archive_format": b"pt2",
    "m/archive_version": b"0",
    "m/byteorder": b"little",
    "m/models/model.json": b'{"graph_module": {}}',
    "m/data/weights/model_weights_config.json": b'{"config": {"w": {"path_name": "weight_0"}}}',
    "m/data/weights/weight_0": struct.pack("<4f", 1, 2, 3, 4),
    "m/data/sample_inputs/model.pt": torch_zip(torch_pickle()),
    "m/.data/version": b"3\n",
}
benign("pt2-twin", {"m.pt2": make_zip(EXPORTED)})
hostile(
    "pt2-pickled-inputs",
    CALL,
    {"m.pt2": make_zip(EXPORTED | {"m/data/sample_inputs/model.pt": torch_zip(INNER)})},
)
hostile(
    "pt2-pickled-weight",
    CALL,
    {"m.pt2": make_zip(EXPORTED | {"m/data/weights/weight_0": torch_zip(INNER)})},
)
hostile(
    "pt2-pickled-constant",
    CALL,
    {"m.pt2": make_zip(EXPORTED | {"m/data/constants/custom_obj_0": call("os.system")})},
)
hostile(
    "pt2-native-code",
    "torch_archive.native_code",
    {"m.pt2": make_zip(EXPORTED | {"m/data/aotinductor/model/c.so": b"\x7fELF" + bytes(60)})},
)

PACKAGED = {
    "m/.data/extern_modules": b"torch.nn\n",
    "m/.data/python_version": b"3.11\n",
    "m/.data/version": b"6\n",
    "m/.data/0.storage": struct.pack("<4f", 1, 2, 3, 4),
    "m/model/model.pkl": tensor(4),
}
benign("torch-package-twin", {"m.pt": make_zip(PACKAGED)})
hostile(
    "torch-package-code",
    "torch_archive.package_code",
    {"m.pt": make_zip(PACKAGED | {"m/model/net.py": b"class Net:\n    pass\n"})},
    "pass",
)
hostile(
    "torch-package-hostile-code",
    "torch_archive.package_code remote_code.dangerous_python",
    {"m.pt": make_zip(PACKAGED | {"m/model/net.py": b"import os\nos.system('true')\n"})},
)
hostile(
    "mar-handler",
    "remote_code.dangerous_python",
    {
        "m.mar": make_zip(
            {
                "MAR-INF/MANIFEST.json": b'{"model": {"handler": "handler.py"}}',
                "handler.py": b"import subprocess\nsubprocess.run(['true'])\n",
            }
        )
    },
)
hostile(
    "mar-pickle",
    CALL,
    {"m.mar": make_zip({"MAR-INF/MANIFEST.json": b"{}", "w.pt": torch_zip(INNER)})},
)
benign(
    "mar-twin",
    {"m.mar": make_zip({"MAR-INF/MANIFEST.json": b"{}", "w.pt": torch_zip(torch_pickle())})},
)


def nemo(config: bytes) -> bytes:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w", format=tarfile.USTAR_FORMAT) as archive:
        for name, data in {
            "./model_config.yaml": config,
            "./model_weights.ckpt": torch_zip(torch_pickle()),
        }.items():
            info = tarfile.TarInfo(name)
            info.size = len(data)
            archive.addfile(info, io.BytesIO(data))
    return out.getvalue()


GOOD = b"""target: nemo.collections.asr.models.EncDecCTCModel
encoder:
  _target_: nemo.collections.asr.modules.ConformerEncoder
  feat_in: 80
optim:
  name: adamw
"""
benign("nemo-twin", {"m.nemo": nemo(GOOD)})
hostile(
    "nemo-cve-2025-23304-target",
    "hydra.dangerous_target",
    {"m.nemo": nemo(GOOD + b"extra:\n  _target_: os.system\n  command: 'true'\n")},
)
hostile(
    "nemo-escaped-target",
    "hydra.dangerous_target",
    {"m.nemo": nemo(GOOD + b'extra: {"\\x5ftarget_": "subprocess.Popen", args: "true"}\n')},
)
hostile(
    "nemo-function-target",
    "hydra.function_target",
    {"m.nemo": nemo(GOOD.replace(b"asr.modules.ConformerEncoder", b"common.utils.fetch"))},
    "incomplete",
)
hostile(
    "nemo-weights-call",
    CALL,
    {"m.nemo": make_tar({"model_config.yaml": GOOD, "model_weights.ckpt": torch_zip(INNER)})},
)
hostile(
    "hydra-unknown-target",
    "hydra.unknown_target",
    {"config.yaml": b"model:\n  _target_: mypackage.nets.Net\n"},
    "incomplete",
)
benign("hydra-twin", {"config.yaml": b"model:\n  _target_: torch.nn.Linear\n  in_features: 4\n"})
