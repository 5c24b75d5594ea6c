"""How long each step of a session may take, and what becomes of one that takes longer."""

from msgspec.structs import replace

from pipeline.core.commands import StartTimer
from pipeline.core.plan import Plan
from pipeline.core.session import detect, lists
from pipeline.core.session.state import Move, Session, await_step, patience, start_over

_AT_REST = ("closed", "ready", "failed")


def on_deadline(session: Session, plan: Plan) -> Move:
    """The time of a step is up."""
    seconds, setting = patience(session, plan)
    waited = f"within {seconds:g} s ({setting})"
    match session.phase:
        case "opened":
            return start_over(session, f"no `endpoint` event came {waited}")
        case "deciding":
            return start_over(session, f"no `tools` event came {waited}")
        case "probing":
            return detect.on_silence(session, plan, waited)
        case "initializing":
            return start_over(session, f"`initialize` was not answered {waited}")
        case "greeting":
            return start_over(session, f"`initialized` was not taken {waited}")
        case "listing" if not session.pages:
            return start_over(session, f"`tools/list` was not answered {waited}")
        case "listing" | "ready" if session.is_listing:
            return lists.fail(session, plan, f"no answer {waited}")
        case "ready" if session.is_partial:
            return lists.ask(session, plan)
        case "ready" if session.is_resting:
            return lists.rested(session, plan)
        case _:
            return session, ()


def while_signing_in(session: Session, plan: Plan, *, is_begin: bool) -> tuple[StartTimer, ...]:
    """While credentials are got, a step has a person's time; then a server's again."""
    if session.phase in _AT_REST:
        return ()
    step = await_step(session, plan)
    return (replace(step, seconds=plan.question_timeout) if is_begin else step,)
