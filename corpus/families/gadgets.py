"""Functions that run code when a pickle calls them, each known from an advisory or a report."""

from __future__ import annotations

import pickle

from corpus.case import benign, hostile
from corpus.families.pickles import CALL, call, glob, short, stack_global

# Name of the case: what is called. Facts from the advisories; the files are made here.
GADGETS = {
    "ghsa-4r9r-ch6f-vxmx": "torch.utils.bottleneck.__main__.run_cprofile",
    "ghsa-4whj-rm5r-c2v8": "torch.utils.bottleneck.__main__.run_autograd_prof",
    "ghsa-86cj-95qr-2p4f": "torch._dynamo.guards.GuardBuilder.get",
    "ghsa-f4x7-rfwp-v3xw": "torch.fx.experimental.symbolic_shapes.ShapeEnv"
    ".evaluate_guards_expression",
    "ghsa-f745-w6jp-hpxx": "torch.utils.collect_env.run",
    "ghsa-h3qp-7fh3-f8h4": "torch.utils.data.datapipes.utils.decoder.basichandlers",
    "ghsa-vr7h-p6mm-wpmh": "torch.jit.unsupported_tensor_ops.execWrapper",
    "ghsa-vv6j-3g6g-2pvj": "torch.utils._config_module.load_config",
    "ghsa-5qwp-399c-mjwf": "trace.Trace.run",
    "ghsa-g344-hcph-8vgg": "trace.Trace.runctx",
    "ghsa-x696-vm39-cp64": "profile.Profile.run",
    "ghsa-6vqj-c2q5-j97w": "profile.Profile.runctx",
    "ghsa-f54q-57x4-jg88": "lib2to3.pgen2.grammar.Grammar.loads",
    "ghsa-p9w7-82w4-7q8m": "lib2to3.pgen2.pgen.ParserGenerator.make_label",
    "ghsa-3vg9-h568-4w9m": "idlelib.debugobj.ObjectTreeItem",
    "ghsa-6w4w-5w54-rjvr": "idlelib.autocomplete.AutoComplete.get_entity",
    "ghsa-7cq8-mj8x-j263": "idlelib.autocomplete.AutoComplete.fetch_completions",
    "ghsa-m869-42cg-3xwr": "idlelib.run.Executive.runcode",
    "ghsa-j343-8v2j-ff7w": "idlelib.pyshell.ModifiedInterpreter.runcommand",
    "ghsa-3gf5-cxq9-w223": "idlelib.pyshell.ModifiedInterpreter.runcode",
    "ghsa-fqq6-7vqf-w3fg": "doctest.debug_script",
    "ghsa-9w88-8rmg-7g2p": "cProfile.runctx",
    "ghsa-xp4f-hrf8-rxw7": "ensurepip._run_pip",
    "ghsa-v7x6-rv5q-mhwc": "timeit.timeit",
    "ghsa-m273-6v24-x4m4": "_operator.attrgetter",
    "ghsa-955r-x9j8-7rhh": "_operator.methodcaller",
    "ghsa-46h3-79wf-xr6c": "bdb.Bdb.run",
    "ghsa-4675-36f9-wf6r": "pdb.run",
    "ghsa-84r2-jw7c-4r5q": "_pickle.loads",
    "ghsa-vqmv-47xg-9wpr": "venv.create",
    "ghsa-hgrh-qx5j-jfwx": "http.client.HTTPSConnection",
    "ghsa-r8g5-cgf2-4m4m": "idlelib.calltip.get_entity",
    "ghsa-g38g-8gr9-h9xp-uuid": "uuid._get_command_stdout",
    "ghsa-g38g-8gr9-h9xp-imaplib": "imaplib.IMAP4_stream",
    "ghsa-g38g-8gr9-h9xp-osx": "_osx_support._read_output",
    "ghsa-g38g-8gr9-h9xp-aix": "_aix_support._read_cmd_output",
    "ghsa-g38g-8gr9-h9xp-pager": "_pyrepl.pager.pipe_pager",
    "ghsa-g38g-8gr9-h9xp-test": "test.support.script_helper.assert_python_ok",
    "ghsa-r7v6-mfhq-g3m2-pty": "pty.spawn",
    "ghsa-565g-hwwr-4pp3-types": "types.FunctionType",
    "ghsa-wfq2-52f7-7qvj-runpy": "runpy.run_module",
    "ghsa-p523-jq9w-64x9-cprofile": "cProfile.run",
    "ghsa-5hvc-6wx8-mvv4-ctypes": "ctypes.CDLL",
    "ghsa-q5qq-mvfm-j35x-submodule": "multiprocessing.util.spawnv_passfds",
    "ghsa-h4rm-mm56-xf63-builtins": "builtins.__import__",
    "ghsa-m6fh-58r7-x697": "_posixsubprocess.fork_exec",
    "ghsa-6ggj-6f2q-f7mx": "_interpreters.create",
    "cve-2026-56304-filehandler": "logging.FileHandler",
    "f2py-getlincoef": "numpy.f2py.crackfortran.getlincoef",
    "f2py-eval-length": "numpy.f2py.crackfortran._eval_length",
    "distutils-write-file": "distutils.file_util.write_file",
    "fileio": "_io.FileIO",
    "modelscan-338-mlflow": "mlflow.projects.backend.local._run_entry_point",
    "modelscan-338-read-csv": "pandas.io.parsers.readers.read_csv",
    "modelscan-338-urlretrieve": "urllib.request.urlretrieve",
    "cloudpickle": "cloudpickle.cloudpickle._make_function",
    "dill-create-code": "dill._dill._create_code",
    "site-addsitedir": "site.addsitedir",
    "graph-module": "torch.fx.graph_module.reduce_graph_module",
    "torch-hub": "torch.hub.load",
    "memmap-new": "numpy.memmap",
    "sys-modules": "sys.modules.get",
    "getattr-chain": "builtins.__getattribute__",
}
for name, target in GADGETS.items():
    hostile(f"gadget-{name}", CALL, {"model.pkl": call(target)})
benign(
    "gadget-names-twin", {"model.pkl": pickle.dumps({k: v.split(".") for k, v in GADGETS.items()})}
)


def text(value: str) -> bytes:
    return b"X" + len(value).to_bytes(4, "little") + value.encode()


# Techniques.
RESOLVE = stack_global("pkgutil.resolve_name")
hostile(
    "technique-resolve-name-chain",
    CALL,
    {"m.pkl": b"\x80\x04" + RESOLVE + short("os:system") + b"\x85R" + short("true") + b"\x85R."},
)
hostile(
    "technique-modelscan-331-join",
    CALL,
    {
        "m.pkl": b"\x80\x04" + stack_global("importlib.import_module") + b"\x94" + short("builtins")
        + b"\x85R\x94" + stack_global("builtins.getattr") + b"\x94h\2h\1" + short("str")
        + b"\x86R" + short("join") + b"\x86R" + short("") + b"](" + short("o") + short("s")
        + b"e\x86R."
    },
)  # fmt: skip
hostile(
    "technique-modelscan-330-build",
    "pickle.rebound",
    {
        "m.pkl": b"\x80\x04" + stack_global("numpy.size") + b"\x94"
        + stack_global("numpy.__builtins__") + b"\x94h\0}}" + short("shape")
        + b"h\1s\x86bh\0h\0" + short("eval") + b"\x86R" + short("1") + b"\x85R."
    },
)  # fmt: skip
hostile(
    "technique-modelscan-85-setattr",
    "pickle.rebound pickle.tampered",
    {
        "m.pkl": b"\x80\5cnumpy\nprod\nN(Va\nVos\nd\x86bN(Vb\nVsystem\nd\x86b0"
        b"cnumpy\nprod.a\np0\ncnumpy\nprod.b\np1\n00g0\ng1\n\x93Vtrue\n\x85R."
    },
)
hostile(
    "technique-modelscan-89-builtins",
    "pickle.dangerous_global",
    {"m.pkl": b"\x80\5cbuiltins\ndict.get\ncnumpy\n__builtins__\nVexec\n\x86RV1\n\x85R."},
)
hostile(
    "technique-modelscan-338-bytes-operand",
    "pickle.tampered",
    {"m.pkl": b"\x80\x04C\2os" + short("system") + b"\x93" + short("true") + b"\x85R."},
)
hostile(
    "technique-modelscan-338-bytearray-operand",
    "pickle.tampered",
    {
        "m.pkl": b"\x80\5" + short("os") + b"\x96\6\0\0\0\0\0\0\0system\x93" + short("true")
        + b"\x85R."
    },
)  # fmt: skip
hostile(
    "technique-modelscan-267-memo",
    CALL,
    {"m.pkl": b"\x80\4" + short("os") + b"q\5" + short("system") + b"q\6" + short("a") + b"00"
     + b"h\5h\6\x93" + short("true") + b"\x85R."},
)  # fmt: skip
hostile(
    "technique-call-result-called",
    "pickle.unknown_call",
    {"m.pkl": b"\x80\4" + stack_global("collections.OrderedDict") + b")R)R."},
)
hostile(
    "technique-oversized-frame",
    f"{CALL} pickle.tampered",
    {"m.pkl": b"\x80\4\x95\xff\xff\0\0\0\0\0\0" + call("os.system")[2:]},
)
hostile(
    "technique-frame-inside-opcode",
    CALL,
    {"m.pkl": b"\x80\4\x95\5\0\0\0\0\0\0\0" + call("os.system")[2:]},
)
hostile(
    "technique-python-unpickler",
    CALL,
    {"m.pkl": b"\x80\4" + b"\x95\x02\0\0\0\0\0\0\0N0" + call("os.system")[2:]},
)
hostile(
    "technique-allowlist-shadowing",
    "pickle.unknown_call",
    {"m.pkl": call("torch._utils._rebuild_everything")},
)
hostile(
    "technique-reconstructor-base",
    CALL,
    {"m.pkl": b"\x80\2" + glob("copyreg._reconstructor") + glob("builtins.object")
     + glob("subprocess.Popen") + text("true") + b"\x87R."},
)  # fmt: skip
hostile(
    "technique-ufunc-by-name",
    CALL,
    {"m.pkl": b"\x80\4" + stack_global("numpy.core._ufunc_reconstruct") + short("os")
     + short("system") + b"\x86R" + short("true") + b"\x85R."},
)  # fmt: skip
hostile(
    "technique-handed-over",
    "pickle.unknown_call",
    {"m.pkl": b"\x80\4" + stack_global("numpy.random._pickle.__randomstate_ctor") + short("x")
     + stack_global("numpy.savetxt_") + b"\x86R."},
)  # fmt: skip
hostile(
    "technique-rebuild-from-type",
    CALL,
    {"m.pkl": b"\x80\2" + glob("torch._tensor._rebuild_from_type_v2") + b"(" + glob("os.system")
     + glob("torch.Tensor") + text("true") + b"\x85}tR."},
)  # fmt: skip
hostile(
    "technique-long-literal-first",
    CALL,
    {"notes.dat": b"V" + b"a" * 90_000 + b"\n0cposix\nsystem\n(S'true'\ntR."},
)
TENSOR = b"(" + text("storage") + glob("torch.FloatStorage") + text("0") + text("cpu") + b"K\4tQ"


def tensor(size: int, more: bytes = b"") -> bytes:
    """A state dictionary with one tensor of four numbers, said to be of `size`."""
    return (
        b"\x80\2}" + text("w") + glob("torch._utils._rebuild_tensor_v2") + b"(" + TENSOR + b"K\0K"
        + bytes([size]) + b"\x85K\1\x85\x89" + glob("collections.OrderedDict") + b")RtR" + more
        + b"s."
    )  # fmt: skip


hostile("technique-cve-2026-24747-setitem", "pickle.tampered", {"m.pkl": tensor(4, b"K\0K\1s")})
hostile("technique-cve-2026-24747-size", "pickle.tampered", {"m.pkl": tensor(200)})
benign("technique-cve-2026-24747-twin", {"m.pkl": tensor(4)})
