"""Publishing the sample outputs, and waiting until the review queue shows them."""

import time
from collections.abc import Sequence
from typing import Final

import httpx

from placet import accounts
from placet.api import Api
from placet.demo import asking, outputs, stand_in_outputs
from placet.demo.stand_in_outputs import Proposal, proposals
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
    records = stand_in_outputs.lines(_asked(state)) + outputs.lines()
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


def _asked(state: State) -> Sequence[Proposal]:
    """Those whose stand-in runs, once the questions are in its records."""
    urls = {str(target["name"]): url for target in state.targets if (url := target.get("url"))}
    found = []
    for name, url in urls.items():
        chosen = [one for one in proposals() if one.stand_in.target == name]
        try:
            asking.ask(url, chosen)
        except httpx.HTTPError as error:
            raise ServerError(f"the stand-in of {name}, {url}: {error}; placet logs") from error
        found += chosen
    return found
