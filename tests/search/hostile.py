"""Opening as hostile files make decoders do it, by the name of the file."""
import os
import signal
import time

from mmc2v.datasets import transforms


class OpenVideo(transforms.OpenVideo):
    """Crashes, hangs, takes all memory or ends the process."""

    def transform(self, results):
        name = os.path.basename(results['filename'])
        if name.startswith('crash'):
            os.kill(os.getpid(), signal.SIGSEGV)
        if name.startswith('killed') and os.path.exists(marker := f'{results["filename"]}.kill'):
            os.unlink(marker)
            os.kill(os.getpid(), signal.SIGKILL)
        if name.startswith('hang'):
            time.sleep(600)
        if name.startswith('memory'):
            results['held'] = bytearray(20 * 2 ** 30)
        if name.startswith('exit'):
            os._exit(3)
        if name.startswith('error'):
            raise RuntimeError('a fault\nin two lines')
        return super().transform(results)
