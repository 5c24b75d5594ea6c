"""Everything a run can be told, checked: the fields of `config/fields/`, put together.

Each field says its flag, its variable, its default and its check; the order of the fields of a
group is that of the help page. A flag beats the environment, the environment beats the `.env` file,
and that beats the default; `command_line.py` puts them together.
"""

import shlex
from collections.abc import Set

from pydantic import SecretStr

from config.commands import Command, OutboxAction
from config.fields.access import AccessFields
from config.fields.asked import AskedFields
from config.fields.chat import ChatFields
from config.fields.limits import LimitFields
from config.fields.patience import PatienceFields
from config.fields.recordings import RecordingFields
from config.fields.results import ResultFields
from config.fields.screen import ScreenFields
from config.fields.serve import ServeFields
from config.fields.servers import ServerFields
from config.options import ModelOptions, PostOptions, StreamOptions, WebhookOptions
from config.servers import url_secrets


class Settings(
    ServeFields,
    ScreenFields,
    LimitFields,
    PatienceFields,
    RecordingFields,
    ResultFields,
    ChatFields,
    AskedFields,
    AccessFields,
    ServerFields,
):
    """All that a run is told, checked. It holds secrets: hand its groups on, never print it.

    The groups come from last to first, which makes the first the first fields.
    """

    command: Command = "chat"
    call_tool: str = ""
    call_arguments: tuple[str, ...] = ()
    request_words: tuple[str, ...] = ()
    files: tuple[str, ...] = ()
    outbox_action: OutboxAction = "list"
    notices: tuple[str, ...] = ()
    claude_secrets: tuple[SecretStr, ...] = ()
    named_secrets: tuple[SecretStr, ...] = ()
    """The values of the variables in `secret_env`, in their order."""

    @property
    def stream(self) -> StreamOptions:
        """Event streams."""
        return StreamOptions(
            connect_timeout=self.connect_timeout, max_event_bytes=self.max_event_bytes
        )

    @property
    def post(self) -> PostOptions:
        """Messages to servers."""
        return PostOptions(post_timeout=self.post_timeout, max_body_bytes=self.max_body_bytes)

    @property
    def webhook(self) -> WebhookOptions:
        """Deliveries to webhooks, which have half of the end of a run at most."""
        return WebhookOptions(
            timeout=self.webhook_timeout,
            attempts=self.webhook_attempts,
            first_delay=self.webhook_first_delay,
            max_delay=self.webhook_max_delay,
            drain=min(self.webhook_drain, self.shutdown_timeout / 2),
            outbox=self.webhook_outbox,
            patience=self.webhook_patience,
            outbox_messages=self.webhook_outbox_messages,
            outbox_bytes=self.webhook_outbox_bytes,
            full_wait=self.webhook_full_wait,
            fsync=self.fsync,
            state_home=self.oauth_state_home,
        )

    @property
    def model_options(self) -> ModelOptions:
        """The model."""
        return ModelOptions(
            model=self.model,
            max_tokens=self.max_tokens,
            first_token=self.model_first_token,
            silence=self.model_silence,
            max_retries=self.model_max_retries,
            max_answer_bytes=self.max_answer_bytes,
        )

    @property
    def call_text(self) -> str:
        """The arguments of `call` as one text, which `parse_arguments` reads back."""
        if len(self.call_arguments) == 1 and self.call_arguments[0].startswith("{"):
            return self.call_arguments[0]
        return shlex.join(self.call_arguments)

    def secrets(self) -> Set[str]:
        """All values that must never be shown; the same settings give them in the same order."""
        single = [self.api_key, self.webhook_secret, *self.claude_secrets]
        found = [secret.get_secret_value() for secret in single if secret is not None]
        found += self.oauth.secrets()
        for header in self.headers:
            value = header.value.get_secret_value()
            found += [value, value.rpartition(" ")[2]]  # the token of `Bearer token`
        for url in (*self.servers, *(s.target for s in self.sinks if s.kind == "webhook")):
            found += sorted(url_secrets(url))
        return dict.fromkeys(found).keys()
