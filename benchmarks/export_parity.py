"""Does the shipped file answer as the network does, on test images of Fashion-MNIST?

On all 10,000 of them, unless `--most` says fewer, for every folder or for each; the table has how many they were.

Trains nothing: give it folders made by `obliq train fashion-mnist`, for instance

    obliq train fashion-mnist --arch convnet --bits W8A8 --limit 6000 --epochs 8 --batch-size 64 --out runs/a
    python benchmarks/export_parity.py runs/a runs/b ... --most 0 2000 ...
"""

import argparse
from pathlib import Path

import torch

from obliq.checkpoints.run_folder import load_run
from obliq.exporting import CodeAgreement, Parity, check, export_file
from obliq.workflow.parity_samples import parity_samples

TABLE = Path(__file__).parent / "results" / "export_parity.md"
HEAD = """# Parity of exported files

Made by `benchmarks/export_parity.py`; {runtime}, one thread. Each network was trained as its row says and its
integer ONNX file run on test images of Fashion-MNIST. "As trained" is the network that training and a
plain audit see; "deployed" is `obliq export --to network`: the same integers, with the biases that the file adds.
Top-1 is the share of images with the same largest logit as the file's; logit differences are in standard
deviations of all logits; activations are compared with the interpreter's, code by code ("all": not one
differs). "Float sums" are those of PyTorch, as a plain audit of the deployed network has
them; "a device's sums" are those of `obliq.exporting.torch_interpreter`. M/2 is
the most that rounding a bias moves an output, in steps of that output.

| network | trained on | images | top-1 as trained | mean | top-1 deployed | mean | largest | \
equal in the file | equal in deployed, float sums | steps off | a device's sums | steps off | M/2 |
| --- | --- | --- | --- | --- | --- | --- | --- | --- | --- | --- | --- | --- | --- |
"""


def row(folder: Path, most: int) -> tuple[str, Parity]:
    saved = load_run(folder).checkpoint
    inputs = parity_samples(saved, "fashion-mnist", None, most)
    found = check(saved.model, export_file(saved.model, saved.blueprint.input_shape), inputs)
    recipe = saved.provenance.recipe or {}
    cells = [
        f"{saved.blueprint.architecture} {saved.blueprint.precision}",
        f"{saved.provenance.counts['train']} images, {recipe['epochs']} epochs",
        f"{found.samples:,}",
        f"{100 * found.network.same_top1:.2f} %",
        f"{found.network.mean_difference:.4f}",
        f"{100 * found.deployed_network.same_top1:.2f} %",
        f"{found.deployed_network.mean_difference:.1e}",
        f"{found.deployed_network.largest_difference:.3f}",
        f"{share(found.activations)} of {found.activations.compared:,}",
        share(found.deployed_activations),
        f"{found.deployed_activations.largest_step}",
        share(found.exact_activations),
        f"{found.exact_activations.largest_step}",
        f"{found.largest_bias_rounding:.3f}",
    ]
    return "| " + " | ".join(cells) + " |", found


def share(codes: CodeAgreement) -> str:
    """Of equal codes: `all` where not one differs, which four digits of a percentage could not say of billions."""
    return "all" if codes.equal == 1 else f"{100 * codes.equal:.4f} %"


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("folders", nargs="+", type=Path)
    parser.add_argument(
        "--most",
        nargs="+",
        type=int,
        default=[0],
        help="images to check on, for all folders or for each; 0 for all images",
    )
    arguments = parser.parse_args()
    most = arguments.most if len(arguments.most) > 1 else arguments.most * len(arguments.folders)
    torch.set_num_threads(1)
    rows = []
    for folder, images in zip(arguments.folders, most, strict=True):
        line, found = row(folder, images)
        print(line, flush=True)
        rows.append(line)
    TABLE.write_text(HEAD.format(runtime=found.runtime) + "\n".join(rows) + "\n")


if __name__ == "__main__":
    main()
