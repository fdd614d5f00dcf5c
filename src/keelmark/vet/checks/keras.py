"""Keras configurations: what a loader builds, imports and opens because the file says so.

Source: Keras' serialization format (`module`, `class_name`, `config`, `registered_name`) and its
legacy HDF5 one. What is allowed is named, not what is forbidden: older loaders import any module.
"""

from __future__ import annotations

import base64
import binascii
import builtins
import json
import re
from collections.abc import Iterator
from typing import Any

from keelmark.core.findings import ArtefactFinding, Severity
from keelmark.vet.contract import Check, File, Result, Rule
from keelmark.vet.json_file import load_json
from keelmark.vet.sniff import POINTER

MAX_CONFIG = 128 * 1024 * 1024
_TAGS = ("owasp:llm03",)
_FETCH = "Do not load this model; ask its publisher for one without it."

LAMBDA = Rule(
    "keras.lambda",
    "Layer that carries Python bytecode",
    Severity.CRITICAL,
    "Loading the model runs the code, in older versions even in safe mode.",
    _FETCH,
    (*_TAGS, "cwe:CWE-94", "cve:CVE-2024-3660", "cve:CVE-2025-9905", "cve:CVE-2025-9906"),
)
IMPORT = Rule(
    "keras.foreign_import",
    "Names Python outside Keras' building blocks",
    Severity.CRITICAL,
    "The loader imports the module and calls what it finds with arguments from the file.",
    _FETCH,
    (*_TAGS, "cwe:CWE-502", "cve:CVE-2025-1550", "cve:CVE-2025-8747", "cve:CVE-2025-12060"),
)
UNSAFE = Rule(
    "keras.unsafe_layer",
    "Layer that loads code of another framework",
    Severity.CRITICAL,
    "It unpickles a module or loads a graph from a path while the model is built.",
    _FETCH,
    (*_TAGS, "cwe:CWE-502", "cve:CVE-2025-49655"),
)
FILE = Rule(
    "keras.file_access",
    "Layer that opens a file or address",
    Severity.HIGH,
    "Building the model reads the named file, or fetches the address.",
    _FETCH,
    (*_TAGS, "cwe:CWE-73", "cwe:CWE-918", "cve:CVE-2025-12058"),
)
CUSTOM = Rule(
    "keras.custom_object",
    "Needs classes that are not Keras'",
    Severity.LOW,
    "What the model does depends on code that is no part of the file.",
    "Read the code of the named classes before you register them.",
    (*_TAGS, "cwe:CWE-829"),
)

_PARTS = (
    "layers models activations initializers regularizers constraints losses metrics optimizers "
    "dtype_policies mixed_precision ops random quantizers engine legacy_tf_layers premade_models "
    "tokenizers samplers"
)
_ROOTS = r"(?:keras|tf_keras|keras_core|tensorflow\.keras|tensorflow\.python\.keras|keras_hub|"
_ROOTS += r"keras_nlp|keras_cv|keras_tuner)"
_MODULE = re.compile(
    rf"{_ROOTS}(?:\.api|\.src|\.v2|\._v2)*(?:\.(?:{'|'.join(_PARTS.split())})(?:\.\w+)*)?\Z"
)
# With PyTorch behind it Keras saves the optimizer under the module in which it is made faster.
_BACKEND = re.compile(r"keras\.src\.backend\.torch\.optimizers\.torch_[a-z]+\Z")
_OPTIMIZERS = {"SGD", "RMSprop", "Adam", "AdamW", "Adadelta", "Adagrad", "Adamax", "Nadam", "Lion"}
# Parts of allowed modules that are no building blocks: they hold helpers and whole modules.
_HELPERS = re.compile(r"\.(?:\w*utils?|saving|saved_model|\w*_test|tests?|backend|export)(?:\.|\Z)")
_TOP = {"Sequential", "Model", "Functional", "DTypePolicy", "Variable", "KerasTensor", "Layer"}
_TOP |= {"Initializer", "Loss", "Metric", "Optimizer", "Regularizer", "Quantizer", "InputSpec"}
_TOP |= {"FloatDTypePolicy", "QuantizedDTypePolicy", "QuantizedFloat8DTypePolicy", "Function"}
_TOP |= {"DTypePolicyMap", "Operation", "Policy"}
_MARKS = {"__keras_tensor__", "__tensor__", "__numpy__", "__bytes__", "__ellipsis__", "__slice__"}
_MARKS |= {"__typespec__", "__tuple__", "TensorShape", "TypeSpec", "CompositeTensor"}
# Registered names of Keras itself; versions 2.11 and 2.12 register their own optimizers as custom.
_REGISTERED = re.compile(
    r"(?:keras(?:_hub|_nlp|_cv|_core)?|builtins|Addons)>|Custom>(?:Ada\w+|SGD|RMSprop|Nadam|Ftrl|"
    r"Lion)\Z"
)
_LOADERS = {"TorchModuleWrapper", "TFSMLayer", "FlaxLayer", "JaxLayer", "SafeTorchModuleWrapper"}
_LOOKUPS = {"StringLookup", "IntegerLookup", "IndexLookup", "TextVectorization"}
_GRAPH_FILES = re.compile(
    r"(?:\A|[.\W])(?:io|gfile|py_func\w*|numpy_function|eager_py_func|read_file|write_file|"
    r"matching_files|ReadFile|WriteFile|PyFunc\w*|EagerPyFunc|MatchingFiles|load_library|"
    r"load_op_library)(?:\Z|[.\W])"
)


_OURS = {"model_config.json", "training_config.json", "keras_metadata.json"}
_VOCABULARIES = {"tokenizer.json", "vocab.json", "added_tokens.json"}


def _claims(file: File) -> bool:
    if file.name in _OURS:
        return True
    if file.path.lower().endswith(".keras") and file.name == "config.json":
        return True
    if file.size > len(file.head) and file.suffix == ".json" and file.name not in _VOCABULARIES:
        return not file.head.startswith(POINTER)  # its names may stand further behind
    plain = b'"class_name"' in file.head or b'"\\u00' in file.head
    return file.suffix == ".json" and plain and b'"config"' in file.head


def _run(file: File) -> Result:
    if file.size > MAX_CONFIG:
        return Result((), f"the configuration is longer than {MAX_CONFIG} bytes")
    try:
        value = load_json(file)
    except (ValueError, RecursionError) as error:
        return Result((), f"it is not JSON ({error})")
    known = file.name in _OURS or file.inner or file.size <= len(file.head)
    if not known and not (isinstance(value, dict) and "class_name" in value):
        return Result()  # some other long JSON
    findings = list(_walk(file, value))
    custom = sorted({f.evidence for f in findings if f.rule == CUSTOM.id})
    reason = f"the code of {', '.join(custom[:5])} is not in the file" if custom else ""
    return Result(tuple(findings[:200]), reason)


def _walk(file: File, value: Any) -> Iterator[ArtefactFinding]:
    pending = [("", value, "")]
    while pending:
        path, item, layer = pending.pop()
        if isinstance(item, list):
            pending += [(f"{path}[{n}]", child, layer) for n, child in enumerate(item)]
        if not isinstance(item, dict):
            continue
        where = path.lstrip(".") or "configuration"
        name = item.get("class_name")
        if isinstance(name, str):
            yield from _object(file, where, name, item)
            layer = name
        elif isinstance(name, dict | list):  # older loaders take a whole configuration here
            yield IMPORT.at(file, where, "The name of a class is no name but a structure.")
        yield from _legacy(file, where, item, layer)
        pending += [(f"{path}.{key}", child, layer) for key, child in item.items()]


def _object(file: File, where: str, name: str, item: dict[str, Any]) -> Iterator[ArtefactFinding]:
    module, config = item.get("module"), item.get("config")
    registered = item.get("registered_name")
    if name in {"Lambda", "__lambda__"} or name.endswith(">Lambda"):
        yield LAMBDA.at(file, where, _bytecode(item), evidence=name)
    if name in _LOADERS or name.rpartition(">")[2] in _LOADERS:
        message = f"The layer {name} loads a module of another framework."
        yield UNSAFE.at(file, where, message, evidence=name)
    yield from _files(file, where, name, config)
    if isinstance(module, str) and module and name not in _MARKS:
        target = config if name == "function" and isinstance(config, str) else name
        if not _allowed(module, str(target)):
            shown = f"{module}.{target}"
            message = f"The loader is told to take {shown}."
            yield IMPORT.at(file, where, message, evidence=shown)
    elif module is not None and not isinstance(module, str):
        yield IMPORT.at(file, where, "The name of a module is no text.")
    needs = registered if isinstance(registered, str) and ">" in registered else ""
    if not needs and ">" in name:
        needs = name
    if isinstance(module, str) and module == "__main__":
        needs = needs or f"__main__>{config if name == 'function' else name}"
    if needs and not _REGISTERED.match(needs):
        message = f"The class or function {needs} must come from elsewhere."
        yield CUSTOM.at(file, where, message, evidence=needs)


def _allowed(module: str, name: str) -> bool:
    if module == "__main__":  # nothing is imported for it; its class must be at hand
        return True
    if module == "builtins":  # functions by name only; older loaders look there, too
        return name.isidentifier() and not hasattr(builtins, name)
    if _BACKEND.match(module):
        return name in _OPTIMIZERS
    if _HELPERS.search(module) or not _MODULE.match(module):
        return False
    if "." not in module.removeprefix("tensorflow.").removesuffix(".src"):
        return name in _TOP
    return name.isidentifier()


def _legacy(file: File, where: str, item: dict[str, Any], layer: str) -> Iterator[ArtefactFinding]:
    """What older formats say outside of `class_name`: functions by symbol, whole graph nodes."""
    function = item.get("function")
    if layer in {"TFOpLambda", "TFLambda", "ClassMethod", "InstanceMethod", "InstanceProperty"}:
        symbol = str(function or item.get("attr_name") or item.get("method_name") or "")
        if _GRAPH_FILES.search(symbol):
            message = f"A layer calls TensorFlow's {symbol}."
            yield FILE.at(file, where, message, evidence=symbol, severity=Severity.CRITICAL)
    node = item.get("node_def")
    if isinstance(node, str | dict) and (match := _GRAPH_FILES.search(json.dumps(node))):
        message = "A layer holds an operation that reaches files or Python."
        yield FILE.at(file, where, message, evidence=match[0], severity=Severity.CRITICAL)
    module = item.get("fn_module") or (item.get("module") if "class_name" not in item else None)
    if isinstance(module, str) and "function_type" in item and layer != "Lambda":
        yield IMPORT.at(file, where, f"A function is taken from {module}.", evidence=module)


def _files(file: File, where: str, name: str, config: Any) -> Iterator[ArtefactFinding]:
    if not isinstance(config, dict):
        return
    for key in ("vocabulary", "idf_weights", "filepath", "file_path", "saved_model", "origin"):
        value = config.get(key)
        lookup = name.rpartition(">")[2] in _LOOKUPS or key not in {"vocabulary", "idf_weights"}
        if isinstance(value, str) and value and lookup:
            message = f"The layer {name} opens {value[:120]!r}."
            yield FILE.at(file, f"{where}.config.{key}", message, evidence=value)


def _bytecode(item: dict[str, Any]) -> str:
    """Say how much code a Lambda carries."""
    text = json.dumps(item.get("config"))
    sizes = []
    for match in re.finditer(r'"([A-Za-z0-9+/=]{16,}(?:\\n[A-Za-z0-9+/=]*)*)"', text):
        try:
            sizes.append(len(base64.b64decode(match[1].replace("\\n", ""), validate=True)))
        except binascii.Error:
            continue
    if sizes:
        return f"A Lambda layer carries {max(sizes)} bytes of Python bytecode."
    return "A Lambda layer calls a function that the file names."


CHECK = Check(
    title="Keras configurations",
    version="2",
    tags=tuple(sorted({tag for rule in (LAMBDA, IMPORT, UNSAFE, FILE) for tag in rule.tags})),
    rules=(LAMBDA, IMPORT, UNSAFE, FILE, CUSTOM),
    examples=(
        "keras-lambda-cve-2024-3660",
        "keras-import-cve-2025-1550",
        "keras-torch-cve-2025-49655",
        "keras-vocabulary-cve-2025-12058",
        "keras-custom-object",
    ),
    claims=_claims,
    run=_run,
)
