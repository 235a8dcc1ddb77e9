"""How large a patch is: against the entropy of what changed, and against general delta tools.

Networks are trained briefly on Fashion-MNIST and made to forget a random tenth, or retrained without it.

    python benchmarks/patch_size.py --fashion DIR

Needs `bsdiff4`, `hdiffpatch` and `zstandard`, which are no dependencies of the package.
"""

import argparse
import platform
from collections.abc import Iterator
from importlib.metadata import version
from pathlib import Path

import bsdiff4
import hdiffpatch
import numpy as np
import torch
import zstandard

from obliq.checkpoints import Blueprint
from obliq.data import PartitionRule, load_dataset, partition
from obliq.methods import Calibrated, FineTune, Method, Retrain
from obliq.patch import Content, decode_patch, encode_patch, network_content, patch_bound, to_device_image
from obliq.quantization import Precision, float_state, integer_state
from obliq.run import Run
from obliq.training.loop import Recipe
from obliq.workflow.new_request import create_request
from obliq.workflow.pipeline import train_original, unlearn_original

TABLE = Path(__file__).parent / "results" / "patch_size.md"
NETWORKS = {"convnet": (4000, 6, 64), "resnet20": (600, 3, 64)}
"""Images, epochs and batch size of each."""
PRECISIONS = ("W8A8", "W4A4", "W2A2")
COMPRESSIONS = ("none", "zlib", "bzip2", "lzma", "zstd")
CALIBRATED_FIELDS = {"projection": "always", "epochs": 2, "forget_batch": 64, "record_every": 0}
METHODS: dict[str, Method] = {
    "calibrated, rate 0.001": Calibrated(learning_rate=0.001, **CALIBRATED_FIELDS),
    "calibrated": Calibrated(learning_rate=0.01, **CALIBRATED_FIELDS),
    "calibrated, steps frozen": Calibrated(learning_rate=0.01, steps="frozen", **CALIBRATED_FIELDS),
    "fine-tune": FineTune(epochs=2, learning_rate=0.03),
}
HEADER = (
    "| network | bits | method | codes changed | codes, bytes | entropy, bytes | ratio | words changed "
    "| whole patch | goal, at most | bsdiff4 | HDiffPatch | zstd | whole network |\n" + "| --- " * 14 + "|"
)


def pairs(name: str, precision: str, folder: Path) -> Iterator[tuple[str, Content, Content]]:
    """The content of an original and of what each method makes of it."""
    images, epochs, batch = NETWORKS[name]
    recipe = Recipe(epochs=epochs, learning_rate=0.1, batch_size=batch)
    parts = partition(
        load_dataset("fashion-mnist", folder), PartitionRule(seed=1, holdout=0.03, limit=images)
    )
    blueprint = Blueprint(
        architecture=name,
        input_shape=parts.collection.sample_shape,
        classes=parts.collection.classes,
        precision=Precision.parse(precision),
    )
    run = Run(seed=1)
    original = train_original(parts, blueprint, recipe, run)
    splits, request = create_request(parts, "random=10%", 1)
    old = content(original.checkpoint.model)
    for method_name, method in {**METHODS, "retrain": Retrain(recipe=recipe)}.items():
        made = unlearn_original(original.checkpoint, splits, request, method, run)
        yield method_name, old, content(made.checkpoint.model)


def content(model: torch.nn.Module) -> Content:
    return network_content(integer_state(model), float_state(model))


def general(old: Content, new: Content) -> tuple[int, ...]:
    """Bytes of bsdiff4, of HDiffPatch and of zstd with the old bytes as its dictionary.

    Each on the better of two forms, packed as the network is stored, and a byte a code; HDiffPatch in the
    better of its two formats by the best of its usual compressors.
    """
    forms = [(to_device_image(old), to_device_image(new)), (unpacked(old), unpacked(new))]
    tools = (lambda *form: len(bsdiff4.diff(*form)), hdiffpatched, patched_from)
    return tuple(min(tool(*form) for form in forms) for tool in tools)


def hdiffpatched(old: bytes, new: bytes) -> int:
    """What HDiffPatch writes, in its usual format or in the one for small devices."""
    ways = (hdiffpatch.diff, hdiffpatch.diff_lite)
    return min(len(diff(old, new, compression=name)) for diff in ways for name in COMPRESSIONS)


def patched_from(old: bytes, new: bytes) -> int:
    """What `zstd -19 --patch-from` writes."""
    reference = zstandard.ZstdCompressionDict(old, dict_type=zstandard.DICT_TYPE_RAWCONTENT)
    window = max(10, (len(old) + len(new)).bit_length())
    settings = zstandard.ZstdCompressionParameters.from_level(
        19, window_log=window, enable_ldm=True, source_size=len(new)
    )
    return len(zstandard.ZstdCompressor(dict_data=reference, compression_params=settings).compress(new))


def unpacked(content: Content) -> bytes:
    return b"".join(record.values.tobytes() for record in content)


def codes_only(old: Content, new: Content) -> Content:
    return tuple(after if before.bits else before for before, after in zip(old, new, strict=True))


def row(name: str, precision: str, method: str, old: Content, new: Content) -> str:
    least = patch_bound(old, new)
    patch, codes = encode_patch(old, new), encode_patch(old, codes_only(old, new))
    overhead = len(encode_patch(old, old))
    assert np.array_equal(unpacked(decode_patch(patch, old)), unpacked(new))
    entropy = least.code_bits / 8
    goal = 1.05 * (least.code_bits + least.word_bits) / 8 + 1024
    others = general(old, new)
    cells = [
        name,
        precision,
        method,
        f"{100 * least.changed_codes / least.codes:.2f} %",
        f"{len(codes) - overhead:,}",
        f"{entropy:,.0f}",
        f"{(len(codes) - overhead) / max(entropy, 1):.3f}",
        f"{least.changed_words:,}",
        f"{len(patch):,}",
        f"{goal:,.0f}",
        *(f"{size:,}" for size in others),
        f"{len(to_device_image(old)):,}",
    ]
    return f"| {' | '.join(cells)} |"


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--fashion", type=Path, required=True)
    parser.add_argument("--networks", nargs="*", default=list(NETWORKS))
    parser.add_argument("--precisions", nargs="*", default=list(PRECISIONS))
    given = parser.parse_args()
    torch.set_num_threads(1)
    rows = []
    for name in given.networks:
        for precision in given.precisions:
            for method, old, new in pairs(name, precision, given.fashion):
                rows.append(row(name, precision, method, old, new))
                print(rows[-1], flush=True)
                TABLE.write_text(text(rows))


def text(rows: list[str]) -> str:
    tools = ", ".join(f"{name} {version(name)}" for name in ("bsdiff4", "hdiffpatch", "zstandard"))
    return "\n".join(
        [
            "# Sizes of patches",
            "",
            __doc__.split("\n\n")[1],
            "",
            "- **codes, bytes**: the part of the patch that the integer codes take; **entropy**: log2 C(n, k) + k H",
            "  over all tensors, where H is the empirical entropy of the steps (`obliq.patch.bound`); a **ratio**",
            "  below 1 means that positions or steps are not independent, which the bound takes them to be.",
            "- **words changed**: scales, biases and batch-norm values of 32 bits; the **whole patch** holds them too.",
            "- **goal**: 1.05 times the bound + 1 KB, where each changed word counts 32 bits and its position.",
            "- **bsdiff4**, **HDiffPatch** (usual or lite format, best of five compressions) and **zstd** (-19",
            "  --patch-from; all three as PyPI packages), each on the packed network or on a byte a code, whichever",
            "  is smaller.",
            "- What has no row was not measured.",
            "",
            f"{tools}, PyTorch {torch.__version__}, {platform.machine()}.",
            "",
            HEADER,
            *rows,
            "",
        ]
    )


if __name__ == "__main__":
    main()
