"""A Huffman tree over the vocabulary: frequent words have short codes.

Huffman 1952: the two rarest trees are joined into one, whose count is their sum, until one is left. A word's code is
the way from the root to its leaf. V words have V - 1 inner nodes, and the mean length of a code is within one of the
entropy of the words, so that a softmax of V scores becomes some ten decisions between left and right.
"""

import heapq
from collections.abc import Sequence

import torch
from torch import Tensor


def huffman_codes(counts: Sequence[int]) -> tuple[Tensor, Tensor]:
    """The inner nodes on the way to each word and the turn taken at each, both `[V, L]` for the longest code L.

    A turn is 1 or -1, and 0 behind the end of a code, where the node is 0; the root is node V - 2.
    """
    size = len(counts)
    waiting = [(count, word) for word, count in enumerate(counts)]
    heapq.heapify(waiting)
    parent = [-1] * (2 * size - 1)  # leaves are 0 to V - 1, inner node n is V + n
    turn = [0] * (2 * size - 1)
    for node in range(size, 2 * size - 1):
        (rare, left), (less_rare, right) = heapq.heappop(waiting), heapq.heappop(waiting)
        parent[left] = parent[right] = node
        turn[left], turn[right] = 1, -1
        heapq.heappush(waiting, (rare + less_rare, node))
    ways = [_way(word, parent) for word in range(size)]
    longest = max(map(len, ways))
    nodes, turns = torch.zeros(size, longest, dtype=torch.int64), torch.zeros(size, longest)
    for word, way in enumerate(ways):
        nodes[word, : len(way)] = torch.tensor([parent[place] - size for place in way])
        turns[word, : len(way)] = torch.tensor([float(turn[place]) for place in way])
    return nodes, turns


def _way(word: int, parent: Sequence[int]) -> list[int]:
    """The places below each inner node, from the root's child down to the word's leaf."""
    way, place = [], word
    while parent[place] >= 0:
        way.append(place)
        place = parent[place]
    return way[::-1]
