"""The person of a bent run: says what was said in the recording, in that order."""

from collections import deque
from collections.abc import Callable, Sequence

from msgspec.structs import replace

from pipeline.bending.bends import Bends
from pipeline.bending.clock import VirtualClock
from pipeline.bending.line import Due, End, Line
from pipeline.bending.script import Asked, Reply, Script
from pipeline.bending.standing import Standing
from pipeline.core.commands import Ask
from pipeline.core.events import Input, InputEnded, PromptCancelled, QuestionAnswered


class Person(End):
    """Answers each wish for a prompt with the next recorded words, after as long as it took then.

    What was said without being asked comes as long after the words before it as it did. A Ctrl-C
    that was to end an answer does not come once that answer is there. After the last words input
    has ended. Questions get the recorded answers in their order; those beyond them get none.
    """

    def __init__(self, clock: VirtualClock, bends: Bends, put: Callable[[Input], None]) -> None:
        self.line = Line(clock, bends, self)
        self._clock = clock
        self._put = put
        self._words: deque[Reply] = deque()
        self._is_listening = False
        self._has_left = False
        self._due: Due | None = None
        self._answers: deque[Asked] = deque()
        self._asked: dict[str, list[Due]] = {}

    def take_over(self, standing: Standing, script: Script, since: int) -> None:
        """Say the rest of the words, and answer what is asked at event `since`."""
        self._words = deque(script.said[standing.said :])
        self._is_listening = standing.is_read
        self._has_left = standing.has_left
        self._go_on(None)
        for asked in script.asked:
            match asked.command:
                case Ask(question=question) if asked.seq < since:
                    is_gone = asked.seq < standing.began
                    later = [r for r in asked.replies if r.seq >= since and not is_gone]
                    self._answer(question, later, None)
                case Ask():
                    self._answers.append(asked)
                case _:
                    pass

    def listen(self) -> None:
        """The next words are wanted."""
        self._is_listening = True
        if self._due is not None and self._words and _is_interrupt(self._words[0].item):
            self._due.cancel()
            self._due = None
            self._words.popleft()
        if self._due is None:
            self._go_on(self._clock.us)

    def ask(self, question: str) -> None:
        """A question is put."""
        if self._answers:
            self._answer(question, self._answers.popleft().replies, self._clock.us)

    def stop_asking(self, question: str) -> None:
        """A question is taken back."""
        for due in self._asked.pop(question, ()):
            due.cancel()

    def leave(self) -> bool:
        """There is nothing more to say; False if that was said before."""
        if self._has_left:
            return False
        self._has_left = True
        self._put(InputEnded())
        return True

    # --- the end of the line --------------------------------------------------------------------

    def hand(self, item: Input) -> None:
        """Words are said, or a question is answered."""
        if isinstance(item, QuestionAnswered):
            self._put(item)
            return
        self._due = None
        self._words.popleft()
        self._has_left = self._has_left or isinstance(item, InputEnded)
        self._is_listening = self._is_listening and isinstance(item, PromptCancelled)
        self._put(item)
        self._go_on(self._clock.us)

    def _answer(self, question: str, replies: Sequence[Reply], began: int | None) -> None:
        self._asked[question] = [
            self.line.expect(each.due(began), replace(each.item, question=question), each.seq)
            for each in replies
        ]

    def _go_on(self, began: int | None) -> None:
        if self._words and (self._is_listening or not self._words[0].is_own):
            words = self._words[0]
            self._due = self.line.expect(words.due(began), words.item, words.seq)
        elif self._is_listening and not self._words:
            self.leave()


def _is_interrupt(item: Input) -> bool:
    return isinstance(item, PromptCancelled) and item.signal == "SIGINT"
