"""The client under test of the MCP conformance suite: `main.py` itself, used as a person would.

The suite starts this file with the server's address as its last argument, and says in variables
which scenario it is about. All that happens here is to put the scenario's wish into command lines.
"""

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]
DEADLINE = 50.0  # seconds for one command; the suite itself gives up after 60
CIMD = "https://conformance-test.local/client-metadata.json"  # what the suite expects
BROWSER = Path(__file__).parent / "browser.py"

SCENARIO = os.environ["MCP_CONFORMANCE_SCENARIO"]
CONTEXT: dict[str, Any] = json.loads(os.environ.get("MCP_CONFORMANCE_CONTEXT") or "{}")


class Client:
    """`python main.py` against one server; `folder` is for files that its options name."""

    def __init__(self, url: str, folder: Path) -> None:
        self.url = url
        self.folder = folder
        self.options: list[str] = []
        self.variables: dict[str, str] = {}
        self.status = 0

    def run(self, *words: str, prompts: Sequence[str] = (), may_fail: bool = False) -> str:
        """One run; its standard output. A failure is this program's exit status in the end."""
        command = [sys.executable, str(ROOT / "main.py"), *words, "--server", self.url]
        command += self.options
        with tempfile.TemporaryDirectory() as home:
            done = subprocess.run(
                command,
                input="".join(f"{line}\n" for line in prompts),
                env={**os.environ, "HOME": home, **self.variables},
                cwd=home,
                capture_output=True,
                text=True,
                timeout=DEADLINE,
                check=False,
            )
        sys.stderr.write(f"$ {' '.join(words)}\n{done.stdout}{done.stderr}")
        if done.returncode and not may_fail:
            self.status = self.status or done.returncode
        return done.stdout

    def tools(self) -> list[dict[str, Any]]:
        """What the server offers."""
        return list(json.loads(self.run("tools", "--json") or "[]"))

    def call(self, name: str, arguments: dict[str, Any], *, may_fail: bool = False) -> str:
        """Call one tool."""
        return self.run("call", name, json.dumps(arguments), may_fail=may_fail)

    def chat(self, calls: Sequence[tuple[str, dict[str, Any]]]) -> str:
        """Several calls in one session, by the `direct` model."""
        prompts = [f"{name} {json.dumps(arguments)}" for name, arguments in calls]
        return self.run("--model", "direct", prompts=prompts)


def add_numbers(client: Client) -> None:
    client.options += ["--elicit", "defaults"]
    client.call("add_numbers", {"a": 5, "b": 3})


def declare_all(client: Client) -> None:
    """Declare all that a server may ask of a client; this one has no tools."""
    client.options += ["--elicit", "defaults", "--sampling", "always", "--root", "."]
    client.run("tools")


def one_of_each(client: Client) -> None:
    tool = client.tools()[0]
    client.call(tool["name"], {}, may_fail=True)
    for line in client.run("resources", "--json").splitlines():
        for resource in json.loads(line)["result"].get("resources", [])[:1]:
            client.run("read", resource["uri"])
    for line in client.run("prompts", "--json").splitlines():
        for prompt in json.loads(line)["result"].get("prompts", [])[:1]:
            client.run("prompt", prompt["name"])


def replay_calls(client: Client) -> None:
    client.chat([(call["name"], call["arguments"]) for call in CONTEXT["toolCalls"]])


def every_tool(client: Client) -> None:
    for tool in client.tools():
        wanted = tool["inputSchema"].get("properties", {})
        client.call(tool["name"], {name: _value(schema) for name, schema in wanted.items()})


def _value(schema: dict[str, Any]) -> Any:
    return {"integer": 1, "number": 1.5, "boolean": True}.get(schema.get("type", ""), "x")


def round_trips(client: Client) -> None:
    client.options += ["--answer", "confirmed=true"]
    names = ("echo_state", "unrelated", "no_state", "no_result_type")
    client.chat([(f"test_mrtr_{name}", {}) for name in names])


def echo_schema(client: Client) -> None:
    tools = {tool["name"]: tool for tool in client.tools()}
    schema = tools["json_schema_2020_12_tool"]["inputSchema"]
    client.call("json_schema_echo", {"schema": schema})


def skills(client: Client) -> None:
    client.run("--model", "direct", prompts=["/skills"])


def skills_read(client: Client) -> None:
    """Read a skill and then a file of it, as somebody would who does not look at what came."""
    files = ("SKILL.md", "references/FORMS.md")
    reads = [f"/read skill://pdf-processing/{file}" for file in files]
    client.run("--model", "direct", prompts=["/skills", *reads], may_fail=True)


def authorized(client: Client) -> None:
    """List the tools, call the first: whatever credentials that needs are found on the way."""
    client.variables["BROWSER"] = f"{sys.executable} {BROWSER} %s"
    _authorization(client)
    tool = "test-tool"
    client.run("call", tool, "{}", may_fail=False)


def _authorization(client: Client) -> None:
    """What the scenario's context says of credentials, as a person would set it."""
    named = {
        "client_id": "RXMCP_OAUTH_CLIENT_ID",
        "client_secret": "RXMCP_OAUTH_CLIENT_SECRET",
        "signing_algorithm": "RXMCP_OAUTH_PRIVATE_KEY_ALG",
        "idp_client_id": "RXMCP_OAUTH_IDP_CLIENT_ID",
        "idp_id_token": "RXMCP_OAUTH_IDP_ID_TOKEN",
        "idp_issuer": "RXMCP_OAUTH_IDP_ISSUER",
        "idp_token_endpoint": "RXMCP_OAUTH_IDP_TOKEN_ENDPOINT",
        "valid_jwt": "RXMCP_OAUTH_WORKLOAD_JWT",
    }
    client.variables |= {named[key]: str(CONTEXT[key]) for key in named if key in CONTEXT}
    if "private_key_pem" in CONTEXT:
        key = client.folder / "key.pem"
        key.write_text(CONTEXT["private_key_pem"], "utf-8")
        client.options += ["--oauth-private-key-file", str(key)]
    flows = {
        "auth/client-credentials-jwt": "client-credentials",
        "auth/client-credentials-basic": "client-credentials",
        "auth/enterprise-managed-authorization": "enterprise",
        "auth/wif-jwt-bearer": "workload",
    }
    if SCENARIO in flows:
        client.options += ["--oauth-flow", flows[SCENARIO]]
    if SCENARIO == "auth/basic-cimd":
        client.options += ["--oauth-client-metadata-url", CIMD]


WISHES: dict[str, Callable[[Client], None]] = {
    "initialize": lambda client: client.tools() and None,
    "tools_call": add_numbers,
    "request-metadata": declare_all,
    "elicitation-sep1034-client-defaults": lambda client: (
        (
            client.options.extend(["--elicit", "defaults"])
            or client.call("test_client_elicitation_defaults", {})
        )
        and None
    ),
    "sse-retry": lambda client: client.call("test_reconnection", {}) and None,
    "http-standard-headers": one_of_each,
    "http-custom-headers": replay_calls,
    "http-invalid-tool-headers": every_tool,
    "sep-2322-client-request-state": round_trips,
    "json-schema-ref-no-deref": lambda client: client.tools() and None,
    "json-schema-2020-12-preservation": echo_schema,
    "sep-2640-client-no-prefetch": skills,
}


def main() -> int:
    """Fulfil the scenario's wish; the first exit status that is not 0."""
    with tempfile.TemporaryDirectory() as folder:
        client = Client(sys.argv[-1], Path(folder))
        if SCENARIO in WISHES:
            WISHES[SCENARIO](client)
        elif SCENARIO.startswith("sep-2640-"):
            skills_read(client)
        else:
            authorized(client)
    return client.status


if __name__ == "__main__":
    sys.exit(main())
