"""Pickles of strangers take no memory that their own size does not account for."""
import io
import tracemalloc

from mmc2v.strict_pickles import StrictUnpickler


def test_a_high_number_in_the_memo_takes_no_memory():
    hostile = b'\x80\x02]r' + (2 ** 24).to_bytes(4, 'little') + b'.'  # []: "remember it as that"
    tracemalloc.start()
    try:
        assert StrictUnpickler(io.BytesIO(hostile)).load() == []
        assert tracemalloc.get_traced_memory()[1] < 2 ** 20
    finally:
        tracemalloc.stop()
