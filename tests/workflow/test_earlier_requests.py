"""What several requests take from one network, one after another or together."""

import dataclasses
from collections.abc import Callable

import pytest

from obliq.checkpoints import Blueprint, Checkpoint, Provenance
from obliq.checkpoints.run_folder import SavedRun
from obliq.data import Partition, parse_selector, select
from obliq.data.request_file import Request
from obliq.errors import DataError
from obliq.methods import FineTune
from obliq.models import initialise
from obliq.quantization import calibrate_steps, weights_digest
from obliq.run import Run
from obliq.workflow.earlier_requests import (
    join_requests,
    requests_behind,
    require_all_forgotten,
    samples_of,
)
from obliq.workflow.new_request import create_request, forgotten_before
from obliq.workflow.pipeline import unlearn_original

FORM = Blueprint(architecture="convnet", input_shape=(1, 6, 6), classes=3)
Named = Callable[[str], Request]


@pytest.fixture
def named(parts: Partition) -> Named:
    """A request of its own for what a selector names."""

    def create(selector: str) -> Request:
        return Request.of(parts.forgetting(select(parse_selector(selector), parts, 0)), selector)

    return create


@pytest.fixture
def people(parts: Partition) -> list[int]:
    assert parts.collection.subjects is not None
    return sorted(set(parts.collection.subjects[parts.train.indices].tolist()))


def test_a_single_request_keeps_its_digest_after_earlier_ones(
    parts: Partition, named: Named, people: list[int]
) -> None:
    first, second = (named(f"subject={person}") for person in people[:2])
    joined = join_requests([second], parts, [first])
    assert (joined.digest, joined.ids, joined.earlier, joined.parts) == (
        second.digest,
        second.ids,
        (first,),
        (),
    )
    splits = joined.splits(parts)
    assert len(splits.retain) == len(parts.train) - len(first.ids) - len(second.ids)
    assert joined.every == (first, second)


def test_several_requests_are_the_union_of_their_samples_and_keep_their_digests(
    parts: Partition, named: Named, people: list[int]
) -> None:
    one, other = named(f"subject={people[0]}"), named("class=1")
    joined = join_requests([one, other], parts)
    assert set(joined.ids) == set(one.ids) | set(other.ids)
    assert len(joined.ids) < len(one.ids) + len(other.ids)
    assert joined.every == (one, other)
    assert joined.digest not in (one.digest, other.digest)
    assert joined.selector == f"subject={people[0]} + class=1"
    assert set(join_requests([joined, other], parts).parts) == {one, other}  # joined again, nothing is nested


def test_samples_that_earlier_requests_took_are_left_out_and_counted(
    parts: Partition, named: Named, people: list[int]
) -> None:
    first = named(f"subject={people[0]}")
    _, request = create_request(parts, "class=1", 0, [first])
    assert not set(request.ids) & set(first.ids)
    assert forgotten_before(request) == 4
    with pytest.raises(DataError, match="all 12 samples of the request were forgotten before"):
        create_request(parts, f"subject={people[0]}", 0, [first])
    with pytest.raises(DataError, match="was answered before"):
        join_requests([first], parts, [first])
    splits, drawn = create_request(parts, "random=50%", 0, [first])
    assert forgotten_before(drawn) == 0
    assert len(splits.forget) == round((len(parts.train) - 12) / 2)  # of what remains


def test_a_class_that_was_forgotten_is_no_longer_part_of_the_data(
    parts: Partition, named: Named, people: list[int]
) -> None:
    splits = join_requests([named("class=1")], parts).splits(parts)
    assert splits.forgotten_classes == splits.absent_classes == {1}
    later, _ = create_request(parts, f"subject={people[0]}", 0, [named("class=1")])
    assert later.forgotten_classes == frozenset()
    assert later.absent_classes == {1}
    for role in ("forget", "retain", "holdout", "test"):
        assert 1 not in getattr(later, role).labels.tolist()


def test_requests_of_other_data_are_refused(parts: Partition, named: Named) -> None:
    first = named("class=1")
    with pytest.raises(DataError, match="expected the data and the division it was made for"):
        join_requests([dataclasses.replace(first, ids=first.ids[1:])], parts)
    with pytest.raises(DataError, match="expected the data and the division it was made for"):
        join_requests([named("class=2")], parts, [dataclasses.replace(first, salt="0" * 64)])
    with pytest.raises(DataError, match="no requests to join"):
        join_requests([], parts)


def test_a_chain_of_networks_records_digests_and_needs_every_request(
    parts: Partition, named: Named, people: list[int]
) -> None:
    model = FORM.build()
    initialise(model, 0)
    calibrate_steps(model, parts.train.inputs())
    provenance = Provenance(role="original", data="toy", rule=parts.drawn_by, partition_digest=parts.digest)
    runs = [SavedRun(Checkpoint(model.eval(), FORM, provenance), [])]
    for person in people[:3]:
        base = runs[-1]
        behind = requests_behind(base.checkpoint.provenance, [base.request] if base.request else [])
        splits, request = create_request(parts, f"subject={person}", 0, behind)
        runs.append(unlearn_original(base.checkpoint, splits, request, FineTune(epochs=1), Run(seed=1)))
    last = runs[-1]
    assert last.request is not None
    entries = last.checkpoint.provenance.forgotten_so_far
    assert [entry.request for entry in entries] == [one.request.digest for one in runs[1:] if one.request]
    assert [entry.base_digest for entry in entries] == [
        weights_digest(one.checkpoint.model) for one in runs[:-1]
    ]
    assert last.checkpoint.provenance.original_digest == entries[0].base_digest
    assert last.checkpoint.provenance.counts["retain"] == len(parts.train) - 36
    assert samples_of(last.request.every).tolist() == sorted(
        number for person in people[:3] for number in named(f"subject={person}").ids
    )
    with pytest.raises(DataError, match="answers 3 requests, of which 2 not at hand"):
        requests_behind(last.checkpoint.provenance, [dataclasses.replace(last.request, earlier=())])
    patched = dataclasses.replace(last.checkpoint.provenance, splits_digest=None)
    with pytest.raises(DataError, match="as after a patch"):
        requests_behind(patched, last.request.earlier)
    assert requests_behind(patched, [last.request]) == tuple(
        dataclasses.replace(one, earlier=()) for one in last.request.every
    )


def test_the_newest_request_of_a_chain_is_not_answered_alone_by_the_original(
    parts: Partition, named: Named, people: list[int]
) -> None:
    first, second = (named(f"subject={person}") for person in people[:2])
    chained = join_requests([second], parts, [first])
    with pytest.raises(DataError, match="follows 1 request that the network has not forgotten"):
        require_all_forgotten([chained], [])
    require_all_forgotten([chained, first], [])
    require_all_forgotten([chained], [first])
