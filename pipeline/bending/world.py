"""What a bent run meets: servers, model, person and timers, made of the recording, in virtual time.

The world is in the place of the shell: it carries out commands, and gives the inputs that come of
them. Nothing in it is chance, and nothing waits: time passes when nothing else is to be done.
"""

from collections import deque

from pipeline.bending.bends import Bends
from pipeline.bending.clock import VirtualClock
from pipeline.bending.messages import Messages
from pipeline.bending.model import Model
from pipeline.bending.patience import Patience
from pipeline.bending.person import Person
from pipeline.bending.script import Script
from pipeline.bending.servers import Servers
from pipeline.bending.standing import Standing
from pipeline.bending.timers import Timers
from pipeline.core.codec import Header
from pipeline.core.commands import (
    Ask,
    CallModel,
    CancelModel,
    Close,
    Cut,
    Get,
    Item,
    Open,
    PinTools,
    Post,
    ReadPrompt,
    Reconnect,
    StartTimer,
    StopAsking,
    StopTimer,
)
from pipeline.core.events import Input, SignInEnded


class World:
    """The rest of a run, from event `since` on."""

    def __init__(
        self, header: Header, script: Script, standing: Standing, bends: Bends, since: int
    ) -> None:
        patience = Patience(header)
        self.clock = VirtualClock(standing.us)
        self._came: deque[Input] = deque()
        clock, put = self.clock, self._came.append
        self._servers = Servers(
            standing, clock=clock, bends=bends, patience=patience, put=put, on_gone=self._on_gone
        )
        self.messages = Messages(
            script.asked, self._servers, clock=clock, bends=bends, patience=patience, put=put
        )
        self.model = Model(
            header.plan, script.asked, clock=clock, bends=bends, patience=patience, put=put
        )
        self._person = Person(clock, bends, put)
        self._timers = Timers(script.timers, clock, put)
        self._timers.take_over(standing, since)
        self._servers.take_over(standing, script, since)
        self.messages.take_over(standing, since)
        self.model.take_over(standing, since)
        self._person.take_over(standing, script, since)
        for server in sorted(standing.signing_in):
            self._end_sign_in(server, script, since)

    def next(self) -> Input | None:
        """What happens next; None where nothing can happen any more.

        Raises:
            Exception: A fault of ours, in what stands for a server.
        """
        while not self._came:
            is_stuck = not self.clock.expected and self._servers.are_at_rest
            # A person who waits in vain leaves, in the end.
            if is_stuck and not self._person.leave():
                return None
            if not is_stuck:
                self.clock.step()
        if self._servers.fault is not None:
            raise self._servers.fault
        return self._came.popleft()

    async def carry_out(self, command: Item) -> None:
        """Do what the core wants; what comes of it, comes later."""
        match command:
            case Post() | Get():
                self.messages.send(command)
            case Cut(server=server, id=id_):
                self.messages.cut(server, id_)
            case CallModel():
                await self.model.start(command)
            case CancelModel(call=call):
                self.model.cancel(call)
            case StartTimer(id=id_, seconds=seconds):
                self._timers.start(id_, seconds)
            case StopTimer(id=id_):
                self._timers.stop(id_)
            case Open(server=server, transport=transport):
                self._servers.open(server, transport)
            case Reconnect(server=server, reason=reason):
                self._servers.reconnect(server, reason)
            case Close(server=server, reason=reason, status=status):
                self._servers.close(server, reason, status)
            case ReadPrompt():
                self._person.listen()
            case Ask(question=question):
                self._person.ask(question)
            case StopAsking(question=question):
                self._person.stop_asking(question)
            case PinTools():
                pass  # what did not happen is not remembered
            case _:
                raise TypeError(f"{type(command).__name__} is not a command")

    def _end_sign_in(self, server: str, script: Script, since: int) -> None:
        """Credentials that are being got come when they came."""
        ended = SignInEnded(server=server)
        mine = (e.at for e in script.sign_ins if e.seq >= since and e.item == ended)
        self.clock.at(next(mine, self.clock.us), lambda: self._came.append(ended))

    def _on_gone(self, server: str) -> None:
        self.messages.drop(server)
