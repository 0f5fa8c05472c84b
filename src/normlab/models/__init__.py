"""Networks of the experiments, built with any normalizer and activation."""

from normlab.models.convnet import ConvNet
from normlab.models.deep_cnn import DeepCNN
from normlab.models.importing import ImportedNetwork
from normlab.models.initializers import GlorotUniform, HeNormal, Normal, TruncatedNormal, initialize
from normlab.models.language_model import LanguageModel
from normlab.models.lstm import LSTM
from normlab.models.mlp import MLP
from normlab.models.reparametrization import (
    ScaledWeightStandardization,
    WeightNorm,
    WeightStandardization,
    reparametrize,
)
from normlab.models.resnet import ResNet
from normlab.models.vit import ViT

__all__ = [
    "LSTM",
    "MLP",
    "ConvNet",
    "DeepCNN",
    "GlorotUniform",
    "HeNormal",
    "ImportedNetwork",
    "LanguageModel",
    "Normal",
    "ResNet",
    "ScaledWeightStandardization",
    "TruncatedNormal",
    "ViT",
    "WeightNorm",
    "WeightStandardization",
    "initialize",
    "reparametrize",
]
