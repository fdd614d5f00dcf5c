"""The process that runs llama.cpp: `python -I -m keelmark.serve.llama_child`.

It speaks with its parent over three pipes, so nothing shows in a process list:

- standard input: one line of JSON, the configuration (`Settings` below). End of file means that
  the parent is gone, or wants this process to end.
- standard output: one line of JSON, `{"address": "http://127.0.0.1:PORT"}`, once the model is
  loaded. What libraries print goes to standard error instead.
- standard error: the log.

A bug in the parser of a model file or in a chat template costs this process and nothing else: it
starts without the environment of its parent, cannot gain privileges, leaves no core dump (it
would hold prompts) and cannot be attached to by other processes of the same user.
"""

from __future__ import annotations

import ctypes
import json
import os
import resource
import signal
import sys
from typing import Any, TypedDict

_PR_SET_PDEATHSIG, _PR_SET_DUMPABLE, _PR_SET_NO_NEW_PRIVS = 1, 4, 38


class Settings(TypedDict):
    """The configuration line.

    Attributes:
        parent: Process id of the parent.
        model: Path of the GGUF file, may be `/proc/self/fd/N` of an inherited descriptor.
        alias: Name of the model in answers.
        key: The only key that is accepted.
        context: Tokens of context, shared by all slots.
        slots: Requests decoded together.
        threads: Threads for decoding.
        batch: Longest input of an embedding, and of one step through a prompt, tokens.
        reranks: Whether it is to rank documents.
        chat_template: Jinja text to use instead of the model's, or "".
        prompt_log_dir: Folder for a file per prompt as the model read it, or "".
    """

    parent: int
    model: str
    alias: str
    key: str
    context: int
    slots: int
    threads: int
    batch: int
    reranks: bool
    chat_template: str
    prompt_log_dir: str


def main() -> int:
    """Serve until standard input ends. Return the exit status: 1 when the model does not load."""
    report = own_standard_output()
    settings: Settings = json.loads(sys.stdin.buffer.readline())
    confine(settings["parent"])
    import xllamacpp  # noqa: PLC0415 (100 MB of machine code, to be loaded in confinement)

    try:
        server = xllamacpp.Server(_parameters(xllamacpp, settings))
    except RuntimeError as error:
        print(error, file=sys.stderr)  # noqa: T201 (the log of this process)
        return 1
    os.write(report, json.dumps({"address": server.listening_address}).encode() + b"\n")
    while sys.stdin.buffer.read(65536):
        pass
    del server  # stops listening and joins its threads
    return 0


def own_standard_output() -> int:
    """Keep standard output for the one report; whatever else is printed goes to the log."""
    report = os.dup(1)
    os.dup2(2, 1)
    return report


def confine(parent: int) -> None:
    """Give up what a parser of files of strangers needs not; end with the parent."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    os.umask(0o077)
    if sys.platform == "linux":
        prctl = ctypes.CDLL(None, use_errno=True).prctl
        prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
        prctl(_PR_SET_DUMPABLE, 0, 0, 0, 0)
        prctl(_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)
    if os.getppid() != parent:  # it died before the lines above took hold
        raise SystemExit(1)


def _parameters(library: Any, settings: Settings) -> Any:
    """Translate settings into `CommonParams` of xllamacpp (llama.cpp `common/common.h`)."""
    params = library.CommonParams()
    params.model.path = settings["model"]
    params.model_alias = {settings["alias"]}
    params.api_keys = [settings["key"]]
    params.hostnames, params.port = ["127.0.0.1"], 0
    params.cors_origins = ""
    params.ui = params.endpoint_slots = params.endpoint_props = False
    params.endpoint_metrics = params.use_jinja = params.offline = True
    params.chat_template = settings["chat_template"]
    params.n_ctx = settings["context"]
    params.n_parallel = settings["slots"]
    params.kv_unified = params.cont_batching = True
    # Every open stream holds one of these threads, waiting ones too.
    params.n_threads_http = max(16, 4 * settings["slots"])
    params.cpuparams.n_threads = params.cpuparams_batch.n_threads = settings["threads"]
    # Pooled vectors and chat from one context: an embedding must fit into one step (n_ubatch).
    params.embedding = True
    pooling = library.llama_pooling_type
    ranks = settings["reranks"]
    params.pooling_type = (
        pooling.LLAMA_POOLING_TYPE_RANK if ranks else pooling.LLAMA_POOLING_TYPE_MEAN
    )
    params.n_batch = params.n_ubatch = step(settings)
    params.fit_params = False  # the sizes above are the contract; it also loads the model twice
    params.cache_ram_mib, params.cache_idle_slots = 0, False  # prompts stay in their slot
    params.path_prompts_log_dir = settings["prompt_log_dir"]
    params.verbosity = 2  # warnings and errors: from 4 on it would write prompts
    return params


def step(settings: Settings) -> int:
    """Return the tokens of one step: a multiple of the slots, or mean pooling aborts at the start.

    llama.cpp measures its graph with as many tokens for each slot, and its matrix of means without.
    """
    context, slots = settings["context"], settings["slots"]
    least = min(settings["batch"], context)
    whole = -(-least // slots) * slots
    return whole if whole <= context else max(whole - slots, 1)


if __name__ == "__main__":
    sys.exit(main())
