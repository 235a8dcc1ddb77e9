"""What is known of the networks before they forgot, from the files below a folder; so that their exports are found.

A network between two requests counts as one: it still remembers what the later request names.
"""

import contextlib
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

from obliq.checkpoints import Checkpoint, Provenance, load_checkpoint
from obliq.checkpoints.file_record import (
    EXPORT_RECORD_DOCUMENT,
    FILE_RECORD_DOCUMENT,
    ExportRecord,
    FileRecord,
)
from obliq.checkpoints.folder import DOCUMENT_FILE, NETWORK_DOCUMENT, NetworkDocument
from obliq.errors import ObliqError
from obliq.exporting import digest_stated_in, graph_of, parse_exported, read_parity_record, sha256_of
from obliq.exporting.content import content_of_graph
from obliq.exporting.onnx.contents import LARGEST_FILE
from obliq.io.regular_file import read_regular_file
from obliq.patch import content_digest

HEAD = 2**16
"""Bytes in which a document states its format."""


@dataclass(frozen=True)
class KnownOriginals:
    """What is known of the networks before they forgot.

    Attributes:
        networks: those that could be loaded.
        bases: digests of the networks that others were unlearned from, and of those between two requests.
        digests: digests of networks, of the contents and of the bytes of files that were their bases.
        weights: digests of the files of weights that `obliq adopt` read.
    """

    networks: list[Checkpoint]
    bases: set[str] = field(default_factory=set)
    digests: set[str] = field(default_factory=set)
    weights: set[str] = field(default_factory=set)

    @classmethod
    def of(
        cls,
        files: Sequence[Path],
        elsewhere: Path | None,
        architecture: str | None,
        between: Collection[str] = (),
    ) -> "KnownOriginals":
        """What files below a folder show.

        Args:
            files: all regular files there.
            elsewhere: the folder of the original, where it is not among them.
            architecture: see `obliq.checkpoints.load_checkpoint`.
            between: digests of networks between two requests, and of their files, that are known otherwise.
        """
        found = cls([], bases=set(between))
        folders = [file for file in files if file.name == DOCUMENT_FILE]
        documents = [one for file in folders if (one := read_network_document(file)) is not None]
        records = [record for file in files if (record := _read_record(file)) is not None]
        for document in documents:
            earlier = (entry.base_digest for entry in document.provenance.earlier)
            found.bases.update(filter(None, (document.provenance.base_digest, *earlier)))
        histories = [({one.weights_digest}, one.provenance) for one in documents]
        histories += [(_digests_in(one), one.provenance) for one in records]
        found.bases.update(_between_requests(histories))
        found.digests.update(found.bases)
        for file in folders + ([elsewhere / DOCUMENT_FILE] if elsewhere else []):
            found._add_network(file, architecture)
        for record in records:
            found._add_record(record)
        for file in files:
            found._add_parity(file)
        return found

    def is_original(self, document: NetworkDocument | None) -> bool:
        """Whether it is of a network before it forgot: an original, or one that a later request does not let stand."""
        if document is None:
            return False
        return document.provenance.role == "original" or document.weights_digest in self.bases

    def _add_network(self, file: Path, architecture: str | None) -> None:
        document = read_network_document(file)
        if document is not None and self.is_original(document):
            self.digests.add(document.weights_digest)
            if document.provenance.loaded and document.provenance.recipe is None:
                self.weights.add(document.provenance.loaded.digest)
            try:
                self.networks.append(load_checkpoint(file.parent, architecture))
            except ObliqError:  # a network of the user's code, or one that is damaged
                return

    def _add_record(self, record: ExportRecord | FileRecord) -> None:
        """Records name the file that another was unlearned from, and the network that one was exported from."""
        earlier = (entry.base_digest for entry in record.provenance.earlier)
        self.digests.update({record.provenance.base_digest or "", *earlier})
        if isinstance(record, FileRecord):
            self.digests.add(record.base_file_digest)
        elif record.provenance.role == "original" or record.network_digest in self.digests:
            self.digests.update({record.file_digest, record.content_digest})

    def _add_parity(self, file: Path) -> None:
        if file.suffix != ".json" or file.name == DOCUMENT_FILE:
            return
        with contextlib.suppress(ObliqError):
            parity = read_parity_record(file)
            if self.digests & {parity.network_digest, parity.deployed_digest}:
                self.digests.add(parity.file_digest)

    @cached_property
    def contents(self) -> set[str]:
        """Content digests of their integer exports."""
        found = set()
        for saved in self.networks:
            try:
                graph = graph_of(saved.model, saved.blueprint.input_shape)
            except ObliqError:  # it cannot be exported, so nothing was exported from it
                continue
            found.add(content_digest(content_of_graph(graph)))
        return found

    def exported(self, file: Path) -> bool:
        """Whether a file was exported from one of them."""
        try:
            data = read_regular_file(file, LARGEST_FILE)  # larger ones are none, and could take hours
            if sha256_of(data) in self.digests:
                return True
            if (stated := digest_stated_in(data)) is not None:
                return stated in self.contents | self.digests
            exported = parse_exported(data, file.name, file.suffix)
            if exported.content_digest in self.contents | self.digests:
                return True
            return any(
                exported.exported_from(saved.model, saved.blueprint.input_shape) for saved in self.networks
            )
        except ObliqError:
            return False


def read_network_document(file: Path) -> NetworkDocument | None:
    """A model.json; None for a file that is none.

    Args:
        file: which may be missing.
    """
    with contextlib.suppress(ObliqError):
        return NETWORK_DOCUMENT.read(file)
    return None


def _read_record(file: Path) -> ExportRecord | FileRecord | None:
    """The record of an exported file; None for any other file."""
    if file.suffix == ".json" and file.name != DOCUMENT_FILE:
        for kind in (FILE_RECORD_DOCUMENT, EXPORT_RECORD_DOCUMENT):
            with contextlib.suppress(ObliqError):
                return kind.read(file)
    return None


def _digests_in(record: ExportRecord | FileRecord) -> set[str]:
    """What a file is known by, and the network that it was exported from."""
    network = record.network_digest if isinstance(record, ExportRecord) else None
    return {record.file_digest, record.content_digest} | ({network} if network else set())


def _between_requests(histories: Iterable[tuple[set[str], Provenance]]) -> set[str]:
    """Digests of what answers some requests of another network of the same original, and not all of them.

    Requests are compared by their keyed digests, those that were joined to one by each of them.
    """
    answered: dict[str, dict[frozenset[str], set[str]]] = {}
    for digests, provenance in histories:
        original, requests = provenance.original_digest, provenance.forgotten_so_far
        if original is not None and requests:
            alone = frozenset(digest for one in requests for digest in one.parts or (one.request,))
            answered.setdefault(original, {}).setdefault(alone, set()).update(digests)
    return {
        digest
        for sets in answered.values()
        for some, digests in sets.items()
        if any(some < more for more in sets)
        for digest in digests
    }
