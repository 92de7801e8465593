"""Arithmetic coding in 32-bit integers (Witten, Neal & Cleary 1987, "Arithmetic coding for data compression").

A message is a number in [0, 1): each symbol narrows the interval `[low, high]` to its share of it, and the first bits
are written as soon as both ends agree on them. A share of `end - start` in `total` costs log2(total / (end - start))
bits.
"""

BITS = 32
MASK = (1 << BITS) - 1
HALF, QUARTER = 1 << BITS - 1, 1 << BITS - 2
MAX_TOTAL = QUARTER
"""The interval is always wider than this, so that each symbol keeps at least one number of it."""


class Interval:
    """What the encoder and the decoder do alike: the interval, and how a symbol narrows it."""

    def __init__(self) -> None:
        self.low, self.high = 0, MASK

    def narrow(self, start: int, end: int, total: int) -> None:
        """Takes the share from `start` to `end` of `total`, 0 ≤ start < end ≤ total ≤ MAX_TOTAL."""
        width = self.high - self.low + 1
        self.high = self.low + width * end // total - 1
        self.low += width * start // total
        while (self.low ^ self.high) & HALF == 0:
            self.shift()
            self.low, self.high = self.low << 1 & MASK, (self.high << 1 & MASK) | 1
        while self.low & ~self.high & QUARTER:
            self.underflow()
            self.low, self.high = self.low << 1 & (MASK >> 1), (self.high << 1 & MASK) | 1 | HALF

    def shift(self) -> None:
        """Both ends begin with the same bit, which goes out of the interval."""
        raise NotImplementedError

    def underflow(self) -> None:
        """The ends are 01… and 10…: the second bit goes out, and is the opposite of what the first will be."""
        raise NotImplementedError


class Encoder(Interval):
    def __init__(self) -> None:
        super().__init__()
        self._bits, self._pending = bytearray(), 0

    def finish(self) -> bytes:
        """The code: bytes that the decoder, to which zeros follow them, reads as a number of the interval."""
        self.low = HALF
        self.shift()
        size = -(-len(self._bits) // 8)
        return int(self._bits.ljust(8 * size, b"0"), 2).to_bytes(size, "big")

    def shift(self) -> None:
        bit = self.low >> BITS - 1
        self._bits += b"%d" % bit + b"%d" % (1 - bit) * self._pending
        self._pending = 0

    def underflow(self) -> None:
        self._pending += 1


class Decoder(Interval):
    """Raises ValueError where more symbols are asked for than the data can be the code of."""

    def __init__(self, data: bytes) -> None:
        super().__init__()
        self._data, self._place = data, 0
        self._code = 0
        for _ in range(BITS):
            self.shift()

    def target(self, total: int) -> int:
        """A number within the share of the symbol that comes next; `narrow` by that share then."""
        return ((self._code - self.low + 1) * total - 1) // (self.high - self.low + 1)

    def shift(self) -> None:
        self._code = self._code << 1 & MASK | self._next_bit()

    def underflow(self) -> None:
        self._code = self._code & HALF | self._code << 1 & (MASK >> 1) | self._next_bit()

    def _next_bit(self) -> int:
        byte, bit = divmod(self._place, 8)
        if byte > len(self._data) + BITS // 8:
            raise ValueError("The data end too early.")
        self._place += 1
        return self._data[byte] >> 7 - bit & 1 if byte < len(self._data) else 0
