"""One view of a trained model: its weights, its likelihood, its predictions; and adapters from other libraries.

Whatever is a feed-forward network becomes one (:class:`FeedForward`), for which every method works and whose messages
are read without the library that trained it. Any other model is a function of weights and inputs
(:class:`Function`), whose messages are read by whoever has that function.
"""

from mdl.models.feedforward import FeedForward, from_architecture, inputs_of_layer
from mdl.models.functions import Function
from mdl.models.pipelines import Transformed, shared
from mdl.models.protocol import Model, as_array, checked_inputs, count_rows, from_indices, to_indices
from mdl.models.torch_modules import gather
from mdl.models.wrapping import wrap

__all__ = [
    "FeedForward",
    "Function",
    "Model",
    "Transformed",
    "as_array",
    "checked_inputs",
    "count_rows",
    "from_architecture",
    "from_indices",
    "gather",
    "inputs_of_layer",
    "shared",
    "to_indices",
    "wrap",
]
