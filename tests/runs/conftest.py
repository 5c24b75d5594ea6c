"""The servers that whole runs talk to."""

from tests.support.servers import everything, official, reference

__all__ = ["everything", "official", "reference"]
