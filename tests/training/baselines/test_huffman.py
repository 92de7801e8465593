import torch

from training.baselines.huffman import huffman_codes


def test_the_codes_of_a_small_vocabulary() -> None:
    """Counts 5, 1, 2, 9: 1 and 2 are joined first (inner node 0), with 5 (node 1), and with 9 (node 2, the root)."""
    nodes, turns = huffman_codes([5, 1, 2, 9])
    ways = [
        {(int(node), int(turn)) for node, turn in zip(*row, strict=True) if turn}
        for row in zip(nodes, turns, strict=True)
    ]
    assert [len(way) for way in ways] == [2, 3, 3, 1]
    assert nodes[[0, 1, 2, 3], 0].tolist() == [2, 2, 2, 2]  # all begin at the root
    assert nodes[1].tolist() == nodes[2].tolist() == [2, 1, 0]
    assert ways[3] == {(2, 1)} or ways[3] == {(2, -1)}
    (last_1,), (last_2,) = ways[1] - ways[2], ways[2] - ways[1]
    assert last_1[0] == last_2[0] == 0  # the two part at the last node alone
    assert last_1[1] == -last_2[1]


def test_no_code_begins_another_and_lengths_are_near_the_entropy() -> None:
    counts = [int(10_000 / rank) for rank in range(1, 301)]
    nodes, turns = huffman_codes(counts)
    lengths = turns.abs().sum(dim=1)
    assert float((0.5 ** lengths.double()).sum()) == 1.0  # Kraft's equation: each leaf has its share of the root
    shares = torch.tensor(counts, dtype=torch.double) / sum(counts)
    entropy = float(-(shares * shares.log2()).sum())
    assert entropy <= float((shares * lengths).sum()) < entropy + 1
    codes = {tuple(zip(*(row.tolist() for row in pair), strict=True)) for pair in zip(nodes, turns, strict=True)}
    assert len(codes) == 300
    assert sorted(set(nodes[turns != 0].tolist())) == list(range(299))
