"""Before a run: is the service there, has it the model, and are its weights weights?"""

from __future__ import annotations

from keelmark.core.errors import KeelmarkError, UnavailableError, UsageError
from keelmark.evaluate.client import Client
from keelmark.evaluate.contract import Generate, Score

_HELLO = Generate(messages=({"role": "user", "content": "Say yes."},), max_tokens=1)
_PROBE = Score(context="The colour of the sky is", continuations=(" blue", " kettle"))


async def with_model(client: Client) -> Client:
    """Return the client when its model is there, or one of the first model that is listed.

    Raises:
        UnavailableError: Nothing answers there.
        UsageError: The service lacks the model, or lists none.
    """
    target = client.target
    try:
        listed = await client.models()
    except UnavailableError as error:
        raise UnavailableError(
            f"Nothing answers at {target.url} ({error.message.rstrip('.')}): start a service "
            "(keelmark up), or name another with --url."
        ) from None
    if target.model and listed and target.model not in listed and not target.score_url:
        raise UsageError(
            f"{target.url} has no model {target.model!r}; choose from: {', '.join(listed[:24])}."
        )
    if target.model:
        return client
    if not listed:
        raise UsageError(f"{target.url} lists no model; name one with --model.")
    return client.of(listed[0])


async def probe(client: Client, *, weighs: bool) -> None:
    """Make sure before a run that the model is there, and that weights are weights.

    Args:
        client: Whom to ask.
        weighs: Whether the run needs weights.

    Raises:
        UnavailableError: Nothing answers there.
        UsageError: The service lacks the model, or what the run needs.
    """
    url = (await with_model(client)).target.url
    if not weighs:
        await client.ask(_HELLO)
        return
    try:
        reply = await client.ask(_PROBE)
    except KeelmarkError as error:
        raise UnavailableError(f"{url} weighs no text: {error.message}") from None
    first = tuple(one.logprob for one in reply.weights)
    if reply.state == "answered" and len(set(first)) == 2:
        return
    why = reply.error or (
        "it finds every text equally likely" if first else "its answer holds no log-probabilities"
    )
    raise UsageError(
        f"{url} cannot weigh texts ({why.rstrip('.')}), so this suite would measure chance: "
        "it needs /v1/completions with `echo` and `logprobs`, which Keelmark's embedded engine and "
        "vLLM have."
    )
