"""What Prometheus reads of examples, jobs, trials and promotions, counted at each scrape."""

from collections import Counter
from collections.abc import Iterable, Iterator
from typing import Final

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from becas.ft.v1 import dataset_pb2, training_pb2
from becas_ft._core import Core
from becas_ft.ledger import Ledger, ReadTransaction
from becas_ft.ledger.schema import AUDIT, EVENTS, JOBS, TRIAL_COUNTS
from becas_ft.messages import enum_name
from becas_ft.rollout import registry
from becas_ft.shadow import trials

_TIERS: Final = ("gold", "silver", "bronze")
_ACTIONS: Final = ("promote", "rollback")


class Figures(Collector):
    """Totals that the stores keep; they outlive the server.

    Arguments:
        core: has the examples.
        ledger: has everything else.
    """

    def __init__(self, core: Core, ledger: Ledger) -> None:
        self._core = core
        self._ledger = ledger

    def describe(self) -> Iterable[Metric]:
        """Nothing beforehand: registering must not read the stores."""
        return ()

    def collect(self) -> Iterable[Metric]:
        """All of them."""
        yield from _examples(dataset_pb2.GetTrainingStatsResponse.FromString(self._core.stats()))
        yield from self._ledger.read(lambda transaction: list(_pipeline(transaction)))


def _examples(stats: dataset_pb2.GetTrainingStatsResponse) -> Iterator[Metric]:
    examples = GaugeMetricFamily("becas_examples", "Stored examples.", labels=["category", "tier"])
    quality = GaugeMetricFamily("becas_mean_quality", "Mean score of stored examples, 0 to 1.", labels=["category"])
    superseded = GaugeMetricFamily("becas_superseded", "Examples that a correction replaced.", labels=["category"])
    for row in stats.categories:
        category = registry.category_name(row.category)
        for tier in _TIERS:
            examples.add_metric([category, tier], getattr(row.tiers, tier))
        quality.add_metric([category], row.mean_quality)
        superseded.add_metric([category], row.superseded)
    rejected = CounterMetricFamily("becas_rejected", "Events that were not good enough to be kept.", labels=["reason"])
    for reason, count in stats.rejected_by_reason.items():
        rejected.add_metric([reason], count)
    yield from (examples, quality, superseded, rejected)


def _pipeline(transaction: ReadTransaction) -> Iterator[Metric]:
    stages = Counter(int(job.stage) for _, job in transaction.scan(JOBS))
    jobs = GaugeMetricFamily("becas_jobs", "Jobs by the stage that they are in, or ended in.", labels=["stage"])
    for value in training_pb2.Stage.DESCRIPTOR.values:
        if value.number:
            jobs.add_metric([enum_name(training_pb2.Stage.DESCRIPTOR, value.number) or ""], stages[value.number])
    known = trials.all_trials(transaction)
    running = GaugeMetricFamily("becas_trials_running", "Shadow tests that take pairs.", labels=["kind"])
    for kind, watch in (("candidate", False), ("watch", True)):
        running.add_metric([kind], sum(trial.running and trial.watch is watch for trial in known))
    counts = [count for _, count in transaction.scan(TRIAL_COUNTS)]
    actions = Counter(entry.action for _, entry in transaction.scan(AUDIT))
    switches = CounterMetricFamily("becas_switches", "Promotions and rollbacks.", labels=["action"])
    for action in _ACTIONS:
        switches.add_metric([action], actions[action])
    last = transaction.last(EVENTS)
    yield from (
        jobs,
        running,
        CounterMetricFamily(
            "becas_shadow_requests", "Requests while a shadow test ran.", value=sum(one.requests for one in counts)
        ),
        CounterMetricFamily(
            "becas_shadow_sampled", "Of them, those that the candidate saw.", value=sum(one.sampled for one in counts)
        ),
        CounterMetricFamily(
            "becas_shadow_overflow",
            "Of them, those dropped for want of time.",
            value=sum(one.overflow for one in counts),
        ),
        switches,
        CounterMetricFamily("becas_published_events", "Events published.", value=last[0] if last else 0),
    )
