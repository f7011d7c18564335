from itertools import groupby

import torch


def filter_ctc_output(path, blank_id):
    """Merges repetitions, then drops the blanks."""
    return [token for token, _ in groupby(path) if token != blank_id]


def ctc_greedy_decode(probabilities, seq_lens, blank_id=0):
    """Greedy decoding of a batch.

    probabilities: log-probabilities of the tokens, [batch, probabilities, time]
    seq_lens: relative length of each sequence, the longest has 1.0
    """
    batch_outputs = []
    for seq, seq_len in zip(probabilities, seq_lens, strict=True):
        actual_size = int(torch.round(seq_len * seq.shape[1]))
        scores, predictions = torch.max(seq.narrow(1, 0, actual_size), dim=0)
        batch_outputs.append(filter_ctc_output(predictions.tolist(), blank_id))
    return batch_outputs
