"""Publishing the sample outputs, and waiting until the review queue shows them."""

import time
from typing import Final

from placet import accounts
from placet.api import Api
from placet.demo.outputs import lines
from placet.home import Home
from placet.progress import Report
from placet.publishing import publish
from placet.servers.process import ServerError
from placet.state import State

_PATIENCE: Final = 120.0
_BETWEEN_QUESTIONS: Final = 0.3


def publish_demo(home: Home, state: State, report: Report) -> None:
    """Publish all records and return when the queue shows as many.

    Raises:
        ServerError: the queue did not fill; says where to look.
    """
    if not state.kafka or not state.review:
        return
    records = lines()
    with report.step(f"{len(records)} model outputs published") as step:
        publish(state.kafka, records, step.advance)
    reviewer = accounts.load(home.accounts_file)[0]
    with (
        report.step("They are in the review queue") as step,
        Api(state.review, reviewer.username, reviewer.password) as api,
    ):
        deadline = time.monotonic() + _PATIENCE
        while (seen := sum(1 for _ in api.items(limit=len(records)))) < len(records):
            step.advance(seen, len(records))
            if time.monotonic() > deadline:
                raise ServerError(
                    f"the review queue shows {seen} of {len(records)} items. What is stuck: "
                    "placet lag; placet logs intake-1; placet logs review-worker"
                )
            time.sleep(_BETWEEN_QUESTIONS)
