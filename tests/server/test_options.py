from typing import Any

import pytest

from server.options import ServerOptions


def test_the_defaults_listen_on_this_machine_only_on_a_free_port() -> None:
    options = ServerOptions()
    assert (options.host, options.port, options.api_key) == ("127.0.0.1", 0, None)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("port", -1),
        ("port", 65_536),
        ("api_key", ""),
        ("api_key", "two words"),
        ("api_key", "line\n"),
        ("api_key", "schlüssel"),
        ("heartbeat", 0),
        ("heartbeat", float("nan")),
        ("idle_timeout", -1),
        ("write_timeout", float("inf")),
        ("body_timeout", 0),
        ("shutdown_timeout", 0),
        ("max_sessions", 0),
        ("max_calls", 0),
        ("max_body_bytes", 0),
        ("max_queue_bytes", 100),
        ("max_queue_events", 1),
        ("page_size", -1),
    ],
)
def test_a_value_that_cannot_work_is_refused_by_its_name(name: str, value: Any) -> None:
    with pytest.raises(ValueError, match=f"^{name}: found .*expected"):
        ServerOptions(**{name: value})


def test_a_refused_key_is_not_repeated() -> None:
    with pytest.raises(ValueError, match="api_key") as caught:
        ServerOptions(api_key="se cret")
    assert "se cret" not in str(caught.value)
