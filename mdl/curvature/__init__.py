"""The data's length as a function of a network's penalised weights: its slope, its curvature, where it is least.

What is fixed is the inputs, the targets, the likelihood and the free tensors (biases). Everything here is computed from
one forward and a few backward passes, chunk by chunk over the examples, so that no Jacobian is ever held.
"""

from mdl.curvature.calibration import Calibration, calibrate
from mdl.curvature.expected import Curved, Slopes, expected_curvature, expected_nats
from mdl.curvature.links import Link, link
from mdl.curvature.modes import mode
from mdl.curvature.objective import MAX_DENSE, Objective, layer_inputs
from mdl.curvature.propagation import Conditional, Propagation, Sites

__all__ = [
    "MAX_DENSE", "Calibration", "Conditional", "Curved", "Link", "Objective", "Propagation", "Sites", "Slopes",
    "calibrate", "expected_curvature", "expected_nats", "layer_inputs", "link", "mode",
]  # fmt: skip
