"""Ways to reach an engine over HTTP: one port (`core.ports.Transport`), three clients."""

from __future__ import annotations

import importlib

from keelmark.core.errors import UsageError
from keelmark.core.ports import Transport

_CLIENTS = {
    "direct": "DirectTransport",
    "pyreqwest": "PyreqwestTransport",
    "aiohttp": "AiohttpTransport",
}


def new_transport(name: str = "direct") -> Transport:
    """Return a transport; must be called while an event loop runs.

    Args:
        name: `direct` (the default); `pyreqwest`, which cannot stop an engine before
            the first byte of its answer; `aiohttp` (an extra).

    Raises:
        UsageError: No such transport, or its package is not installed.
    """
    if name not in _CLIENTS:
        raise UsageError(f"There is no transport `{name}`: use one of {', '.join(_CLIENTS)}.")
    try:
        module = importlib.import_module(f"keelmark.serve.transport.{name}_client")
    except ModuleNotFoundError as error:
        raise UsageError(
            f'The transport `{name}` needs a package: pip install "keelmark[{name}]".'
        ) from error
    transport: Transport = getattr(module, _CLIENTS[name])()
    return transport
