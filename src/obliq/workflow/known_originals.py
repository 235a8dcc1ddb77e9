"""What is known of the networks before they forgot, from the files below a folder; so that their exports are found."""

import contextlib
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

from obliq.checkpoints import Checkpoint, load_checkpoint
from obliq.checkpoints.file_record import EXPORT_RECORD_DOCUMENT, FILE_RECORD_DOCUMENT
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
        bases: digests of the networks that others were unlearned from.
        digests: digests of networks, of the contents and of the bytes of files that were their bases.
        weights: digests of the files of weights that `obliq adopt` read.
    """

    networks: list[Checkpoint]
    bases: set[str] = field(default_factory=set)
    digests: set[str] = field(default_factory=set)
    weights: set[str] = field(default_factory=set)

    @classmethod
    def of(cls, files: Sequence[Path], elsewhere: Path | None, architecture: str | None) -> "KnownOriginals":
        """What files below a folder show.

        Args:
            files: all regular files there.
            elsewhere: the folder of the original, where it is not among them.
            architecture: see `obliq.checkpoints.load_checkpoint`.
        """
        found = cls([])
        documents = [file for file in files if file.name == DOCUMENT_FILE]
        for file in documents:
            found._add_bases(file)
        found.digests.update(found.bases)
        for file in documents + ([elsewhere / DOCUMENT_FILE] if elsewhere else []):
            found._add_network(file, architecture)
        for file in files:
            found._add_records(file)
        return found

    def _add_bases(self, file: Path) -> None:
        if (document := read_network_document(file)) is not None:
            earlier = (entry.base_digest for entry in document.provenance.earlier)
            self.bases.update(filter(None, (document.provenance.base_digest, *earlier)))

    def is_original(self, document: NetworkDocument | None) -> bool:
        """Whether it is of a network before it forgot: an original, or the base of a later request."""
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

    def _add_records(self, file: Path) -> None:
        """Records name the file that another was unlearned from, and the network that one was exported from."""
        if file.suffix != ".json" or file.name == DOCUMENT_FILE:
            return
        try:
            record = FILE_RECORD_DOCUMENT.read(file)
            earlier = (entry.base_digest for entry in record.provenance.earlier)
            self.digests.update({record.base_file_digest, record.provenance.base_digest or "", *earlier})
            return
        except ObliqError:
            pass
        with contextlib.suppress(ObliqError):
            origin = EXPORT_RECORD_DOCUMENT.read(file)
            earlier = (entry.base_digest for entry in origin.provenance.earlier)
            self.digests.update({origin.provenance.base_digest or "", *earlier})
            if origin.provenance.role == "original" or origin.network_digest in self.digests:
                self.digests.update({origin.file_digest, origin.content_digest})
            return
        try:
            parity = read_parity_record(file)
        except ObliqError:
            return
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
