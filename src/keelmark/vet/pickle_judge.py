"""What the imports and calls of a pickle stream would do, and what to say about it."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from typing import NamedTuple

from keelmark.vet.pickle_names import CLASS, JUDGED_BY_CALL, Level, level
from keelmark.vet.pickle_values import Blob, Call, Made, Name, Opaque, names_in, shown


class Concern(NamedTuple):
    """Something to report.

    Attributes:
        kind: `call`, `global`, `class`, `rebound`, `odd`, `extension` or `import`.
        level: How grave.
        at: Offset.
        name: What it is about, with its module.
        message: One sentence.
        evidence: What was seen.
    """

    kind: str
    level: Level
    at: int
    name: str
    message: str
    evidence: str


_CODECS = {"latin1", "latin-1", "utf-8", "utf8", "ascii", "iso-8859-1"}
_UFUNCS = {"numpy", "numpy._core.umath", "numpy.core.umath", "scipy.special"}
_NUMBERS = re.compile(
    r"torch\._utils\._rebuild|torch\.(Tensor|\w+Storage|storage\.)|numpy\.dtype\Z"
)


def judge_import(name: Name) -> Concern | None:
    """Judge an import on its own."""
    found = level(name.module, name.name, "import")
    if found is Level.HARMLESS:
        return None
    what = {
        Level.DANGEROUS: f"It imports {name.full}, which can run code or reach files.",
        Level.UNKNOWN: f"It imports {name.full}, which is not known to be harmless.",
        Level.FOREIGN: f"It needs {name.full}, of a package that is not known.",
    }[found]
    kind = "global" if found is Level.DANGEROUS else "import"
    return Concern(kind, found, name.at, name.full, what, name.full)


def judge_call(call: Call) -> Iterator[Concern]:
    """Judge a call, and the calls that it makes in turn."""
    args = shown(call.args) if isinstance(call.args, tuple) else f"({shown(call.args)})"
    callee, evidence = call.callee, f"{shown(call.callee)}{args}"
    if call.how == "extension":
        message = "It imports by an extension code, which only the loading process can resolve."
        yield Concern("extension", Level.DANGEROUS, call.at, "", message, shown(callee))
    elif call.how in {"state", "fill"}:
        yield from _judge_filling(call)
    elif isinstance(callee, Name):
        yield from _judge_named(call, callee, evidence)
    elif isinstance(callee, Made) and (found := _attribute(callee)):
        yield from judge_call(call._replace(callee=found))
    elif isinstance(callee, Made):
        message = "It calls what another call returned, so what runs cannot be told from the file."
        yield Concern("call", Level.UNKNOWN, call.at, shown(callee), message, evidence)
    elif not isinstance(callee, Opaque) or callee.what != "persistent id":
        message = "It calls something that is no function."
        yield Concern("odd", Level.UNKNOWN, call.at, "", message, evidence)


def _attribute(made: object) -> Name | None:
    """Return what `getattr(class, "name")` leads to, None when it is no such call."""
    if not isinstance(made, Made) or not isinstance(made.callee, Name):
        return None
    if made.callee.name != "getattr" or not isinstance(made.args, tuple) or len(made.args) != 2:
        return None
    owner, attribute = made.args
    if not isinstance(owner, Name) or not isinstance(attribute, str):
        return None
    return Name(owner.module, f"{owner.name}.{attribute}", made.at)


def _judge_filling(call: Call) -> Iterator[Concern]:
    target = call.callee
    evidence = f"{shown(target)} ← {shown(call.args)}"
    if isinstance(target, Name):
        if target.module.split(".")[0] == "__torch__":
            return
        message = f"It changes {target.full} itself, for everything that uses it afterwards."
        yield Concern("rebound", Level.DANGEROUS, call.at, target.full, message, evidence)
    elif isinstance(target, Made):
        if isinstance(target.callee, Name) and _NUMBERS.match(target.callee.full):
            message = "It writes into a tensor while it is made, which corrupts memory in torch."
            yield Concern("odd", Level.UNKNOWN, call.at, target.callee.full, message, evidence)
    elif not isinstance(target, Opaque):
        message = "It fills something that cannot be filled."
        yield Concern("odd", Level.UNKNOWN, call.at, "", message, evidence)


def _judge_named(call: Call, callee: Name, evidence: str) -> Iterator[Concern]:
    how = "new" if call.how == "new" else "call"
    found = level(callee.module, callee.name, how)
    if callee.full in JUDGED_BY_CALL and _is_plain(call, callee):
        return
    if found is Level.HARMLESS:
        yield from _judge_arguments(call, callee, evidence)
        return
    message = {
        Level.DANGEROUS: f"Loading it calls {callee.full}.",
        Level.UNKNOWN: f"Loading it calls {callee.full}, which is not known to be harmless.",
        Level.FOREIGN: f"It builds an object of {callee.full}, a class that is not known.",
    }[found]
    if found is Level.UNKNOWN and how == "new":
        message = f"It builds an object of {callee.full}, which is not known to be harmless."
    kind = "class" if found is Level.FOREIGN else "call"
    yield Concern(kind, found, call.at, callee.full, message, evidence)


def _is_plain(call: Call, callee: Name) -> bool:
    """Whether `type` is asked for a constant's type, `getattr` for a part of a known class."""
    if callee.name == "type":
        return call.args == (None,)
    found = _attribute(Made(callee, call.args, call.at))
    return bool(found) and level(found.module, found.name, "import") is Level.HARMLESS  # type: ignore[union-attr]


_Args = tuple[object, ...]


def _judge_arguments(call: Call, callee: Name, evidence: str) -> Iterator[Concern]:
    """Judge what a harmless function is given, as far as it calls or resolves that."""
    args = call.args if isinstance(call.args, tuple) else ()
    if call.how == "new" and len(args) == 2 and isinstance(args[0], tuple):
        args = args[0]  # NEWOBJ_EX
    special = next((look for name, look in _SPECIAL.items() if callee.full.endswith(name)), None)
    if special:
        for concern in special(call, callee, args):
            yield concern._replace(evidence=concern.evidence or evidence)
    elif call.how == "call":
        yield from _judge_handed_over(call, callee, args, evidence)


def _bad(call: Call, callee: Name, message: str, *, grave: bool = True) -> Concern:
    found = Level.DANGEROUS if grave else Level.UNKNOWN
    return Concern("call", found, call.at, callee.full, message, "")


def _reconstructor(call: Call, callee: Name, args: _Args) -> Iterator[Concern]:
    if args:
        yield from judge_call(Call(call.at, "new", args[0], ()))
    if len(args) > 1 and callee.name == "_reconstructor":
        yield from judge_call(Call(call.at, "call", args[1], ()))


def _ufunc(call: Call, callee: Name, args: _Args) -> Iterator[Concern]:
    if len(args) != 2 or args[0] not in _UFUNCS or not isinstance(args[1], str):
        yield _bad(call, callee, f"Loading it looks up {shown(args)} by name.")
    elif level(str(args[0]), args[1], "import") is not Level.HARMLESS:
        yield _bad(call, callee, f"Loading it looks up {args[1]} in {args[0]}.")


def _first_on_third(call: Call, _: Name, args: _Args) -> Iterator[Concern]:
    if len(args) > 2:
        yield from judge_call(Call(call.at, "call", args[0], args[2]))


def _first_on_second(call: Call, _: Name, args: _Args) -> Iterator[Concern]:
    if len(args) > 1:
        yield from judge_call(Call(call.at, "call", args[0], args[1]))


def _partial(call: Call, callee: Name, args: _Args) -> Iterator[Concern]:
    if not args or not isinstance(args[0], Name):
        yield _bad(call, callee, "It makes a call ready of something that is no plain name.")


def _encode(call: Call, callee: Name, args: _Args) -> Iterator[Concern]:
    if len(args) > 1 and args[1] not in _CODECS:
        yield _bad(call, callee, "It encodes by a codec of its own.", grave=False)


def _tensor(call: Call, callee: Name, args: _Args) -> Iterator[Concern]:
    if _overreaches(args):
        message = "A tensor reaches beyond its storage, into memory that is not its own."
        yield Concern("odd", Level.UNKNOWN, call.at, callee.full, message, "")


def _load_from_bytes(call: Call, callee: Name, args: _Args) -> Iterator[Concern]:
    if not args or not isinstance(args[0], bytes | Blob):
        yield _bad(call, callee, f"Loading it calls {callee.full}, which unpickles.")


def _anything(*_: object) -> Iterator[Concern]:
    yield from ()


_SPECIAL: dict[str, Callable[[Call, Name, _Args], Iterator[Concern]]] = {
    "copyreg._reconstructor": _reconstructor,
    "copy_reg._reconstructor": _reconstructor,
    ".__newobj__": _reconstructor,
    ".__newobj_ex__": _reconstructor,
    "._ufunc_reconstruct": _ufunc,
    "torch._tensor._rebuild_from_type": _first_on_third,
    "torch._tensor._rebuild_from_type_v2": _first_on_third,
    "dill._dill._create_array": _first_on_second,
    "functools.partial": _partial,
    "codecs.encode": _encode,
    "torch._utils._rebuild_tensor": _tensor,
    "torch._utils._rebuild_tensor_v2": _tensor,
    "torch._utils._rebuild_tensor_v3": _tensor,
    "torch.storage._load_from_bytes": _load_from_bytes,
    "collections.defaultdict": _anything,
}


def _overreaches(args: tuple[object, ...]) -> bool:
    """Whether a tensor's offset, sizes and strides lead outside its storage."""
    if len(args) < 4 or not isinstance(args[0], Opaque) or not isinstance(args[0].value, tuple):
        return False
    key, offset, sizes, strides = args[0].value, *args[1:4]
    count = key[4] if len(key) > 4 else None
    if isinstance(sizes, Made) and isinstance(sizes.args, tuple) and sizes.args:
        sizes = sizes.args[0]  # torch.Size
    if not isinstance(sizes, tuple) or not isinstance(strides, tuple):
        return False
    numbers = (count, offset, *sizes, *strides)
    if len(sizes) != len(strides) or not all(isinstance(number, int) for number in numbers):
        return False
    if 0 in sizes:
        return False
    last = offset + sum((size - 1) * stride for size, stride in zip(sizes, strides, strict=True))
    return bool(min(numbers) < 0 or last >= count)


def _judge_handed_over(
    call: Call, callee: Name, args: tuple[object, ...], evidence: str
) -> Iterator[Concern]:
    for name in names_in(args, 2):
        if Level.HARMLESS in {level(name.module, name.name, how) for how in ("call", "new")}:
            continue
        if level(name.module, name.name, "new") is Level.FOREIGN and CLASS.match(name.name):
            continue
        if name.module == "torch" and not callee.full.startswith("builtins."):
            continue  # types of elements: torch.float16, torch.strided
        found = level(name.module, name.name, "call")
        message = f"It hands {name.full} to {callee.full}, which may call it."
        yield Concern("call", found, call.at, name.full, message, evidence)
