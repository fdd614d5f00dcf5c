"""Which case stands for which advisory, report or technique.

An advisory of which only the number is at hand, not what it is about, is answered by the case that
stands for its whole class: whatever is called and not known to be harmless is refused.
"""

from __future__ import annotations

from corpus.families.gadgets import GADGETS

_CLASS = "pickle-unknown-function"
_PICKLESCAN_UNTOLD = (
    "GHSA-49gj-c84q-6qm9", "GHSA-7wx9-6375-f5wh", "GHSA-8r4j-24qv-fmq9", "GHSA-9m3x-qqw2-h32h",
    "GHSA-9xph-j2h6-g47v", "GHSA-cj3c-v495-4xqh", "GHSA-jhph-76pp-mggw", "GHSA-q77w-mwjj-7mqx",
    "GHSA-x843-g5mx-g377", "GHSA-3329-ghmp-jmv5", "GHSA-cffc-mxrf-mhh4", "GHSA-rrxm-2pvv-m66x",
    "GHSA-6556-fwc2-fg2p",
)  # fmt: skip

ADVISORIES: dict[str, tuple[str, str]] = {
    "CVE-2025-1716": ("picklescan: pip.main", "pickle-cve-2025-1716-pip"),
    "CVE-2025-1889": ("picklescan: name without a pickle's extension", "pickle-no-extension"),
    "CVE-2025-1944": ("picklescan: other name in the local header", "zip-cve-2025-1944-name"),
    "CVE-2025-1945": ("picklescan: flag bits of a ZIP member", "zip-cve-2025-1945-flags"),
    "CVE-2025-10155": ("picklescan: pickle under another extension", "pickle-as-safetensors"),
    "CVE-2025-10156": ("picklescan: checksum of a ZIP member", "zip-cve-2025-10156-crc"),
    "CVE-2025-10157": ("picklescan: submodule", "pickle-asyncio-submodule-cve-2025-10157"),
    "GHSA-vvpj-8cmc-gx39": ("picklescan: pkgutil.resolve_name", "technique-resolve-name-chain"),
    "GHSA-9gvj-pp9x-gcfr": ("picklescan: broken after the payload", "pickle-broken-after-payload"),
    "picklescan #66": ("any function from text to function", "technique-modelscan-331-join"),
    "GHSA-mxhj-88fx-4pcv": ("fickling: OBJ then POP", "pickle-obj-pop"),
    "GHSA-5j3x-jp52-966f": ("fickling: STACK_GLOBAL with dots", "pickle-dotted-stack-global"),
    "GHSA-cffv-grgg-g429": ("fickling: allow list shadowed", "technique-allowlist-shadowing"),
    "GHSA-fphw-536r-4p88": ("fickling: the unpickler in Python", "technique-python-unpickler"),
    "GHSA-5hwf-rc88-82xm": ("fickling: uuid, _osx_support", "gadget-ghsa-g38g-8gr9-h9xp-uuid"),
    "fickling #317": ("frame boundaries", "technique-frame-inside-opcode"),
    "modelscan #338": ("operands that are no text", "technique-modelscan-338-bytes-operand"),
    "modelscan #330": ("BUILD on what was imported", "technique-modelscan-330-build"),
    "modelscan #331": ("importlib and str.join", "technique-modelscan-331-join"),
    "modelscan #85": ("attributes set, then imported", "technique-modelscan-85-setattr"),
    "modelscan #89": ("__builtins__ of a module", "technique-modelscan-89-builtins"),
    "modelscan #267": ("memo", "technique-modelscan-267-memo"),
    "CVE-2025-32434": ("torch: weights_only", "torchscript-cve-2025-32434-from-file"),
    "CVE-2026-24747": ("torch: SETITEM on a tensor", "technique-cve-2026-24747-setitem"),
    "CVE-2019-6446": ("NumPy: arrays of objects", "numpy-object-os-system"),
    "CVE-2025-54412": ("skops: OperatorFuncNode", "skops-cve-2025-54412-operator"),
    "CVE-2025-54413": ("skops: MethodNode", "skops-cve-2025-54413-method"),
    "CVE-2025-54886": ("skops: falls back to joblib", "skops-cve-2025-54886-joblib"),
    "CVE-2025-23304": ("NeMo: _target_", "nemo-cve-2025-23304-target"),
    "CVE-2026-56304": ("picklescan: FileHandler", "gadget-cve-2026-56304-filehandler"),
    "CVE-2026-56315": ("picklescan: seven modules", "gadget-ghsa-g38g-8gr9-h9xp-uuid"),
    "PyTorch #176791": ("pickle inside .pt2", "pt2-pickled-inputs"),
    "PyTorch #194694": ("Python inside torch.package", "torch-package-hostile-code"),
    "arXiv 2607.17503": ("ShadowPickle: a name re-bound", "pickle-shadowpickle-rebound"),
    "arXiv 2508.19774": ("breaks after the call", "pickle-broken-after-call"),
}
for _name, _target in GADGETS.items():
    if _name.startswith("ghsa-"):
        _id = "GHSA-" + "-".join(_name.split("-")[1:4])
        ADVISORIES.setdefault(_id, (_target, f"gadget-{_name}"))
for _id in _PICKLESCAN_UNTOLD:
    ADVISORIES.setdefault(_id, ("picklescan: a function that it did not list", _CLASS))


def table() -> str:
    """Return the table for the README."""
    rows = [f"| {name} | {what} | `{case}` |" for name, (what, case) in sorted(ADVISORIES.items())]
    return "\n".join(["| advisory | what | case |", "|---|---|---|", *rows])


if __name__ == "__main__":
    print(table())
