"""Why a request failed: in plain words, and whether another try can fare better."""

import errno
import os
import ssl

import aiohttp

from pipeline.shell.authorizer import AuthorizationError
from pipeline.shell.targets import origin


def explain(exc: BaseException, url: str) -> str:
    """A failed request in plain words, with host and port but no other part of `url`."""
    where = _place(url)
    match exc:
        case AuthorizationError():
            return str(exc)
        case aiohttp.ClientConnectorDNSError():
            return f"no address found for {exc.host!r}; check the name and the network"
        case aiohttp.ClientConnectorCertificateError(certificate_error=cause):
            why = getattr(cause, "verify_message", "") or "it cannot be verified"
            return f"the TLS certificate of {where} is not accepted: {why}"
        case aiohttp.ClientConnectorSSLError():
            why = getattr(_cause(exc), "reason", None) or "unknown reason"
            return f"TLS with {where} failed ({why}); is it an http:// server?"
        case aiohttp.ClientProxyConnectionError():
            return f"no connection to the proxy for {where}: {_system_words(exc)}"
        case aiohttp.InvalidURL():
            # Not ours: that was read before. What is left is the proxy of the environment.
            return f"no connection to {where}: the proxy for it is no URL; check https_proxy"
        case aiohttp.ClientHttpProxyError():
            return f"the proxy refused to connect to {where}: HTTP {exc.status}"
        case aiohttp.ClientConnectorError(errno=errno.ECONNREFUSED):
            return f"connection refused by {where}; is the server running?"
        case aiohttp.ClientConnectorError():
            return f"no connection to {where}: {_system_words(exc)}"
        case TimeoutError():
            return f"{where} did not answer in time"
        case ConnectionResetError() | aiohttp.ClientOSError(errno=errno.ECONNRESET):
            return f"connection reset by {where}"
        case aiohttp.ServerDisconnectedError():
            return f"{where} closed the connection without an answer"
        case aiohttp.ClientPayloadError():
            return f"the answer of {where} broke off"
        case aiohttp.ClientResponseError():
            return f"{where} does not speak HTTP as expected"
        case OSError(errno=int()):
            return f"the connection to {where} failed: {_system_words(exc)}"
        case _:
            # The exception's own text may quote the URL, and with it a key.
            return f"the connection to {where} failed: {type(exc).__name__}"


def is_hopeless(exc: BaseException) -> bool:
    """Would trying again fail in the same way? As with TLS that does not fit, and credentials."""
    match exc:
        case AuthorizationError():
            return exc.is_final
        case aiohttp.ClientConnectorCertificateError():
            return True
        case aiohttp.ClientConnectorSSLError():
            # A TLS connection that just ends is a server going down, not one that speaks no TLS.
            return not isinstance(_cause(exc), ssl.SSLEOFError | ssl.SSLZeroReturnError)
        case _:
            return False


def _cause(exc: BaseException) -> BaseException | None:
    return (
        exc.__cause__
    )  # asked here, where the exception has no type that aiohttp made at run time


def _place(url: str) -> str:
    try:
        return origin(url).place
    except ValueError:
        return "the server"


def _system_words(exc: OSError) -> str:
    """What the system says of an error number: nothing of the request is in it."""
    if exc.errno is None:
        return "no address of it could be reached"
    return os.strerror(exc.errno).lower()
