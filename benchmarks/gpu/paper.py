"""The limit on paper: operations of a frame, and what cards could do of them if nothing else took time."""

PEAKS = {  # dense bfloat16 TFLOP/s with float32 sums, as the vendor's data sheets say; the first name that fits counts
    "H100 PCIe": 756.0,
    "H100 NVL": 835.0,
    "H100": 989.0,
    "H200": 989.0,
    "A100": 312.0,
    "L40S": 362.0,
    "L4": 121.0,
    "A10": 125.0,
}

ENCODER_GFLOP = {"large": 1823.0, "base_plus": 647.0, "small": 360.0, "tiny": 292.0}
"""Of one frame at 1024 pixels; a multiplication and an addition count as two."""

OBJECT_GFLOP = 606.0 + 3.6 + 11.6
"""Memory attention over 7 maps and 16 pointers, mask decoder, memory encoder: with one object."""

FURTHER_OBJECT_GFLOP = (9392.0 - 606.0 + 58.0 - 3.6 + 178.0 - 11.6) / 15
"""Less than the first, because the first self-attention is the same for all."""


def peak_of(card: str) -> float | None:
    """Dense bfloat16 TFLOP/s of a card by its name."""
    return next((peak for name, peak in PEAKS.items() if name in card), None)


def gflop(network: str, objects: int) -> float | None:
    """GFLOP of a frame once the memory is full; None for a network that is not in the table."""
    if network not in ENCODER_GFLOP:
        return None
    return ENCODER_GFLOP[network] + OBJECT_GFLOP + (objects - 1) * FURTHER_OBJECT_GFLOP


def share_of_limit(network: str, objects: int, frames_per_second: float, card: str) -> float | None:
    """How much of the card's peak is used; None where either is not known."""
    work, peak = gflop(network, objects), peak_of(card)
    return None if work is None or peak is None else work * frames_per_second / (1000 * peak)
