"""From the frames of a video to the vectors of its clips.

C clips, T frames of a clip, D width of a vector, E width of a tower's tokens.
"""
from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor, nn

# Frames, or clips, that go through the model at once.
BATCH = 32


class ClipEncoder:
    """Encodes the clips of one video, whose frames may come in any order.

    A frame that several clips show goes through the tower once, where the tower sees frames alone,
    and is forgotten when the last of them is encoded: memory grows with the length of a window and
    not of the video. Batches are of this video alone, so that its vectors do not depend on others.

    Args:
        model (nn.Module): A :class:`~mmc2v.models.clip2video.CLIP2Video` in evaluation mode.
        clips (Sequence[np.ndarray]): C times the numbers of a clip's frames, in order; T or fewer,
            in which case the rest is padding.
        num_frames (int): T.
    """

    def __init__(self, model: nn.Module, clips: Sequence[np.ndarray], num_frames: int) -> None:
        self._model, self._num_frames = model, num_frames
        self._clips = [clip.tolist() for clip in clips]
        self._alone = getattr(model.backbone, 'sees_frames_alone', False)
        self._missing = [len(set(clip)) for clip in self._clips]
        self._users: dict[int, list[int]] = {}
        for number, clip in enumerate(self._clips):
            for frame in set(clip):
                self._users.setdefault(frame, []).append(number)
        self._open = {frame: len(users) for frame, users in self._users.items()}
        self._images: list[tuple[int, Tensor]] = []  # that wait for the tower
        self._held: dict[int, Tensor] = {}  # tokens (E,), or images, of frames still needed
        self._ready: list[int] = []  # clips whose frames are all there
        self._vectors: dict[int, np.ndarray] = {}

    @torch.inference_mode()
    def add(self, frames: Sequence[int], images: np.ndarray) -> None:
        """Take some frames.

        Args:
            frames (Sequence[int]): Their numbers, each once for a video.
            images (np.ndarray): (len(frames), H, W, 3) uint8, as the model takes them.
        """
        self._image_size = images.shape[1:3]
        for frame, image in zip(frames, images):
            self._images.append((int(frame), torch.from_numpy(image).permute(2, 0, 1)))
            if len(self._images) == BATCH:
                self._read_images()
        while len(self._ready) >= BATCH:
            self._encode(BATCH)

    @torch.inference_mode()
    def finish(self) -> np.ndarray:
        """Return (C, D) float16 unit vectors, when all frames have come.

        Raises:
            ValueError: If some have not, or a vector is not finite.
        """
        self._read_images()
        while self._ready:
            self._encode(BATCH)
        if len(self._vectors) < len(self._clips):
            raise ValueError('frames of it never came')
        vectors = np.stack([self._vectors[number] for number in range(len(self._clips))])
        if not np.isfinite(vectors).all():
            raise ValueError('the model gives NaN or infinity for it')
        return vectors

    def _read_images(self) -> None:
        """Put what waits through the tower, where that sees frames alone."""
        if not self._images:
            return
        frames, images = zip(*self._images)
        self._images = []
        held = self._tokens(torch.stack(images)) if self._alone else images
        for frame, value in zip(frames, held):
            self._held[frame] = value
            for clip in self._users[frame]:
                self._missing[clip] -= 1
                if self._missing[clip] == 0:
                    self._ready.append(clip)

    def _inputs(self, frames: list[Tensor], mask: list[Tensor]) -> dict[str, Tensor]:
        """Return normalised frames and their mask on the model's device."""
        return self._model.data_preprocessor(
            dict(inputs=dict(frames=frames, frame_mask=mask)))['inputs']

    def _tokens(self, images: Tensor) -> Tensor:
        """Return (N, E) tokens of (N, 3, H, W) images."""
        mask = torch.ones(len(images), 1, dtype=torch.bool)
        inputs = self._inputs(list(images[:, None]), list(mask))
        return self._model.frame_tokens(inputs['frames'], inputs['frame_mask'])[0][:, 0]

    def _padding(self) -> Tensor:
        """Return the (E,) token that the tower gives at padding."""
        image = torch.zeros(2, 3, *self._image_size, dtype=torch.uint8)
        inputs = self._inputs([image], [torch.tensor([True, False])])
        return self._model.frame_tokens(inputs['frames'], inputs['frame_mask'])[0][0, 1]

    def _encode(self, most: int) -> None:
        """Encode the clips that are ready, as many at most."""
        clips, self._ready = self._ready[:most], self._ready[most:]
        if self._alone:
            tokens, mask = zip(*(self._padded(self._clips[clip]) for clip in clips))
            video = self._model.neck(torch.stack(tokens), torch.stack(mask))
            vectors = self._model.head.flatten(self._model.head.embed_video(video))
        else:
            frames, mask = zip(*(self._padded(self._clips[clip]) for clip in clips))
            inputs = self._inputs(list(frames), list(mask))
            vectors = self._model.encode_video(inputs['frames'], inputs['frame_mask'])
        self._vectors.update(zip(clips, vectors.to(torch.float16).cpu().numpy()))
        for clip in clips:
            for frame in set(self._clips[clip]):
                self._open[frame] -= 1
                if self._open[frame] == 0:
                    del self._held[frame]

    def _padded(self, clip: list[int]) -> tuple[Tensor, Tensor]:
        """Return (T, *) tokens or images of a clip, and its (T,) mask."""
        parts = torch.stack([self._held[frame] for frame in clip])
        rest = self._num_frames - len(clip)
        mask = torch.arange(self._num_frames, device=parts.device) < len(clip)
        if rest:
            padding = self._padding() if self._alone else \
                torch.zeros_like(parts[0])
            parts = torch.cat([parts, padding.expand(rest, *padding.shape)])
        return parts, mask
