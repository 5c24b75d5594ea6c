"""An address that a server names for the browser is one for the web, and no command.

CVE-2025-6514 was one that became a command.
"""

import json
from pathlib import Path

import pytest

from pipeline.shell.authorizer import AuthorizationError
from pipeline.shell.oauth.browser import check_address
from tests.security.poison import HARMFUL
from tests.support.oauth_world import world
from tests.support.program import run

OTHERS = (
    *("javascript:alert(1)", "file:///etc/passwd", "data:text/html,x", "vbscript:x", "ssh://a"),
    *("http://auth.example/a", "http://127.0.0.1.evil.example/", "ftp://a/", "", "//a/b", "a"),
    *("$(touch pwned)", "`touch pwned`", "a:$(touch${IFS}pwned)?response_type=code", "calc.exe"),
)


@pytest.mark.parametrize("address", OTHERS)
def test_no_other_address_may_be_opened(address: str) -> None:
    with pytest.raises(AuthorizationError, match="expected an https:// address"):
        check_address(address)


@pytest.mark.parametrize(
    "place",
    [
        "a:$(touch${IFS}pwned)",
        "https://$(touch${IFS}pwned)/a",
        "https://auth.example/';touch${IFS}pwned;'",
        "https://auth.example/a\x1b]52;c;cHduZWQ=\x07",
        "https://auth.example/a\u202eb",
    ],
)
async def test_no_shell_ever_sees_an_address_and_no_terminal_obeys_one(
    tmp_path: Path, place: str
) -> None:
    """The command of BROWSER gets it as one word; here that writes down what it got."""
    script = tmp_path / "browser.py"
    script.write_text(
        "import json, sys\nopen('opened', 'a').write(json.dumps(sys.argv[1:]) + '\\n')\n"
    )
    async with world(metadata={"authorization_endpoint": place}) as there:
        ended = await run(
            *("--server", there.url, "--dialect", "http", "tools", "--oauth-timeout", "0.5"),
            cwd=tmp_path,
            env={"BROWSER": f"python3 {script} %s", "NO_PROXY": "*"},
        )
    assert ended.code == 3, ended
    assert not list(tmp_path.glob("*pwned*"))
    assert HARMFUL & set(ended.words) == set()
    opened = tmp_path / "opened"
    for line in opened.read_text().splitlines() if opened.exists() else ():
        (address,) = json.loads(line)
        assert address.startswith("https://")
        assert HARMFUL & set(address) == set()
