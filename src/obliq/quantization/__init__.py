"""Quantized networks: learned steps, conversion, and one view of them as integers."""

from obliq.quantization.convert import PRESETS, calibrate_steps, quantize
from obliq.quantization.foreign_quantizers import (
    ForeignNetwork,
    has_foreign_quantizers,
    read_foreign_network,
    without_foreign_quantizers,
)
from obliq.quantization.foreign_steps import ForeignForm, bring_in_steps, form_of
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
    "ForeignForm",
    "ForeignNetwork",
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
    "bring_in_steps",
    "calibrate_steps",
    "changed_codes",
    "digest_entries",
    "float_state",
    "form_of",
    "has_foreign_quantizers",
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
    "read_foreign_network",
    "state_digest",
    "unpack",
    "weight_codes",
    "weighted_layers",
    "weights_digest",
    "without_foreign_quantizers",
]
