"""The recordings that the scenarios play, and the settings that make their outcome simple."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Final

SHIPPED: Final = Path(__file__).parent.parent / "recordings"
NO_FILTER: Final = {"BAD_NAMES_PATTERN": "no name is like this", "SPAM_BURST_THRESHOLD": "1000"}
FROM_CREATE: Final = {"ACTIVATION": "trades", "ACTIVATION_MIN_TRADES": "0"}


def recording(kind: str) -> Path:
    """Take the recording of the real feed where there is one, else the shipped one."""
    folder = os.environ.get("MINTWATCH_RECORDINGS")
    real = sorted(Path(folder).glob(f"{kind}-*.jsonl")) if folder else []
    return real[0] if real else SHIPPED / f"{kind}.jsonl.gz"
