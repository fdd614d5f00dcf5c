"""TensorFlow graphs: SavedModel, MetaGraph, frozen GraphDef, and the Keras metadata beside them.

Source: saved_model.proto, meta_graph.proto, graph.proto, node_def.proto, function.proto and
saved_object_graph.proto of TensorFlow. Constants are skipped; every operation, in the graph and in
every function of every meta graph, is looked at by its name.
"""

from __future__ import annotations

import re

from keelmark.core.findings import ArtefactFinding, Severity
from keelmark.vet.contract import Check, File, Result, Rule
from keelmark.vet.protobuf import DATA, INT, TEXT, Message, Span, StepsError, Wire, WireError, walk
from keelmark.vet.sniff import is_text, named

MAX_TEXT = 64 * 1024 * 1024
_MAX_METADATA = 2000
_SCHEMA: dict[str, dict[int, str]] = {
    "SavedModel": {1: INT, 2: "MetaGraph"},
    "MetaGraph": {1: DATA, 2: "Graph", 3: DATA, 4: DATA, 5: DATA, 6: "Asset", 7: "Objects"},
    "Asset": {1: DATA, 2: TEXT},
    "Graph": {1: "Node", 2: "Library", 3: INT, 4: DATA, 5: DATA},
    "Library": {1: "Function", 2: DATA, 3: DATA},
    "Function": {1: DATA, 2: DATA, 3: "Node", 4: DATA, 5: DATA, 6: DATA, 7: DATA, 8: DATA},
    "Node": {1: TEXT, 2: TEXT, 3: TEXT, 4: TEXT, 5: DATA, 6: DATA, 7: DATA},
    "Objects": {1: "Object", 2: DATA},
    "Object": {4: "UserObject"} | dict.fromkeys((1, 2, 3, *range(5, 17)), DATA) | {13: TEXT},
    "UserObject": {1: TEXT, 2: DATA, 3: TEXT},
    "Metadata": {1: "MetadataNode"},
    "MetadataNode": {1: INT, 2: INT, 3: TEXT, 4: TEXT, 5: TEXT, 6: DATA},
    "Fingerprint": {1: INT, 2: INT, 3: INT, 4: INT, 5: INT, 6: TEXT, 7: DATA},
}
_ROOTS = {"saved_model.pb": "SavedModel", "keras_metadata.pb": "Metadata"}
_ROOTS |= {"fingerprint.pb": "Fingerprint"}

_PYTHON = {"PyFunc", "PyFuncStateless", "EagerPyFunc"}
_WRITES = {"WriteFile", "SaveDataset", "SaveDatasetV2", "SnapshotDataset", "SnapshotDatasetV2"}
_WRITES |= {"CreateSummaryFileWriter", "CreateSummaryDbWriter", "DebugIdentity", "DebugIdentityV2"}
_WRITES |= {"DebugIdentityV3"}
_READS = {"ReadFile", "MatchingFiles", "MatchingFilesDataset", "WholeFileReader", "LMDBReader"}
_READS |= {
    "WholeFileReaderV2",
    "TextLineReader",
    "TextLineReaderV2",
    "TFRecordReader",
    "SqlDataset",
}
_READS |= {"TFRecordReaderV2", "FixedLengthRecordReader", "FixedLengthRecordReaderV2"}
_READS |= {"TextLineDataset", "TextLineDatasetV2", "TFRecordDataset", "TFRecordDatasetV2"}
_READS |= {"FixedLengthRecordDataset", "FixedLengthRecordDatasetV2", "CSVDataset", "CSVDatasetV2"}
_READS |= {"LMDBDataset", "LoadDataset", "BigQueryReader", "RpcCall", "RpcClient", "RpcServer"}
_READS |= {"DataServiceDataset", "DataServiceDatasetV2", "DataServiceDatasetV3"}
_READS |= {"DataServiceDatasetV4", "RegisterDataset", "RegisterDatasetV2"}
_GRAPHS = {"DatasetFromGraph", "RemoteFusedGraphExecute", "TfLiteSubgraphExecute"}
_OPAQUE = {"TRTEngineOp": "a TensorRT engine", "XlaCallModule": "a StableHLO module"}
_LEAVES = re.compile(r"\A[/\\~]|\A[A-Za-z]:|://|(?:\A|[/\\])\.\.(?:[/\\]|\Z)|[\0-\x1f]")
_TAGS = ("owasp:llm03",)
_FETCH = "Do not load this model; ask its publisher for one without it."

PYTHON = Rule(
    "savedmodel.python_operation",
    "Operation that calls Python",
    Severity.CRITICAL,
    "The graph calls back into the Python process while it runs.",
    _FETCH,
    (*_TAGS, "cwe:CWE-94"),
)
WRITE = Rule(
    "savedmodel.writes_file",
    "Operation that writes files",
    Severity.CRITICAL,
    "Running the model writes what and where the graph says, such as a start-up file.",
    _FETCH,
    (*_TAGS, "cwe:CWE-73"),
)
READ = Rule(
    "savedmodel.reads_file",
    "Operation that reads files or the network",
    Severity.HIGH,
    "Running the model reads any file the process may read; its output carries it away.",
    _FETCH,
    (*_TAGS, "cwe:CWE-73"),
)
GRAPH = Rule(
    "savedmodel.hidden_graph",
    "Operation that runs a graph kept as data",
    Severity.HIGH,
    "The inner graph is bytes to whoever looks at the outer one.",
    _FETCH,
    (*_TAGS, "cwe:CWE-94"),
)
CUSTOM = Rule(
    "savedmodel.custom_operation",
    "Operations whose code is elsewhere",
    Severity.MEDIUM,
    "They need a native library that is no part of the model.",
    "Read or build the library yourself, or use a model of standard operations.",
    (*_TAGS, "cwe:CWE-829"),
)
ASSET = Rule(
    "savedmodel.asset_path",
    "Asset outside the model's folder",
    Severity.HIGH,
    "The loader opens any file that it may read.",
    _FETCH,
    (*_TAGS, "cwe:CWE-22"),
)
FOREIGN = Rule(
    "savedmodel.foreign_data",
    "Data that is not part of the format",
    Severity.MEDIUM,
    "Loaders skip fields they do not know, so anything can travel in them.",
    "Compare the file with the original publisher's.",
    _TAGS,
)
MALFORMED = Rule(
    "savedmodel.malformed",
    "Damaged TensorFlow graph",
    Severity.HIGH,
    "It is cut off, has bytes behind its end, or is something else under this name.",
    "Fetch the file again from its publisher and compare the digest.",
    (*_TAGS, "cwe:CWE-20"),
)


class _Seen:
    def __init__(self, file: File, wire: Wire) -> None:
        self.file, self.wire = file, wire
        self.findings: list[ArtefactFinding] = []
        self.reasons: dict[str, None] = {}
        self.members: list[File] = []
        self.nodes = 0
        self.unknown = 0

    def add(self, rule: Rule, where: str, message: str, evidence: str = "") -> None:
        if len(self.findings) < 200:
            self.findings.append(rule.at(self.file, where, message, evidence=evidence))


def _claims(file: File) -> bool:
    return named(file, ".pb", ".pbtxt", ".meta") or bool(_root_by_content(file.head))


def _root_by_content(head: bytes) -> str:
    """Return the message that a file is, as far as its first fields tell."""
    if re.match(rb"\x08\x01\x12[\x01-\xff][\x00-\xff]{0,4}?\x0a[\x01-\xff]", head[:12]):
        return "SavedModel"
    # A node: its length, then its name and its operation.
    node = (
        rb"\x0a[\x05-\xff][\x01-\x7f]?\x0a(?P<size>[\x01-\x7f])[\x20-\x7e]+\x12[\x02-\x40][A-Z]\w+"
    )
    match = re.match(node, head[:300])
    return "Graph" if match and head[match.start("size") + 1 + match["size"][0]] == 0x12 else ""


def _run(file: File) -> Result:
    if file.suffix == ".pbtxt" and is_text(file.head, whole=file.size <= len(file.head)):
        return _text(file)
    root = _ROOTS.get(file.name) or _root_by_content(file.head)
    seen = _examine(file, root or _guess(file))
    if not root and not seen.nodes:  # the name alone says little: many things are called .pb
        return Result((), "it is not a TensorFlow graph that is known here")
    return Result(tuple(seen.findings), "; ".join(list(seen.reasons)[:3]), seen.members)


def _guess(file: File) -> str:
    return "MetaGraph" if file.suffix == ".meta" else "Graph"


def _examine(file: File, root: str) -> _Seen:
    wire = Wire(file)
    seen = _Seen(file, wire)
    try:
        for message in walk(wire, _SCHEMA, root, Span(0, file.size)):
            _visit(seen, message)
    except WireError as error:
        seen.add(MALFORMED, "file", f"It is not a TensorFlow graph from start to end: {error}.")
        seen.reasons["the protocol buffer is damaged"] = None
    except StepsError as error:
        seen.reasons[str(error)] = None
    if root in {"Graph", "MetaGraph", "SavedModel"} and not seen.nodes and not seen.reasons:
        seen.reasons["there is no TensorFlow graph in it"] = None
    return seen


def _visit(seen: _Seen, message: Message) -> None:
    for number, span in message.unknown:
        text = f"{message.type} has the field {number} of {span.size} bytes, which is not known."
        seen.add(FOREIGN, f"offset {span.start}", text)
        seen.reasons["it has fields that are not known"] = None
    if message.type == "Node":
        seen.nodes += 1
        for operation in seen.wire.texts(message, 2):
            _operation(seen, operation, message)
    elif message.type == "Asset":
        for path in seen.wire.texts(message, 2):
            if _LEAVES.search(path):
                seen.add(
                    ASSET, f"offset {message.span.start}", f"An asset is {path[:120]!r}.", path
                )
    elif message.type in {"UserObject", "MetadataNode"}:
        for span in message.spans.get(3 if message.type == "UserObject" else 5, ()):
            _metadata(seen, span)


def _operation(seen: _Seen, operation: str, message: Message) -> None:
    """Judge an operation by its exact name; `>` stands in names of packages of operations."""
    if operation in _OPAQUE:
        seen.reasons[f"{_OPAQUE[operation]} in {operation} is not examined"] = None
        return
    found = _judge(operation)
    if found is None:
        return
    rule, message_text = found
    node = "".join(seen.wire.texts(message, 1)[-1:])[:120]
    where = f"node {node}" if node else f"offset {message.span.start}"
    seen.add(rule, where, message_text, operation)
    if rule is CUSTOM:
        seen.reasons[f"the code of {operation[:80]} is not in the file"] = None


def _judge(operation: str) -> tuple[Rule, str] | None:
    for names, rule, what in (
        (_PYTHON, PYTHON, "calls Python"),
        (_WRITES, WRITE, "writes files"),
        (_READS, READ, "reads files or the network"),
        (_GRAPHS, GRAPH, "runs a graph that is kept as data"),
    ):
        if operation in names:
            return rule, f"The operation {operation} {what}."
    if operation.startswith("IO>"):
        return READ, f"The operation {operation[:80]} reads files or the network."
    if ">" in operation:
        return CUSTOM, f"The operation {operation[:80]} is not TensorFlow's."
    return None


def _metadata(seen: _Seen, span: Span) -> None:
    """Keras keeps the configuration of each layer as JSON; the Keras check reads it."""
    if span.size < 2 or len(seen.members) >= _MAX_METADATA:
        if span.size >= 2:
            seen.reasons[f"there are more than {_MAX_METADATA} Keras objects"] = None
        return
    data = seen.file.read(span.start, span.size)
    if data.lstrip()[:1] == b"{":
        seen.members.append(seen.file.member("keras_metadata.json", data))


def _text(file: File) -> Result:
    """The text form is read by its `op:` lines; a quotation mark may be of either kind."""
    if file.size > MAX_TEXT:
        return Result((), f"the text is longer than {MAX_TEXT} bytes")
    data = file.all()
    if not is_text(data, whole=True):
        return Result((), "it is not UTF-8 text throughout")
    text = data.decode()
    findings = []
    for match in re.finditer(r"\bop\s*:?\s*[\"']([^\"'\n]{1,200})[\"']", text):
        found = _judge(re.sub(r"\\x?([0-9a-fA-F]{2,3})", "", match[1]))
        if found:
            line = text.count("\n", 0, match.start()) + 1
            findings.append(found[0].at(file, f"line {line}", found[1], evidence=match[1]))
    escaped = re.search(r"\bop\s*:?\s*[\"'][^\"'\n]*\\", text)
    return Result(tuple(findings[:200]), "an operation's name is escaped" if escaped else "")


CHECK = Check(
    title="TensorFlow graphs",
    version="1",
    tags=(*_TAGS, "cwe:CWE-73", "cwe:CWE-94"),
    rules=(PYTHON, WRITE, READ, GRAPH, CUSTOM, ASSET, FOREIGN, MALFORMED),
    examples=(
        "savedmodel-py-func",
        "savedmodel-write-file",
        "savedmodel-read-file",
        "savedmodel-hidden-graph",
        "savedmodel-custom-operation",
        "savedmodel-asset-path",
        "savedmodel-foreign-field",
        "savedmodel-truncated",
    ),
    claims=_claims,
    run=_run,
)
