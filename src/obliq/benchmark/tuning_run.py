"""Tuning a suite: the choices that are kept, the trials that are missing, and the choice among those that were run."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console

from obliq.auditing.measured_values import compare_with_retrained
from obliq.benchmark.cache import ResultCache
from obliq.benchmark.cache_keys import TaskKeys
from obliq.benchmark.plan import TuningTrials, tuning_trials
from obliq.benchmark.progress import ProgressDisplay
from obliq.benchmark.schedule import Progress, plan_tasks, run_tasks
from obliq.benchmark.suite import Suite
from obliq.benchmark.tuning import (
    FailedTrial,
    TuningChoice,
    TuningKey,
    fields_text,
    position_of_smallest,
    read_choices,
    setup_digest,
    untuned_digest,
    write_choices,
)
from obliq.benchmark.tuning_samples import samples_digest
from obliq.benchmark.workers import TaskOutcome, WorkerPool


@dataclass(frozen=True)
class TuningRun:
    """What all steps of tuning share.

    Attributes:
        suite: whose methods are tuned.
        file: of the choices.
        cache: of results.
        keys: of tasks.
        console: for the progress.
        deadline: of the monotonic clock; None for none.
    """

    suite: Suite
    file: Path
    cache: ResultCache
    keys: TaskKeys
    console: Console
    deadline: float | None

    def kept_choices(self) -> dict[TuningKey, TuningChoice]:
        """The choices of earlier runs that still count, from the samples that there are to tune on now."""
        known = read_choices(self.file, self.suite)
        return {
            one.key: known[one.key]
            for one in tuning_trials(self.suite)
            if one.key in known and known[one.key].samples in ("", self._samples(one))
        }

    def missing_trials(self, choices: Mapping[TuningKey, TuningChoice]) -> list[TuningTrials]:
        """The trials of methods without a choice, and those beyond the edges of kept ones."""
        every = list(tuning_trials(self.suite))
        kept = [one for one in every if one.key in choices]
        return [one for one in every if one.key not in choices] + self._further_trials(kept, choices)

    def _further_trials(
        self, trials: Sequence[TuningTrials], choices: Mapping[TuningKey, TuningChoice]
    ) -> list[TuningTrials]:
        following = (one.after(choices[one.key], self.suite.beyond_edges) for one in trials)
        return [one for one in following if one is not None]

    def tune(
        self, trials: Sequence[TuningTrials], choices: Mapping[TuningKey, TuningChoice], pool: WorkerPool
    ) -> tuple[dict[TuningKey, TuningChoice], list[str]]:
        """All choices, the kept ones and the new ones, and the errors of tasks.

        Trials beyond the edge of a range depend on what the ones before them gave, so they come in rounds.
        """
        found, failures, own = dict(choices), dict[str, None](), set[str]()
        while trials:
            tasks = [task for one in trials for task in (one.retrained_audit, *one.audits)]
            with ProgressDisplay(self.console, f"tuning {self.suite.name}") as display:

                def watch(progress: Progress, outcome: TaskOutcome | None) -> None:
                    display.watch(progress, outcome)
                    if outcome and outcome.methods_own:
                        own.add(outcome.key)

                errors = run_tasks(plan_tasks(tasks, self.keys), self.cache, pool, watch, self.deadline)
            failures |= dict.fromkeys(errors.values())
            found |= {one.key: self._choice(one, errors, own) for one in trials}
            write_choices(self.file, found)
            trials = self._further_trials(trials, found)
        return found, list(failures)

    def _choice(self, trials: TuningTrials, errors: Mapping[str, str], own: Collection[str]) -> TuningChoice:
        """The best of the trials.

        Args:
            trials: that were run, with those before them.
            errors: of tasks, by key.
            own: keys of the tasks whose error was the method's own.
        """
        aim_key, *audit_keys = (self.keys.of(one) for one in (trials.retrained_audit, *trials.audits))
        aim, found = self.cache.find(aim_key), list(map(self.cache.find, audit_keys))
        new = tuple(
            compare_with_retrained(entry.values, aim.values).get("average_gap") if entry and aim else None
            for entry in found
        )
        before = trials.before
        earlier = before.gaps if before else ()
        gaps = (*earlier, *new)
        causes = [errors[key] for key in (aim_key, *audit_keys) if key in errors]
        failures = tuple(
            FailedTrial(
                trial=len(earlier) + number,
                error=errors.get(key, causes[0]),
                methods_own=self.keys.of(audit.network) in own,
            )
            for number, (audit, key, gap) in enumerate(zip(trials.audits, audit_keys, new, strict=True))
            if gap is None and (aim_key in errors or key in errors)
        )
        best = position_of_smallest(gaps)
        setup = trials.problem.experiment.setup
        return TuningChoice(
            data=setup.data,
            architecture=setup.architecture,
            bits=setup.bits,
            scenario=trials.problem.scenario.text,
            contender=trials.variant.name,
            seed=self.suite.tuning_seed,
            trials=(*(before.trials if before else ()), *map(fields_text, trials.fields)),
            gaps=gaps,
            chosen=best,
            beyond=0 if before is None else before.beyond + len(new),
            error=causes[0] if best is None and causes else "",
            setup=before.setup if before else setup_digest(setup),
            version=before.version if before else trials.variant.method_class.version,
            untuned=before.untuned if before else untuned_digest(trials.variant),
            samples=before.samples if before else self._samples(trials),
            failures=(*(before.failures if before else ()), *failures),
        )

    def _samples(self, trials: TuningTrials) -> str:
        return samples_digest(trials.problem.experiment, self.keys.environment)
