"""Model parts, all registered in the scope ``mmc2v``."""
from .clip.weights import read_clip_weights
from .clip2video import CLIP2Video
from .data_preprocessor import RetrievalDataPreprocessor
from .heads.contrastive import gather_pairs, symmetric_cross_entropy
from .heads.retrieval_head import RetrievalHead
from .heads.temporal_alignment import TemporalAlignmentBlock
from .necks.difference_encoders import AttentionDifference, IdentityDifference, MLPDifference
from .necks.local_branch import DifferenceLocalBranch, FrameLocalBranch
from .necks.temporal_difference import MeanPooling, TemporalDifferenceBlock, TemporalTransformer
from .necks.transformer import MaskedTransformer
from .recognition import RecognizerBackbone, RecognizerNeck
from .towers.clip import CLIPTextTower, CLIPVisionTower
from .towers.features import FeatureProjection
from .towers.mmaction import MMActionBackbone

__all__ = [
    'AttentionDifference', 'CLIP2Video', 'CLIPTextTower', 'CLIPVisionTower',
    'DifferenceLocalBranch', 'FeatureProjection', 'FrameLocalBranch', 'IdentityDifference',
    'MLPDifference', 'MMActionBackbone', 'MaskedTransformer', 'MeanPooling',
    'RecognizerBackbone', 'RecognizerNeck', 'RetrievalDataPreprocessor', 'RetrievalHead',
    'TemporalAlignmentBlock', 'TemporalDifferenceBlock', 'TemporalTransformer', 'gather_pairs',
    'read_clip_weights', 'symmetric_cross_entropy',
]
