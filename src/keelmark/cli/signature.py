"""`keelmark signature`: model signatures that other tools read, and theirs read here."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from keelmark import app
from keelmark.cli._common import data_option, json_option, print_json, progress, say, write_out
from keelmark.core.errors import UsageError
from keelmark.passport.chain import load_certificates
from keelmark.passport.files import escape, read_small
from keelmark.passport.oms import Allowed, SignatureStatus, Trust, verify_model
from keelmark.passport.oms_files import inside
from keelmark.passport.oms_keys import (
    SIGNING_KEY,
    PublicKey,
    load_private,
    load_public,
    own_key,
    public_pem,
)
from keelmark.passport.oms_sign import sign_model
from keelmark.passport.sigstore import Keyless, load_trust_root

_EXIT = {"valid": 0, "invalid": 1, "could not check": 2}
_MAX_BYTES = 256 * 1024 * 1024
_FILE = click.Path(dir_okay=False, path_type=Path)


@click.group()
def command() -> None:
    """Make and verify model signatures of the OpenSSF form (OMS v1.0), offline.

    A signature says who published these bytes. It does not say that anybody looked into them:
    that is what a passport is for.
    """


@command.command()
@click.argument("model", type=click.Path(path_type=Path))
@click.option("--out", type=_FILE, help="Where to write it [default: beside the model, MODEL.sig].")
@click.option("--key", type=_FILE, help="Private key, PEM [default: one made in the data folder].")
@click.option(
    "--certificate",
    "certificates",
    multiple=True,
    type=_FILE,
    help="The key's certificate, then its issuers without the root; repeat.",
)
@click.option("--ignore", "ignored", multiple=True, help="Path in the folder to leave out; repeat.")
@click.option("--follow-links", is_flag=True, help="Sign what symbolic links to files lead to.")
@click.option("--public-key", is_flag=True, help="Print the public key to stdout as well.")
@data_option
def make(
    model: Path,
    out: Path | None,
    key: Path | None,
    certificates: tuple[Path, ...],
    ignored: tuple[str, ...],
    data: Path | None,
    *,
    follow_links: bool,
    public_key: bool,
) -> None:
    """Sign the files of a model.

    \b
    Examples:
      keelmark signature make ./my-model --public-key > my-model.pub
      keelmark signature make ./my-model --key key.pem --certificate mine.pem
    """
    private = load_private(key) if key else own_key(app.data_folder(data) / SIGNING_KEY)
    place = out or _beside(model)
    bundle, status = sign_model(
        model,
        private,
        certificates=load_certificates(*map(str, certificates)),
        ignored=_ignored(model, ignored, place),
        links=follow_links,
        progress=progress("Reading"),
    )
    write_out(place, bundle)
    say(f"{status.reason} Signature: {escape(str(place))}, by {status.signer}.")
    _say_uncovered(status)
    if public_key:
        click.echo(public_pem(private.public_key()).decode(), nl=False)


@command.command()
@click.argument("model", type=click.Path(path_type=Path))
@click.option("--signature", type=_FILE, help="[default: MODEL.sig, or model.sig in the folder].")
@click.option(
    "--key", "keys", multiple=True, type=_FILE, help="Public key of a signer, PEM; repeat."
)
@click.option(
    "--authority",
    "authorities",
    multiple=True,
    type=_FILE,
    help="Certificate of an authority whose certificates count, PEM; repeat.",
)
@click.option("--identity", help="Who signed keylessly: an e-mail address or a workflow's URL.")
@click.option("--issuer", help="Who vouches for that identity: a URL of OpenID Connect.")
@click.option("--trust-root", type=_FILE, help="Of another Sigstore [default: the public one].")
@click.option("--ignore", "ignored", multiple=True, help="Path that need not be covered; repeat.")
@click.option("--allow-uncovered", is_flag=True, help="Let other files lie there, unsigned.")
@click.option("--follow-links", is_flag=True, help="Follow links to files (download cache).")
@data_option
@json_option
def verify(
    model: Path,
    signature: Path | None,
    keys: tuple[Path, ...],
    authorities: tuple[Path, ...],
    data: Path | None,
    *,
    as_json: bool,
    **options: Any,
) -> int:
    """Verify a signature against the files of a model, and name what it does not cover.

    Without --key, only what was signed here counts. Ends with 0 when valid, 1 when not, 2 when it
    could not be checked.

    \b
    Examples:
      keelmark signature verify ./my-model --key publisher.pub
      keelmark signature verify ./my-model --authority company-root.pem
      keelmark signature verify ./my-model --identity jo@example.org --issuer https://github.com/login/oauth
    """
    place = signature or _find(model)
    status = verify_model(
        read_small(place, _MAX_BYTES, str(place)),
        model,
        Trust(
            keys=tuple(map(load_public, keys)) or _own(data),
            roots=load_certificates(*map(str, authorities)),
            keyless=_keyless(options["identity"], options["issuer"], options["trust_root"]),
        ),
        allowed=Allowed(
            ignored=_ignored(model, options["ignored"], place),
            uncovered=options["allow_uncovered"],
            links=options["follow_links"],
        ),
        progress=progress("Reading"),
    )
    if as_json:
        print_json(status)
    else:
        say(status.reason)
        _say_uncovered(status)
        click.echo(status.outcome)
    return _EXIT[status.outcome]


def _ignored(model: Path, given: tuple[str, ...], signature: Path) -> tuple[str, ...]:
    """Paths within the model: what was given, and the signature itself when it lies there."""
    found = []
    for each in given:
        way = each.rstrip("/").removeprefix("./")
        if Path(each).is_absolute():
            way = inside(Path(each), model)
        if not way or way == "." or ".." in way.split("/"):
            raise UsageError(f"{escape(each)} is not a path within the model: leave it out.")
        found.append(way)
    own = inside(signature, model)
    return (*found, *([own] if own else []))


def _keyless(identity: str | None, issuer: str | None, trust_root: Path | None) -> Keyless | None:
    if not identity and not issuer:
        return None
    if not identity or not issuer:
        raise UsageError(
            "Give --identity and --issuer together: an identity is worth what its issuer is."
        )
    return Keyless(root=load_trust_root(trust_root), identity=identity, issuer=issuer)


def _own(data: Path | None) -> tuple[PublicKey, ...]:
    file = app.data_folder(data) / SIGNING_KEY
    return (load_private(file).public_key(),) if file.is_file() else ()


def _beside(model: Path) -> Path:
    whole = model.resolve() if model.name in ("", "..") else model.absolute()
    return whole.with_name(f"{whole.name}.sig")


def _find(model: Path) -> Path:
    places = (_beside(model), model / "model.sig")
    for place in places:
        if place.is_file():
            return place
    raise UsageError(
        f"There is no signature at {escape(str(places[0]))}: give it with --signature FILE."
    )


def _say_uncovered(status: SignatureStatus) -> None:
    """Name what a signature does not cover; a loader may read it all the same."""
    for path in status.uncovered[:20]:
        say(f"not covered: {escape(path)}")
    if len(status.uncovered) > 20:
        say(f"not covered: {len(status.uncovered) - 20} more")
    for path in status.links[:20]:
        say(f"reached through a link: {escape(path)}")
