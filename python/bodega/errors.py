"""Every exception that bodega raises on purpose, in one tree.

    BodegaError
    ├── ConfigInvalid      a declaration, file, option or variable that cannot be used (also a ValueError)
    ├── SelectorInvalid    a selector of an invalidation that means nothing (also a ValueError)
    ├── InvalidationRefused  an edge cannot forget any more of this kind now, or is told by a control process
    ├── SnapshotInvalid    a compiled configuration that the native core refuses
    ├── ControlError       something about a control process
    │   ├── ControlNotFound  there is none to talk with
    │   ├── ControlRefused the control process did not do what it was asked
    │   └── PurgeUnfinished  not every edge had applied an invalidation in time (also a TimeoutError)
    ├── EdgeError
    │   ├── EdgeClosed     the edge is not running, is stopped, or belongs to another process
    │   ├── EdgeNotFound   there is no running edge to talk with
    │   ├── AdminRefused   a running edge refused or did not understand a call
    │   ├── AddressInUse   somebody else listens where this edge should (also an OSError)
    │   ├── AddressInvalid an address that cannot be listened on (also an OSError)
    │   ├── FollowRefused  an edge applies nothing of what it was handed of a journal
    │   │   ├── FollowGap  events are missing in between
    │   │   └── FollowParted  it is of another history than the edge has applied
    │   └── HandoverFailed the old process did not hand over its listeners
    ├── ModelRefused       another version of a model was not put in force
    ├── PredictionRefused  a model was asked what it does not take, or failed
    ├── JournalError       something about a journal
    │   ├── AppendRefused  an event that a journal does not take
    │   ├── EventsGone     events that were asked for have been compacted away
    │   ├── JournalDamaged what is in the file is not what was written, or is no journal
    │   └── JournalLocked  another process has it
    └── OriginError        an origin could not answer
        └── OriginTimeout  an origin did not answer in time (also a TimeoutError)

Each carries fields; its text says what was wrong, where, and what to do.
No secret is ever part of a field or of a text.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, ClassVar, TypeAlias

if TYPE_CHECKING:
    from collections.abc import Iterable

KeyPath: TypeAlias = tuple[str | int, ...]
"""Where something is within a document: ``("distributions", "shop", "behaviors", 2, "origin")``."""

__all__ = [
    "AddressInUse",
    "AddressInvalid",
    "AdminRefused",
    "AppendRefused",
    "BodegaError",
    "ConfigInvalid",
    "ControlError",
    "ControlNotFound",
    "ControlRefused",
    "EdgeClosed",
    "EdgeError",
    "EdgeNotFound",
    "EventsGone",
    "FollowGap",
    "FollowParted",
    "FollowRefused",
    "HandoverFailed",
    "InvalidationRefused",
    "JournalDamaged",
    "JournalError",
    "JournalLocked",
    "KeyPath",
    "ModelRefused",
    "OriginError",
    "OriginTimeout",
    "PredictionRefused",
    "Problem",
    "PurgeUnfinished",
    "SelectorInvalid",
    "SnapshotInvalid",
    "format_path",
]


class BodegaError(Exception):
    """The root: whatever bodega raises on purpose.

    Attributes:
        what: What was wrong.
        hint: What to do, or an empty text.
    """

    def __init__(self, what: str, *, hint: str = "") -> None:
        """Keep what was wrong and what to do."""
        super().__init__(what)
        self.what = what
        self.hint = hint

    def __str__(self) -> str:
        """Say what was wrong and what to do, in one sentence."""
        return _sentence(self.what, self.hint)


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing that is wrong with a declaration, and where.

    Attributes:
        what: What was wrong.
        hint: What would be right, or an empty text.
        path: Where within the declaration; empty when it is about the whole.
        file: The file it was read from, if any.
        line: The line in that file, from 1, if known.
    """

    what: str
    hint: str = ""
    path: KeyPath = ()
    file: str | None = None
    line: int | None = None

    def under(self, *prefix: str | int) -> Problem:
        """Return the same problem seen from an enclosing declaration."""
        return replace(self, path=(*prefix, *self.path))

    def at(self, file: str | None, line: int | None) -> Problem:
        """Return the same problem with its place in a file."""
        return replace(self, file=file, line=line)

    @property
    def where(self) -> str:
        """``bodega.toml:12: policies.pages.default_ttl``, or what is known of it."""
        parts = []
        if self.file is not None:
            parts.append(self.file if self.line is None else f"{self.file}:{self.line}")
        if self.path:
            parts.append(format_path(self.path))
        return ": ".join(parts)

    def __str__(self) -> str:
        """Say where, what, and what would be right."""
        sentence = _sentence(self.what, self.hint)
        return f"{self.where}: {sentence}" if self.where else sentence


class ConfigInvalid(BodegaError, ValueError):
    """A declaration, a file, an option or a variable that cannot be used.

    The fields are those of the first problem; all are in `problems`.

    Attributes:
        file: The file it was read from, if any.
        line: The line in that file, from 1, if known.
        path: Where within the declaration.
        problems: Everything that was found, in the order of the document; at least one.
    """

    def __init__(
        self,
        what: str,
        *,
        hint: str = "",
        path: KeyPath = (),
        file: str | None = None,
        line: int | None = None,
    ) -> None:
        """Keep one problem."""
        super().__init__(what, hint=hint)
        self.problems: tuple[Problem, ...] = (Problem(what, hint, path, file, line),)

    @classmethod
    def of(cls, problems: Iterable[Problem]) -> ConfigInvalid:
        """Make one exception of several problems.

        Args:
            problems: At least one.
        """
        found = tuple(problems)
        first = found[0]
        error = cls(first.what, hint=first.hint)
        error.problems = found
        return error

    @property
    def path(self) -> KeyPath:
        """Where the first problem is within the declaration."""
        return self.problems[0].path

    @property
    def file(self) -> str | None:
        """The file of the first problem."""
        return self.problems[0].file

    @property
    def line(self) -> int | None:
        """The line of the first problem."""
        return self.problems[0].line

    def under(self, *prefix: str | int) -> ConfigInvalid:
        """Return the same error seen from an enclosing declaration."""
        return ConfigInvalid.of(problem.under(*prefix) for problem in self.problems)

    def __str__(self) -> str:
        """List the problems, one a line."""
        return "\n".join(str(problem) for problem in self.problems)


class SelectorInvalid(BodegaError, ValueError):
    """A selector that names nothing an edge could invalidate.

    Attributes:
        selector: The selector as it was written.
    """

    def __init__(self, what: str, *, selector: str = "", hint: str = "") -> None:
        """Keep the selector beside what was wrong with it."""
        super().__init__(what, hint=hint)
        self.selector = selector


class InvalidationRefused(BodegaError):
    """An edge forgets nothing at this request.

    It has as many live pattern rules as it may have: it tests what is stored against them in the background, so that
    there is room again a little later. Or it follows a control process, which the hint names, and forgets what its
    journal says.
    """


class SnapshotInvalid(BodegaError):
    """A compiled configuration that the native core refuses; what served before goes on serving.

    Attributes:
        revision: The revision that was refused, if known.
    """

    def __init__(self, what: str, *, revision: int | None = None, hint: str = "") -> None:
        """Keep what the native core said."""
        super().__init__(what, hint=hint)
        self.revision = revision


class ControlError(BodegaError):
    """Something about a control process."""


class ControlNotFound(ControlError):
    """No control process was found, or none answers at the address given.

    Attributes:
        url: The address that was tried, if there was one.
    """

    def __init__(self, what: str, *, url: str | None = None, hint: str = "") -> None:
        """Keep the address that was tried."""
        super().__init__(what, hint=hint)
        self.url = url


class ControlRefused(ControlError):
    """The control process did not do what it was asked to.

    Attributes:
        status: The HTTP status it answered with, if that was why.
        problems: What is wrong with what was sent, if it was more than one thing or has a place.
    """

    def __init__(
        self, what: str, *, status: int | None = None, hint: str = "", problems: Iterable[Problem] = ()
    ) -> None:
        """Keep the status and the problems."""
        super().__init__(what, hint=hint)
        self.status = status
        self.problems = tuple(problems)

    def __str__(self) -> str:
        """Say what was wrong, and every problem on a line of its own."""
        return "\n".join((super().__str__(), *(f"  {problem}" for problem in self.problems)))


class PurgeUnfinished(ControlError, TimeoutError):
    """Not every edge that is here had applied an invalidation in time. It is in the journal, and reaches them.

    Attributes:
        purge_id: Of the invalidation.
        waiting: The edges that had not applied it.
    """

    def __init__(self, what: str, *, purge_id: str = "", waiting: Iterable[str] = (), hint: str = "") -> None:
        """Keep which edges were missing."""
        super().__init__(what, hint=hint)
        self.purge_id = purge_id
        self.waiting = tuple(waiting)


class EdgeError(BodegaError):
    """Something about a running edge, or one that should run."""


class EdgeClosed(EdgeError):
    """The edge is not running here: never started, stopped, or owned by the process that forked this one."""


class EdgeNotFound(EdgeError):
    """No running edge was found, or none answers at the address given.

    Attributes:
        address: The address that was tried, if one was given.
    """

    def __init__(self, what: str, *, address: str | None = None, hint: str = "") -> None:
        """Keep the address that was tried."""
        super().__init__(what, hint=hint)
        self.address = address


class AdminRefused(EdgeError):
    """A running edge refused a call on its admin listener.

    Attributes:
        status: The HTTP status it answered with, if it answered.
        address: Its admin address.
    """

    def __init__(self, what: str, *, status: int | None = None, address: str | None = None, hint: str = "") -> None:
        """Keep the status and the address."""
        super().__init__(what, hint=hint)
        self.status = status
        self.address = address


class AddressInUse(EdgeError, OSError):
    """Somebody else listens where this edge should.

    Attributes:
        address: The address that is taken.
        owner: Who holds it, as ``"nginx (pid 812)"``, if that could be found out.
        EXIT_STATUS: What a command exits with then, so that whoever started it can choose another address.
    """

    EXIT_STATUS: ClassVar[int] = 5

    def __init__(self, what: str, *, address: str = "", owner: str | None = None, hint: str = "") -> None:
        """Keep the address and its owner."""
        super().__init__(what, hint=hint)
        self.address = address
        self.owner = owner


class AddressInvalid(EdgeError, OSError):
    """An address that this machine cannot listen on.

    Attributes:
        address: The address.
    """

    def __init__(self, what: str, *, address: str = "", hint: str = "") -> None:
        """Keep the address."""
        super().__init__(what, hint=hint)
        self.address = address


class HandoverFailed(EdgeError):
    """A running edge did not hand over its listeners.

    Attributes:
        pid: The process that was asked.
    """

    def __init__(self, what: str, *, pid: int | None = None, hint: str = "") -> None:
        """Keep the process that was asked."""
        super().__init__(what, hint=hint)
        self.pid = pid


class FollowRefused(EdgeError):
    """An edge applied nothing of what it was handed of a journal."""


class FollowGap(FollowRefused):
    """A batch of events begins after the edge's place: ask for what comes after that."""


class FollowParted(FollowRefused):
    """A batch of events is of another history than the edge has applied, or it has joined none: join the journal."""


class ModelRefused(BodegaError):
    """Another version of a model was not put in force: what served before goes on serving."""


class PredictionRefused(BodegaError):
    """A model was asked what it does not take, or failed for it.

    Attributes:
        status: What a client gets by HTTP: 400, 413, 500, 503 or 504.
        field: Which part of the input is meant, ``"features[3]"``; empty for none in particular.
        expected: What the model takes there, ``"float32[2]"``, where that is the matter.
        given: What came instead.
    """

    def __init__(
        self, what: str, *, status: int = 500, field: str = "", expected: str = "", given: str = "", hint: str = ""
    ) -> None:
        """Keep the status, and what it is about."""
        super().__init__(what, hint=hint)
        self.status = status
        self.field = field
        self.expected = expected
        self.given = given


class JournalError(BodegaError):
    """Something about a journal."""


class AppendRefused(JournalError, ValueError):
    """An event that a journal does not take; nothing was appended."""


class EventsGone(JournalError):
    """Events that were asked for have been compacted away: begin with a checkpoint.

    Attributes:
        oldest: The oldest position that is still there.
    """

    def __init__(self, what: str, *, oldest: int = 1, hint: str = "") -> None:
        """Keep the oldest position."""
        super().__init__(what, hint=hint)
        self.oldest = oldest


class JournalDamaged(JournalError):
    """A file that holds no journal, or one in which something is not what was written.

    Attributes:
        position: The first event that is not sound, if it is about one.
    """

    def __init__(self, what: str, *, position: int | None = None, hint: str = "") -> None:
        """Keep the position."""
        super().__init__(what, hint=hint)
        self.position = position


class JournalLocked(JournalError):
    """Another process appends to this journal.

    Attributes:
        pid: Which one, if it says so.
    """

    def __init__(self, what: str, *, pid: int | None = None, hint: str = "") -> None:
        """Keep the process."""
        super().__init__(what, hint=hint)
        self.pid = pid


class OriginError(BodegaError):
    """An origin could not answer.

    Attributes:
        origin: The origin's name or address.
    """

    def __init__(self, what: str, *, origin: str = "", hint: str = "") -> None:
        """Keep which origin it was."""
        super().__init__(what, hint=hint)
        self.origin = origin


class OriginTimeout(OriginError, TimeoutError):
    """An origin did not answer in time."""


def format_path(path: KeyPath) -> str:
    """Write a path as a person would: ``distributions.shop.behaviors[2].origin``."""
    text = ""
    for part in path:
        if isinstance(part, int):
            text += f"[{part}]"
        else:
            text += f".{_quoted(part)}" if text else _quoted(part)
    return text


def _quoted(part: str) -> str:
    plain = all(letter.isalnum() or letter in "-_" for letter in part)
    return part if plain and part else f'"{part}"'


def _sentence(what: str, hint: str) -> str:
    return f"{what}; {hint}" if hint else what
