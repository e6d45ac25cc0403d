"""stub"""

from .settings import Settings
from .table import Outcome


def run(settings: Settings) -> Outcome:
    return Outcome()
