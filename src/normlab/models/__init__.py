"""Networks of the experiments, built with any normalizer and activation."""

from normlab.models.convnet import ConvNet
from normlab.models.deep_cnn import DeepCNN
from normlab.models.initializers import GlorotUniform, HeNormal, Normal, TruncatedNormal, initialize
from normlab.models.mlp import MLP

__all__ = ["MLP", "ConvNet", "DeepCNN", "GlorotUniform", "HeNormal", "Normal", "TruncatedNormal", "initialize"]
