"""The embedded engine: llama.cpp's own server (`xllamacpp`) in a supervised child process.

One server answers chat, completions and embeddings at once: with mean pooling switched on it
computes the same logits as without, and pooled vectors besides. It gives no log-probabilities of
prompts: a second child does (`score_child`), from the first time somebody asks for them.
"""

from __future__ import annotations

import asyncio
import os
import struct
import sys
from pathlib import Path
from typing import Annotated, Protocol

import msgspec

from keelmark.core.errors import UsageError
from keelmark.serve.engine import Endpoint, Quirks
from keelmark.serve.llama_child import Settings
from keelmark.serve.supervise import Command, EventCallback, Patience, Supervisor

# What the child may know of the environment: nothing that could hold a secret.
_ENVIRONMENT = ("PATH", "LANG", "LC_ALL", "TZ", "LD_LIBRARY_PATH", "CUDA_VISIBLE_DEVICES",
                "GOMP_SPINCOUNT")  # fmt: skip
# Threads that wait for each other spin for some microseconds, then sleep. Where other work wants
# the cores too, spinning for as long as OpenMP does by itself makes a token take ten times as long
# (`bench/busy.py`); sleeping at once makes it twice as long where nothing else does.
_SPIN = {"GOMP_SPINCOUNT": "1000"}
_MAGIC = b"GGUF"
_HEADER_BYTES = 64 * 2**20  # metadata and the names of tensors, of the largest vocabularies too
_UINT32 = 4  # of GGUF's types of values
_RANK = struct.pack("<I", 4)  # LLAMA_POOLING_TYPE_RANK
_RANK_HEADS = (b"cls.weight", b"cls.output.weight")


class LoadedModel(Protocol):
    """A model whose bytes were checked and can be opened (`keelmark.passport.sealed`)."""

    @property
    def path(self) -> str:
        """What the child opens."""

    @property
    def fd(self) -> int:
        """Descriptor that the child inherits, or -1."""

    @property
    def digest(self) -> str:
        """`sha256:<hex>` of the model."""

    @property
    def mode_used(self) -> str:
        """How the bytes were bound: sealed, hash or mtime."""


class LlamaOptions(msgspec.Struct, frozen=True, kw_only=True):
    """How to run the model.

    Attributes:
        context: Tokens of context, shared by the requests at work. Memory grows with it.
        slots: Requests decoded together; more wait in line.
        threads: Threads for decoding; 0 means one per physical core this process may use.
        batch: Longest input of an embedding, tokens; longer ones are refused, never cut. Long
            inputs cost memory: 4 bytes for each entry of the vocabulary and each token.
        chat_template: Jinja text to use instead of the model's own, or "".
        prompt_log_dir: Folder that gets a file for every prompt, exactly as the model read it;
            for tests and audits. "" keeps nothing.
        first_byte_seconds: Longest wait for the first byte of an answer, seconds.
        several: Whether there are other models: messages then say which one they speak of.
        log: Names the log file, `logs/LOG.log` in the data folder.
    """

    context: Annotated[int, msgspec.Meta(ge=256)] = 8192
    slots: Annotated[int, msgspec.Meta(ge=1, le=256)] = 4
    threads: Annotated[int, msgspec.Meta(ge=0, le=512)] = 0
    batch: Annotated[int, msgspec.Meta(ge=32)] = 1024
    chat_template: str = ""
    prompt_log_dir: str = ""
    first_byte_seconds: float = 300.0
    several: bool = False
    log: str = "llama"


class LlamaEngine:
    """llama.cpp under supervision. Implements `keelmark.serve.engine.Scoring`.

    Args:
        model: The checked bytes; its descriptor stays open here, so that every restart loads
            the very same bytes again. The caller closes it after `stop`.
        name: The name clients use.
        data: Data folder; the log goes to `logs` in it.
        options: How to run it.
        on_event: Gets `engine.started` and `engine.stopped` with a reason.
        patience: Time limits of the supervision.
    """

    id = "llama"
    provider = "llama_cpp"
    quirks = Quirks(forces_tools=False, thinking_budget=True, counts_tokens=True)

    def __init__(
        self,
        model: LoadedModel,
        *,
        name: str,
        data: Path,
        options: LlamaOptions | None = None,
        on_event: EventCallback = lambda _kind, _reason: None,
        patience: Patience | None = None,
    ) -> None:
        options = options or LlamaOptions()
        self.models: tuple[str, ...] = (name,)
        self.digest, self.load_mode = model.digest, model.mode_used
        self.upstream_model = name
        self.first_byte_seconds = options.first_byte_seconds
        self._model, self._options, self.slots = model, options, options.slots
        self.context, self.chat_template = options.context, options.chat_template
        self.reranks = False  # until it is opened
        title = f"The llama engine of {name}" if options.several else "The llama engine"
        command = Command(
            name=title,
            # -I keeps the working folder and PYTHON* variables out of the import path.
            argv=(sys.executable, "-I", "-m", "keelmark.serve.llama_child"),
            settings=self._settings,
            log=data / "logs" / f"{options.log}.log",
            env=_SPIN | {name: os.environ[name] for name in _ENVIRONMENT if name in os.environ},
            pass_fds=(model.fd,) if model.fd >= 0 else (),
        )
        self.supervisor = Supervisor(command, on_event=on_event, patience=patience)
        scoring = command._replace(
            name=title.replace("The", "The scorer of the", 1),
            argv=(*command.argv[:-1], "keelmark.serve.score_child"),
            log=data / "logs" / f"{options.log.replace('llama', 'scorer', 1)}.log",
        )
        self.scoring = Supervisor(scoring, patience=patience)
        self._starting = asyncio.Lock()

    @property
    def ready(self) -> bool:
        """Whether it can take a request now."""
        return self.supervisor.pid is not None

    async def start(self) -> None:
        """Load the model and wait until it answers.

        Raises:
            UsageError: The model is not a GGUF file.
            UnavailableError: llama.cpp does not load it; the message quotes why.
        """
        self._prepare()
        await self.supervisor.start()

    async def stop(self) -> None:
        """End the child processes; what is in flight is lost."""
        await self.scoring.stop()
        await self.supervisor.stop()

    def endpoint(self) -> Endpoint:
        """Return where to send a request now. Raises UnavailableError when not ready."""
        return self.supervisor.endpoint()

    async def scorer(self) -> Endpoint:
        """Return where prompts are scored; the first time that starts a second child.

        Raises:
            UnavailableError: It does not start; the message quotes why.
        """
        async with self._starting:
            await self.scoring.start()
        return self.scoring.endpoint()

    def _prepare(self) -> None:
        try:
            with Path(self._model.path).open("rb") as file:
                magic = file.read(len(_MAGIC))
                self.reranks = magic == _MAGIC and ranks(file.read(_HEADER_BYTES))
            if self._options.prompt_log_dir:
                Path(self._options.prompt_log_dir).mkdir(mode=0o700, parents=True, exist_ok=True)
        except OSError as error:
            raise UsageError(f"The llama engine cannot open a file it needs: {error}.") from None
        if magic != _MAGIC:
            raise UsageError(f"{self.models[0]} is not a GGUF file: give a .gguf model.")

    def _settings(self, key: str) -> Settings:
        return Settings(
            parent=os.getpid(),
            model=self._model.path,
            alias=self.models[0],
            key=key,
            context=self._options.context,
            slots=self._options.slots,
            threads=self._options.threads or physical_cores(),
            batch=self._options.batch,
            reranks=self.reranks,
            chat_template=self._options.chat_template,
            prompt_log_dir=self._options.prompt_log_dir,
        )


def ranks(header: bytes) -> bool:
    """Whether a GGUF file is of a reranker: it says so, or has a head that classifies."""
    _, said, value = header.partition(b".pooling_type" + struct.pack("<I", _UINT32))
    heads = (struct.pack("<Q", len(name)) + name for name in _RANK_HEADS)
    return (bool(said) and value[:4] == _RANK) or any(head in header for head in heads)


def ranks_at(path: Path) -> bool:
    """Whether the GGUF file at a path is of a reranker. Raises UsageError: it cannot be read."""
    try:
        with path.open("rb") as file:
            return ranks(file.read(_HEADER_BYTES))
    except OSError as error:
        raise UsageError(f"{path} cannot be read ({error.strerror}); check its mode.") from None


def physical_cores() -> int:
    """Count the physical cores that this process may use; at least 1.

    Two threads on one core slow llama.cpp down. Where the topology is not shown (Linux sysfs),
    every processor counts as a core.
    """
    try:
        allowed = os.sched_getaffinity(0)
    except AttributeError:
        return os.cpu_count() or 1
    return max(1, len({_core_of(number) for number in allowed}))


def _core_of(number: int) -> str:
    topology = Path(f"/sys/devices/system/cpu/cpu{number}/topology")
    try:
        siblings = (topology / "thread_siblings_list").read_text(encoding="ascii")
    except OSError:
        return str(number)
    return siblings.strip()
