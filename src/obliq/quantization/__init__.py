"""Quantized networks: learned steps, conversion, and one view of them as integers."""

from obliq.quantization.convert import PRESETS, calibrate_steps, quantize
from obliq.quantization.integer_state import (
    changed_codes,
    digest_entries,
    float_state,
    integer_state,
    latent_state,
    load_integer_state,
    load_latent_state,
    state_digest,
    weight_codes,
    weights_digest,
)
from obliq.quantization.integer_tensor import IntegerTensor, pack, packed_size, unpack
from obliq.quantization.layer_bits import LayerBits
from obliq.quantization.layers import (
    QuantizedActivation,
    QuantizedConv1d,
    QuantizedConv2d,
    QuantizedConvTranspose1d,
    QuantizedConvTranspose2d,
    QuantizedLinear,
    activations,
    keep_steps_near_,
    keep_steps_positive_,
    learned_steps,
    weighted_layers,
)
from obliq.quantization.precision import Precision
from obliq.quantization.quantized_weight import QuantizedWeight

__all__ = [
    "PRESETS",
    "IntegerTensor",
    "LayerBits",
    "Precision",
    "QuantizedActivation",
    "QuantizedConv1d",
    "QuantizedConv2d",
    "QuantizedConvTranspose1d",
    "QuantizedConvTranspose2d",
    "QuantizedLinear",
    "QuantizedWeight",
    "activations",
    "calibrate_steps",
    "changed_codes",
    "digest_entries",
    "float_state",
    "integer_state",
    "keep_steps_near_",
    "keep_steps_positive_",
    "latent_state",
    "learned_steps",
    "load_integer_state",
    "load_latent_state",
    "pack",
    "packed_size",
    "quantize",
    "state_digest",
    "unpack",
    "weight_codes",
    "weighted_layers",
    "weights_digest",
]
