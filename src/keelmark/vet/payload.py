"""Code where only words or numbers belong: descriptions, metadata, names, notes.

Only what no honest description says; a mention of a library or an address is none of it.
"""

from __future__ import annotations

import re
from typing import NamedTuple


class Payload(NamedTuple):
    """What was seen, a phrase, and the characters that show it."""

    what: str
    shown: str


_CODE = re.compile(
    r"(?P<python>__import__\s*\(|\b(?:os|posix|nt)\.(?:system|popen|exec[lv]p?e?)\s*\(|"
    r"\bsubprocess\.(?:run|call|Popen|check_output|check_call|getoutput)\s*\(|"
    r"\b(?:exec|eval)\s*\(\s*(?:compile|base64|__|open|zlib|bytes|requests|urllib|input|"
    r"codecs|marshal)|\bpty\.spawn\s*\(|\bmarshal\.loads\s*\(|\bpickle\.loads?\s*\(|"
    r"!!python/(?:object|name|module))|"
    r"(?P<shell>\b(?:curl|wget)\b[^\n|;]{0,300}\|\s*(?:sudo\s+)?(?:ba|z|da)?sh\b|"
    r"/bin/(?:ba|z|da)?sh\b\s+-[ci]\b|/dev/tcp/|\bnc\b\s+-\w*e\w*\s|"
    r"\bpowershell(?:\.exe)?\s+-(?:e|enc|encodedcommand|nop|w)\b|\brm\s+-rf\s+[/~])|"
    r"(?P<script><script\b|javascript:|\bon(?:error|load)\s*=\s*[\"']?\w+\()|"
    r"(?P<pickle>\bgA[JSWR][VUEAa]?[A-Za-z0-9+/]{16,}|\bY2[A-Za-z0-9+/]{2}[A-Za-z0-9+/]{14,}Ui4)|"
    r"(?P<entity><!ENTITY\b)",
    re.IGNORECASE,
)
_SAID = {
    "python": "Python that reaches for the system",
    "shell": "a shell command",
    "script": "script for a browser",
    "pickle": "what looks like a pickle in base64",
    "entity": "an XML entity",
}
_PICKLED = re.compile(rb"\x80[\x02-\x05](?:\x95.{8})?[\x8c\x8d\x58cq}(\]\)].{0,200}?", re.DOTALL)


def find_payload(text: str) -> Payload | None:
    """Return the first piece of code in a text that should have none."""
    match = _CODE.search(text)
    if match is None or match.lastgroup is None:
        return None
    if match.lastgroup == "pickle" and not match[0].startswith(("gA", "Y2")):
        return None
    return Payload(_SAID[match.lastgroup], match[0][:80])


def executable_kind(data: bytes) -> str:
    """Return what kind of program or script begins with these bytes, or ""."""
    if data.startswith(b"\x7fELF"):
        return "an ELF program or library"
    if data.startswith(b"MZ") and (b"PE\0\0" in data[:4096] or data.startswith(b"MZqFpD")):
        return "a Windows program or library"
    if data[:4] in (b"\xcf\xfa\xed\xfe", b"\xce\xfa\xed\xfe", b"\xca\xfe\xba\xbe"):
        return "a macOS program or library, or Java bytecode"
    if re.match(rb"#! ?/", data):
        return "a script"
    return ""


def is_pickle_start(data: bytes) -> bool:
    """Whether data begins as binary pickles do: protocol, then frame or opcode."""
    return bool(_PICKLED.match(data[:256]))
