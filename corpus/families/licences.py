"""Licences: what files say of them, and declared uses."""

from __future__ import annotations

import json

from corpus.case import benign, hostile
from corpus.families.gguf_files import BASE, gguf
from corpus.families.safetensors_files import TWO, safetensors

WEIGHTS = {"model.safetensors": safetensors(TWO, bytes(16))}
MIT = """MIT License

Copyright (c) 2026 Example

Permission is hereby granted, free of charge, to any person obtaining a copy
of this software and associated documentation files (the "Software"), to deal
in the Software without restriction, including without limitation the rights
to use, copy, modify, merge, publish, distribute, sublicense, and/or sell
copies of the Software, and to permit persons to whom the Software is
furnished to do so, subject to the following conditions:

The above copyright notice and this permission notice shall be included in all
copies or substantial portions of the Software.

THE SOFTWARE IS PROVIDED "AS IS", WITHOUT WARRANTY OF ANY KIND, EXPRESS OR
IMPLIED, INCLUDING BUT NOT LIMITED TO THE WARRANTIES OF MERCHANTABILITY,
FITNESS FOR A PARTICULAR PURPOSE AND NONINFRINGEMENT. IN NO EVENT SHALL THE
AUTHORS OR COPYRIGHT HOLDERS BE LIABLE FOR ANY CLAIM, DAMAGES OR OTHER
LIABILITY, WHETHER IN AN ACTION OF CONTRACT, TORT OR OTHERWISE, ARISING FROM,
OUT OF OR IN CONNECTION WITH THE SOFTWARE OR THE USE OR OTHER DEALINGS IN THE
SOFTWARE.
"""

OWN = (
    "The Example Orchard Terms. Whoever picks these weights may water them on Tuesdays, and gives "
    "every neighbour who asks a basket of the same weights with these terms on top of it. "
) * 6


def card(**fields: object) -> bytes:
    lines = "".join(f"{name}: {json.dumps(value)}\n" for name, value in fields.items())
    return f"---\n{lines}---\n# A model\n".encode()


def folder(text: str = "", **fields: object) -> dict[str, bytes]:
    files = {**WEIGHTS, "README.md": card(**fields)}
    return files | ({"LICENSE": text.encode()} if text else {})


hostile("licence-contradiction", "licence.contradiction", folder(MIT, license="gemma"), "pass")
hostile(
    "licence-contradiction-gguf",
    "licence.contradiction",
    {
        "model.gguf": gguf({**BASE, "general.license": "apache-2.0"}),
        "README.md": card(license="mit"),
    },
    "pass",
)
hostile(
    "licence-contradiction-safetensors",
    "licence.contradiction",
    {
        "model.safetensors": safetensors(
            {"__metadata__": {"license": "cc-by-nc-4.0"}, **TWO}, bytes(16)
        ),
        "README.md": card(license="mit"),
    },
    "pass",
)
hostile("licence-not-its-text", "licence.contradiction", folder(OWN, license="mit"), "pass")
benign("licence-agrees-twin", folder(MIT, license="mit"))
benign("licence-choice-twin", folder(MIT, license="MIT OR Apache-2.0"))
benign(
    "licence-other-twin", folder(MIT, license="other", license_name="mit", license_link="LICENSE")
)
benign(
    "licence-code-and-model-twin",
    {**folder("", license="gemma"), "LICENSE-CODE": MIT.encode()},
)
benign(
    "licence-policy-twin",
    {**folder(license="llama3.1"), "USE_POLICY.md": b"# Llama 3.1 Acceptable Use Policy\n"},
)
benign(
    "licence-wrapped-twin",
    folder("> " + " ".join(MIT.split()).replace('"', "\u201c"), license="mit"),
)

hostile(
    "licence-altered",
    "licence.altered",
    folder(MIT.replace("without restriction, including", "for research, including"), license="mit"),
    "pass",
)
hostile(
    "licence-added-terms",
    "licence.altered",
    folder(MIT + "\nYou shall not use the software for commercial purposes.\n", license="mit"),
    "pass",
)
benign("licence-unknown-text", folder(OWN, license="other"), rules="licence.unknown_text")
benign("licence-missing", WEIGHTS, rules="licence.missing")

hostile(
    "licence-not-allowed",
    "licence.not_allowed",
    folder(license="cc-by-nc-4.0"),
    use={"commercial": True},
)
hostile(
    "licence-too-many-users",
    "licence.not_allowed",
    folder(license="llama3.1"),
    use={"commercial": True, "monthly_users": 800_000_000},
)
benign(
    "licence-few-users-twin",
    folder(license="llama3.1"),
    use={"commercial": True, "monthly_users": 5_000, "serve": True, "domains": ["software"]},
)
benign("licence-research-twin", folder(license="cc-by-nc-4.0"), use={"commercial": False})
hostile("licence-no-record", "", folder(license="afl-3.0"), "incomplete", use={"commercial": True})
hostile("licence-no-text", "", folder(license="other", license_name="mrl"), "incomplete", use={})
hostile("licence-bad-use", "", folder(license="mit"), "incomplete", use={"comercial": True})
