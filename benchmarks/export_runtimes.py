"""Which releases of ONNX Runtime run our files as the integer interpreter says?

    python benchmarks/export_runtimes.py make DIR     # in the environment of the project, from its root
    python benchmarks/export_runtimes.py run DIR      # in others, with numpy and some onnxruntime alone

The second prints a row for each file: `exact` when every logit equals the interpreter's.
"""

import sys
from pathlib import Path

import numpy as np

PRECISIONS, FORMS = ("W8A8", "W4A4", "W2A2"), ("integer", "compact", "float")


def make(folder: Path) -> None:
    """Write files of a ResNet-20 with drawn weights and the logits that they must give."""
    from obliq.exporting import graph_of, interpreter, to_onnx

    sys.path.insert(0, str(Path(__file__).parents[1]))
    from tests.exporting.networks import made

    folder.mkdir(parents=True, exist_ok=True)
    for precision in PRECISIONS:
        model, inputs = made("resnet20", precision)
        graph = graph_of(model, inputs.shape[1:])
        np.save(folder / "inputs.npy", inputs.numpy())
        np.save(
            folder / f"{precision}.npy", interpreter.logits(graph, interpreter.run(graph, inputs.numpy()))
        )
        for form in FORMS:
            (folder / f"{precision}-{form}.onnx").write_bytes(to_onnx(graph, form))


def run(folder: Path) -> None:
    """Run every file; the settings are those of `obliq.exporting.onnx.runtime`."""
    import onnxruntime

    inputs = np.load(folder / "inputs.npy")
    for precision in PRECISIONS:
        expected = np.load(folder / f"{precision}.npy")
        for form in FORMS:
            options = onnxruntime.SessionOptions()
            options.log_severity_level = 4
            options.intra_op_num_threads = 1
            options.add_session_config_entry("session.x64quantprecision", "1")
            try:
                running = onnxruntime.InferenceSession(
                    str(folder / f"{precision}-{form}.onnx"), options, providers=["CPUExecutionProvider"]
                )
                found = running.run(None, {"input": inputs})[0]
                apart = np.abs(found - expected).max() / expected.std()
                outcome = "exact" if np.array_equal(found, expected) else f"{apart:.3f} of the spread apart"
            except Exception as error:  # whatever a runtime raises is the finding
                outcome = f"refused: {' '.join(str(error).split())[:80]}"
            print(f"| {onnxruntime.__version__} | {precision} | {form} | {outcome} |", flush=True)


if __name__ == "__main__":
    {"make": make, "run": run}[sys.argv[1]](Path(sys.argv[2]))
