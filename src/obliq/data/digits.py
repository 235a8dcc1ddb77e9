"""Scikit-learn's handwritten digits, with the form that each was written on.

The 1,797 images are the test part of Alpaydin and Kaynak's Optical Recognition of Handwritten Digits
(1998), in its order. People filled in a pre-printed form of about 130 digits; the sequence of labels
repeats 14 times, which tells where each form begins. The authors speak of 13 writers, so one of them
probably filled in two forms: a form is one person's, a person may have two.
"""

from pathlib import Path

import torch

from obliq.data.collection import Collection

FORM_STARTS = (0, 130, 256, 386, 516, 646, 776, 906, 1029, 1157, 1287, 1415, 1545, 1667)


def digits(folder: Path | None = None) -> Collection:
    """1,797 grey images of 8x8 pixels, 10 classes, 14 forms as subjects; no official test part.

    Comes with scikit-learn, so `folder` is not looked at.
    """
    from sklearn.datasets import load_digits  # takes a second to import, and other data do not need it

    pixels, target = load_digits(return_X_y=True)
    labels = torch.as_tensor(target, dtype=torch.int64)
    starts = torch.tensor(FORM_STARTS)
    return Collection(
        name="digits",
        inputs=torch.as_tensor(pixels, dtype=torch.float32).view(-1, 1, 8, 8) / 16,  # 17 grey levels
        labels=labels,
        subjects=torch.bucketize(torch.arange(len(labels)), starts, right=True) - 1,
        mean=(0.3053,),
        deviation=(0.3760,),
        class_names=tuple("0123456789"),
    )
