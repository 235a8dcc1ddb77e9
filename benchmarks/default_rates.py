"""Whether the default learning rate trains each built-in network for images, on data that come with Obliq.

    python benchmarks/default_rates.py [--epochs 5] [--bits W8A8 W4A4]

Each network is trained on the digits by the default recipe, with few epochs and one seed. A rate fails where test
accuracy lies less than a tenth of the way from always giving the most frequent class to 100 %.
"""

import argparse
import time
from pathlib import Path

import torch

import obliq

NETWORKS = ("convnet", "strided-convnet", "resnet20", "mobilenetv2", "resnet18")
TABLE = Path(__file__).parent / "results" / "default_rates.md"


def main() -> None:
    """One line for each network and precision."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--epochs", type=int, default=5)
    parser.add_argument("--bits", nargs="+", default=["W8A8", "W4A4"])
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    data = obliq.load_dataset("digits")
    train, _, test = obliq.train_holdout_test_split(data, seed=0)
    frequent = 100 * float(test.labels.bincount().max()) / len(test)
    recipe = obliq.Recipe(epochs=arguments.epochs)
    lines = []
    for name in NETWORKS:
        for bits in arguments.bits:
            begun = time.process_time()
            network = obliq.create_network(name, data.sample_shape, data.classes, precision=bits)
            trained = obliq.train(network, train, recipe, progress=False).eval()
            with torch.no_grad():
                answers = torch.cat([trained(test[one][0][None]) for one in range(len(test))]).argmax(1)
            right = 100 * float((answers == test.labels).double().mean())
            outcome = "trains" if right > frequent + (100 - frequent) / 10 else "FAILS"
            lines.append(f"| {name} | {bits} | {right:.1f} | {outcome} |")
            print(lines[-1], f"{time.process_time() - begun:.0f} s", flush=True)
    TABLE.write_text(
        "# The default learning rate\n\n"
        "Written by `benchmarks/default_rates.py`. The built-in networks for images, trained on the digits with the\n"
        f"default recipe (rate {recipe.learning_rate}, batches of {recipe.batch_size}) for {arguments.epochs} epochs, "
        f"one seed. Always giving the\nmost frequent class answers {frequent:.1f} % of {len(test)} test samples "
        "correctly. "
        f"PyTorch {torch.__version__}, one thread.\n\n"
        "| network | bits | test accuracy, % | |\n| --- | --- | ---: | --- |\n" + "\n".join(lines) + "\n",
        encoding="utf-8",
    )


if __name__ == "__main__":
    main()
