"""How long measuring one output takes, and how well it tells wrong answers from right ones.

`.venv/bin/python bench/divergence_bench.py`: records of 2 KB made of the demo's samples (prompt 500
characters, output 600, retrieval 900 in three snippets), CPU time of one thread.
"""

import json
import statistics
import time
from importlib.resources import files

from contract.events import Retrieval
from intake.divergence import measure

SAMPLES = [
    json.loads(line)
    for line in files("placet")
    .joinpath("demo/halueval-qa-500.jsonl")
    .read_text("utf-8")
    .splitlines()
]


def joined(name: str, first: int, characters: int) -> str:
    return " ".join(SAMPLES[(first + n) % 500][name] for n in range(20))[:characters]


def records() -> list[tuple[str, list[Retrieval], str]]:
    result = []
    for first in range(0, 500, 5):
        knowledge = joined("knowledge", first, 900)
        snippets = [Retrieval(snippet=knowledge[n : n + 300]) for n in (0, 300, 600)]
        # Half of what is said comes from the sources, half of it is made up.
        said = joined("knowledge", first, 300) + " " + joined("hallucinated_answer", first, 299)
        result.append((said, snippets, joined("question", first, 500)))
    return result


def microseconds() -> list[float]:
    times = []
    for _ in range(20):
        for output, retrieval, prompt in records():
            start = time.thread_time()
            measure(output, retrieval, prompt)
            times.append((time.thread_time() - start) * 1e6)
    return times


def auroc() -> float:
    scores = {
        name: [
            measure(r[name], [Retrieval(snippet=r["knowledge"])], r["question"]).score
            for r in SAMPLES
        ]
        for name in ("right_answer", "hallucinated_answer")
    }
    pairs = [(w, r) for w in scores["hallucinated_answer"] for r in scores["right_answer"]]
    return sum((w > r) + 0.5 * (w == r) for w, r in pairs) / len(pairs)


if __name__ == "__main__":
    times = microseconds()
    centiles = statistics.quantiles(times, n=100)
    print(f"divergence, 2 KB: P50 {centiles[49]:.0f} us, P99 {centiles[98]:.0f} us (goal: 300 us)")
    print(f"AUROC on {len(SAMPLES)} question-answer pairs: {auroc():.3f} (goal: 0.95)")
