"""The tool registry: what every server offers, under names that any model takes.

A server may name its tools as it likes; Claude wants `^[a-zA-Z0-9_-]{1,128}$`, and two servers may
use the same name. So each tool gets an alias `mcp__server__tool`: foreign characters become `_`,
and where that, or the length, or a clash could confuse two tools, a digest of the true name is
added. An alias depends on nothing but the server's and the tool's name and what else is there, so
the prefix that a model's cache lives on stays the same from turn to turn.
"""

import re
from collections import Counter
from collections.abc import Sequence, Set
from fnmatch import fnmatchcase
from hashlib import sha256
from itertools import count
from typing import Any, TypeAlias

import msgspec
from msgspec.structs import replace

from pipeline.core.canonical import canonical
from pipeline.core.commands import Passing
from pipeline.core.confusables import confused
from pipeline.core.definitions import kept_back
from pipeline.core.definitions import problem_with as problem_with_definition
from pipeline.core.events import Json, Problem, RunResumed, Tool, ToolsChanged, ToolsListed
from pipeline.core.jsonrpc import shorten
from pipeline.core.param_headers import problem_with
from pipeline.core.plan import Plan
from pipeline.core.shapes import is_object

MAX_ALIAS = 128
_UNSAFE = re.compile(r"[^a-zA-Z0-9_-]")


class ToolsState(msgspec.Struct, frozen=True):
    """The tools of each server, in the server's own order."""

    plan: Plan
    tools: dict[str, tuple[Tool, ...]] = {}


Step: TypeAlias = tuple[ToolsState, tuple[Passing, ...]]


class MalformedToolError(ValueError):
    """A tool that cannot be used; the text says what was found and expected."""


def initial(plan: Plan) -> ToolsState:
    """No tool is known yet."""
    return ToolsState(plan)


def step(state: ToolsState, item: Passing) -> Step:
    """Advance by one item; a `ToolsListed` becomes a `ToolsChanged`, all else passes through."""
    if isinstance(item, RunResumed):
        return replace(state, plan=item.plan_after(state.plan)), (item,)
    if not isinstance(item, ToolsListed):
        return state, (item,)
    tools, problems = _read(state.plan, item)
    others = [tool for name, known in state.tools.items() if name != item.server for tool in known]
    tools = with_aliases(tools, {tool.alias for tool in others})
    changed = _difference(item.server, state.tools.get(item.server, ()), tools)
    state = replace(state, tools={**state.tools, item.server: tools})
    doubts = _doubts(item.server, confused(changed.added, tools, others))
    return state, (changed, *problems, *doubts)


def read_tool(server: str, raw: Any) -> Tool:
    """One tool as a server describes it, in either dialect's spelling.

    Raises:
        MalformedToolError: If it has no name, or its schema is no object.
    """
    if not is_object(raw):
        raise MalformedToolError(f"found {_shown(raw)} as a tool, expected an object")
    name = raw.get("name")
    if not isinstance(name, str) or not name:
        raise MalformedToolError(f"found the tool name {name!r}, expected some text")
    schemas = (raw[key] for key in _SCHEMA_KEYS if raw.get(key) is not None)
    schema = next(schemas, {"type": "object"})
    if not is_object(schema):
        found = f"found {_shown(schema)} as schema of {name!r}"
        raise MalformedToolError(f"{found}, expected an object")
    if (problem := problem_with(schema)) is not None:
        raise MalformedToolError(f"the tool {name!r} is left out: {problem}")
    tool = Tool(
        server=server,
        name=name,
        title=_text(raw, "title"),
        description=_text(raw, "description"),
        input_schema=schema,
        output_schema=_object(raw, "outputSchema"),
        annotations=_object(raw, "annotations") or {},
    )
    if problem := problem_with_definition(tool):
        raise MalformedToolError(f"the tool {name!r} is left out: {problem}")
    return replace(tool, digest=digest(tool))


def digest(tool: Tool) -> str:
    """What `Tool.digest` is to be: `sha256:` and 64 hexadecimal digits.

    Anybody can compute it from an answer to `tools/list`, and compare it with what was seen before:

        said = {key: tool[key] for key in KEYS if tool.get(key)}  # KEYS: the six below
        text = json.dumps(said, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
        "sha256:" + hashlib.sha256(text.encode()).hexdigest()

    (RFC 8785 differs from that `json.dumps` in numbers that are no small integers, and in the order
    of names beyond U+FFFF.) An input schema that the server does not give is `{"type":"object"}`,
    and one that it spells `input_schema` or `parameters` counts as `inputSchema`. The six members
    are what a person approves and a model reads; server and alias are not among them.
    """
    return digest_of(said(tool))


def digest_of(members: Json) -> str:
    """The digest of what `said` gives."""
    return f"sha256:{sha256(canonical(members)).hexdigest()}"


def said(tool: Tool) -> Json:
    """What a person approves and a model reads: the members by their MCP names, if not empty."""
    members: Json = {
        "name": tool.name,
        "title": tool.title,
        "description": tool.description,
        "inputSchema": tool.input_schema,
        "outputSchema": tool.output_schema,
        "annotations": tool.annotations,
    }
    return {key: value for key, value in members.items() if value}


def with_aliases(tools: Sequence[Tool], taken: set[str]) -> tuple[Tool, ...]:
    """Give each tool a name that is safe for a model and unlike all `taken` ones."""
    plain = [f"mcp__{tool.server}__{tool.name}" for tool in tools]
    safe = [_UNSAFE.sub("_", name) for name in plain]
    counts = Counter(safe)
    used = set(taken)
    named: list[Tool] = []
    for tool, true_name, alias in zip(tools, plain, safe, strict=True):
        is_clear = alias == true_name and counts[alias] == 1 and len(alias) <= MAX_ALIAS
        is_free = is_clear and alias not in used
        named.append(replace(tool, alias=alias if is_free else _digested(alias, tool, used)))
        used.add(named[-1].alias)
    return tuple(named)


def is_allowed(tool: Tool, allowed: Sequence[str], disallowed: Sequence[str]) -> bool:
    """Do the globs of the run let the model have this tool? No `allowed` glob allows all.

    A glob is held against the bare name, `server__tool` and the alias; `disallowed` wins.
    """
    names = (tool.name, f"{tool.server}__{tool.name}", tool.alias)

    def matches(globs: Sequence[str]) -> bool:
        return any(fnmatchcase(name, glob) for glob in globs for name in names)

    return (not allowed or matches(allowed)) and not matches(disallowed)


def find(tools: Sequence[Tool], name: str) -> tuple[Tool, ...]:
    """The tools that a person may mean by `name`: by alias or `server__tool`, else by bare name."""
    exact = tuple(t for t in tools if name in (t.alias, f"{t.server}__{t.name}"))
    return exact or tuple(t for t in tools if t.name == name)


_SCHEMA_KEYS = ("inputSchema", "input_schema", "parameters")


def _read(plan: Plan, listed: ToolsListed) -> tuple[tuple[Tool, ...], tuple[Problem, ...]]:
    tools: dict[str, Tool] = {}
    problems: list[str] = []
    for raw in listed.tools[: plan.max_tools]:
        try:
            tool = read_tool(listed.server, raw)
            if plan.tasks:
                tool = replace(tool, task_support=_task_support(raw))
        except MalformedToolError as exc:
            problems.append(str(exc))
            continue
        if tool.name in tools:
            problems.append(f"the tool {tool.name!r} is listed twice; the first one counts")
            continue
        tools[tool.name] = tool
        if words := kept_back(tool):
            problems.append(f"of the tool {tool.name!r} the model does not get {words}")
    if len(listed.tools) > plan.max_tools:
        problems.append(
            f"found {len(listed.tools)} tools, kept the first {plan.max_tools} (--max-tools)"
        )
    return tuple(tools.values()), _told(listed.server, problems)


def _task_support(raw: Any) -> str:
    """MCP 2025-11-25, server/tools: `execution.taskSupport`; `forbidden` is as good as absent."""
    execution = raw.get("execution")
    support = execution.get("taskSupport") if is_object(execution) else None
    return support if support in ("required", "optional") else ""


def _doubts(server: str, pairs: Sequence[tuple[Tool, Tool]]) -> tuple[Problem, ...]:
    """Names that a person may take for each other; the model has aliases, which are unlike."""
    if not pairs:
        return ()
    new, known = pairs[0]
    more = f" (and {len(pairs) - 1} more of the kind)" if len(pairs) > 1 else ""
    of = "this server" if known.server == server else repr(known.server)
    like = "is called as one" if new.name == known.name else f"looks like {known.name!a}"
    detail = f"its tool {new.name!a} {like} of {of}{more}"
    hint = f"say {new.server}__{new.name} or {known.server}__{known.name} for the one that you mean"
    return (Problem(where=server, detail=detail, hint=hint),)


def _told(server: str, problems: Sequence[str]) -> tuple[Problem, ...]:
    if not problems:
        return ()
    more = f" (and {len(problems) - 1} more of the kind)" if len(problems) > 1 else ""
    return (Problem(where=server, detail=f"in the tool list: {problems[0]}{more}"),)


def _digested(alias: str, tool: Tool, used: Set[str]) -> str:
    """The alias with a digest of server and tool: `a` with `b__c` is not `a__b` with `c`.

    Only a tool that was named after another's digest is in the way of the first attempt.
    """
    names = (f"{tool.server}\0{tool.name}\0{attempt}" for attempt in count())
    digests = (sha256(name.encode("utf-8", "surrogatepass")).hexdigest()[:8] for name in names)
    candidates = (f"{alias[: MAX_ALIAS - len(d) - 1]}_{d}" for d in digests)
    return next(candidate for candidate in candidates if candidate not in used)


def _difference(server: str, before: Sequence[Tool], now: Sequence[Tool]) -> ToolsChanged:
    # The digest is part of a tool: it tells `true` from `1`, which Python's `==` does not.
    old = {tool.name: tool for tool in before}
    new = {tool.name: tool for tool in now}
    return ToolsChanged(
        server=server,
        tools=tuple(now),
        added=tuple(name for name in new if name not in old),
        removed=tuple(name for name in old if name not in new),
        changed=tuple(name for name in new if name in old and old[name] != new[name]),
    )


def _text(raw: Json, key: str) -> str:
    value = raw.get(key)
    return value if isinstance(value, str) else ""


def _object(raw: Json, key: str) -> Json | None:
    value = raw.get(key)
    return value if is_object(value) else None


def _shown(value: Any) -> str:
    return repr(shorten(msgspec.json.encode(value).decode(), 60))
