"""What a partition keeps of its past: the newest examples, copies of the champion, and versions of old champions."""

from collections.abc import Callable, Collection, Iterator, Mapping
from typing import Any

from msgspec import Struct

from schemas.errors import ModelError
from streams.accounting import Books
from streams.archive import Archive
from streams.label import TaskKind
from streams.learner import Learner
from streams.milestones import Milestones
from streams.policy import ChampionVersions
from streams.recent import Example, Recent
from streams.reconstruction import Reconstruction
from streams.versions import Frozen


class Kept(Struct, frozen=True):
    """A version that is kept from now on.

    Parameters
    ----------
    archived
        The version.
    evicted
        The one that went for it, if one had to.
    """

    archived: Frozen
    evicted: Frozen | None


class Past:
    """Examples and models of before; none of these models learns what comes.

    Parameters
    ----------
    policy
        The declaration.
    kind, classes
        As `Frozen` takes them.
    books
        Where errors are counted.
    loss
        Measures an answer that was not given, as `Loss.of` does.
    """

    def __init__(
        self,
        policy: ChampionVersions,
        kind: TaskKind,
        classes: Collection[Any],
        books: Books,
        loss: Callable[[Any, Any, Any], float | None],
    ) -> None:
        self._kind: TaskKind = kind
        self._classes = classes
        self._books = books
        self._loss = loss
        self.recent = Recent()
        self.milestones = Milestones(policy.milestone, kind, classes)
        self._reconstruction = Reconstruction()
        self.archive = Archive(policy.versions)
        #: Whether a champion that has stepped down is to be kept, and is not yet.
        self.is_busy = False
        self._keeps = policy.versions > 0
        self._kept: list[Kept] = []

    def asked(self, offset: int) -> Iterator[Frozen]:
        """Yield the models that are asked about the event at an offset."""
        for frozen in self.archive:
            if not frozen.is_imported or frozen.offset < offset:
                yield frozen
        yield from self.milestones.references

    def watch(self, champion: Learner, losses: Mapping[str, float | None], offset: int) -> None:
        """Look for changes of the world in the losses on one event, by name."""
        self.milestones.watch(champion, losses, offset, self.recent, self._ask)
        self.archive.watch(losses)

    def _ask(self, frozen: Frozen, example: Example) -> float | None:
        """Return the loss of a frozen model's answer to an example, None when it gives none."""
        _, x, y = example
        try:
            return self._loss(y, *frozen.predict(x))
        except ModelError:
            self._books.count["shadow_error"] += 1
            return None

    def forget_losses(self, learned: int, *, scored: bool) -> None:
        """Begin anew with what remembers losses; where references are scored, one looks back on the newest examples."""
        self.milestones.rest()
        if scored:
            self.milestones.wake(learned, self.recent)
        self.archive.forget_losses()

    def copy(self, champion: Learner, offset: int, *, scored: bool) -> None:
        """Take a copy of a champion, see `Milestones.take`."""
        if not self.milestones.take(champion, offset, scored=scored):
            self._books.count["not_frozen"] += 1

    def leave(self, champion: Learner, until: int, wanted: Learner | Frozen) -> None:
        """Keep a champion that steps down, as it was before an offset.

        Parameters
        ----------
        champion
            It.
        until
            Offset from which on the world is another.
        wanted
            Who serves in its stead.
        """
        self.finish()
        self.archive.want(wanted)
        old = self.milestones.before(until)
        if old is not None and self._keeps:
            self._reconstruction.begin(old, self.recent.newest(champion.learned - old.learned), until)
            self.is_busy = True

    def reconstruct(self) -> None:
        """Go on with a champion that has stepped down.

        Raises
        ------
        ModelError, ModelBrokenError
            As `Learner.learn`.
        """
        self._reconstruction.learn()
        if self._reconstruction.is_done:
            self.finish()

    def break_off(self) -> None:
        """Keep the copy that a reconstruction began with: its model is broken."""
        self._reconstruction.learner = None
        self.finish()

    def finish(self) -> None:
        """Keep what has become of a champion that has stepped down: as it was once, if not as it was at the end."""
        version, self.is_busy = self._reconstruction.end(), False
        if version is not None:
            self._kept.append(Kept(version, self.archive.keep(version)))

    @property
    def learner(self) -> Learner | None:
        """The champion that has stepped down, while it is put together."""
        return self._reconstruction.learner

    @property
    def has_kept(self) -> bool:
        """Whether there are versions that nobody has been told of."""
        return bool(self._kept)

    def take_kept(self) -> list[Kept]:
        """Return the versions that nobody has been told of."""
        kept, self._kept = self._kept, []
        return kept

    @property
    def frozen(self) -> dict[str, Frozen]:
        """All frozen models, by name."""
        found = (*self.archive, *self.milestones.frozen, *self._reconstruction.frozen)
        return {frozen.name: frozen for frozen in found}

    def snapshot(self) -> Any:
        """Return the state but for the models."""
        return {
            "frozen": {name: (one.version, one.learned, one.offset) for name, one in self.frozen.items()},
            "archive": self.archive.snapshot(),
            "milestones": self.milestones.snapshot(),
            "reconstruction": self._reconstruction.snapshot(),
            "recent": self.recent.snapshot(),
        }

    def restore(self, state: Any, data: Callable[[str], bytes], reconstruction: Learner | None) -> None:
        """Become what `snapshot` was taken of.

        Parameters
        ----------
        state
            What `snapshot` returned.
        data
            Returns a frozen model as it is written, by name.
        reconstruction
            The learner of the reconstruction, if there was one.
        """
        frozen = {
            name: Frozen(data(name), version, learned, offset, self._kind, self._classes)
            for name, (version, learned, offset) in state["frozen"].items()
        }
        self.archive.restore(state["archive"], frozen)
        self.milestones.restore(state["milestones"], frozen)
        self._reconstruction.restore(state["reconstruction"], frozen, reconstruction)
        self.is_busy = bool(self._reconstruction.frozen)
        self.recent.restore(state["recent"])
