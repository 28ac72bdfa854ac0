"""Plays scenarios under many seeds, and says how to repeat the one that fails."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pykka

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable


def seeds(count: int) -> range:
    """Give the seeds to try: the first `count`, unless the environment's SEEDS says otherwise.

    SEEDS is one seed, such as `17`, or the first and the last, such as `0-999`.
    """
    chosen = os.environ.get("SEEDS", "")
    if not chosen:
        return range(count)
    first, _, last = chosen.partition("-")
    return range(int(first), int(last or first) + 1)


def try_each(scenario: Callable[[int], object], chosen: Iterable[int]) -> None:
    """Play a scenario under each seed.

    Raises:
        AssertionError: it fails under one of them; the text says which, and how to repeat it.
    """
    for seed in chosen:
        try:
            scenario(seed)
        except Exception as error:
            name = getattr(scenario, "__name__", "the scenario")
            raise AssertionError(
                f"{name} fails under seed {seed}: {error}\n"
                f"Repeat it with: SEEDS={seed} pytest '{_this_test()}'"
            ) from error
        finally:
            _forget_actors()


def _forget_actors() -> None:
    """Let go of what the scenario has started: Pykka's registry holds it, and looks it through."""
    for reference in pykka.ActorRegistry.get_all():
        pykka.ActorRegistry.unregister(reference)


def _this_test() -> str:
    return os.environ.get("PYTEST_CURRENT_TEST", "").partition(" (")[0]
