"""Model parts, all registered in the scope ``mmc2v``."""
from .adapters import FeatureProjection, MMActionBackbone
from .clip2video import CLIP2Video
from .clip_towers import CLIPTextTower, CLIPVisionTower
from .clip_weights import read_clip_weights
from .contrastive import gather_pairs, symmetric_cross_entropy
from .data_preprocessor import RetrievalDataPreprocessor
from .difference_encoders import AttentionDifference, IdentityDifference, MLPDifference
from .local_branch import DifferenceLocalBranch, FrameLocalBranch
from .recognition import RecognizerBackbone, RecognizerNeck
from .retrieval_head import RetrievalHead
from .temporal_alignment import TemporalAlignmentBlock
from .temporal_difference import MeanPooling, TemporalDifferenceBlock, TemporalTransformer
from .transformer import MaskedTransformer

__all__ = [
    'AttentionDifference', 'CLIP2Video', 'CLIPTextTower', 'CLIPVisionTower',
    'DifferenceLocalBranch', 'FeatureProjection', 'FrameLocalBranch', 'IdentityDifference',
    'MLPDifference', 'MMActionBackbone', 'MaskedTransformer', 'MeanPooling',
    'RecognizerBackbone', 'RecognizerNeck', 'RetrievalDataPreprocessor', 'RetrievalHead',
    'TemporalAlignmentBlock', 'TemporalDifferenceBlock', 'TemporalTransformer', 'gather_pairs',
    'read_clip_weights', 'symmetric_cross_entropy',
]
