"""Refusals: that of the MCP server as the package `mcp` reads it, and those that we tell."""

import contextlib
from http import HTTPStatus
from urllib.parse import parse_qsl

import httpx2

from config.options import OAuthOptions
from pipeline.shell.authorizer import AuthorizationError
from pipeline.shell.oauth.challenge import Challenge
from pipeline.shell.oauth.errors import UnknownClientError, oauth_error, said
from pipeline.shell.oauth.side import Answer
from pipeline.shell.targets import origin

_SECRET_FIELDS = frozenset(
    {
        *("assertion", "client_assertion", "client_secret", "code", "code_verifier"),
        *("refresh_token", "subject_token"),
    }
)


def refusal(
    challenge: Challenge, options: OAuthOptions, request: httpx2.Request
) -> httpx2.Response:
    """The server's refusal, written so that the package reads in it what we have read.

    The user's own scope takes the place of the server's; a step-up adds to what there is.
    """
    scope = challenge.scope if challenge.is_step_up else options.scope or challenge.scope
    params = {
        "error": challenge.error,
        "scope": scope,
        "resource_metadata": challenge.resource_metadata,
    }
    # A quotation mark would end the value for the package; no URL and no scope has one.
    words = [f'{name}="{value}"' for name, value in params.items() if value and '"' not in value]
    headers = {"WWW-Authenticate": f"Bearer {', '.join(words)}"}
    return httpx2.Response(challenge.status, headers=headers, request=request)


def failure(request: httpx2.Request, answer: Answer, what: str) -> AuthorizationError | None:
    """Why a POST failed, in words; None if it did not."""
    if answer.status in (HTTPStatus.OK, HTTPStatus.CREATED):
        return None
    why = said(answer.body, request_secrets(request))
    is_unknown = oauth_error(answer.body) in ("invalid_client", "unauthorized_client")
    kind = UnknownClientError if is_unknown else AuthorizationError
    return kind(
        f"{origin(str(request.url)).place} {what}: HTTP {answer.status}{why and f', {why}'}",
        is_final=not is_passing(answer.status),
    )


def is_passing(status: int) -> bool:
    """A failure that may be over in a moment: it says nothing of what the server has."""
    return status >= HTTPStatus.INTERNAL_SERVER_ERROR or status == HTTPStatus.TOO_MANY_REQUESTS


def request_secrets(request: httpx2.Request) -> list[str]:
    """What goes along with a token request, and may come back in an error."""
    fields = parse_qsl(request.content.decode("utf-8", "replace"))
    found = [value for name, value in fields if name in _SECRET_FIELDS]
    with contextlib.suppress(KeyError):
        found.append(request.headers["Authorization"].rpartition(" ")[2])
    return found
