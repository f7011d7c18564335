import torch

from tests.dimbugs.driving import Drive


def drive(half):
    torch.manual_seed(0)
    brain = half.ASR(half.hparams)
    feats, feat_lens = torch.randn(3, 9, 5), torch.tensor([1.0, 0.8, 0.6])
    tokens, token_lens = torch.tensor([[1, 2, 3], [4, 1, 0], [2, 0, 0]]), torch.tensor([3, 2, 1])
    return Drive(brain.model, feats, step=lambda: brain.fit_batch(feats, feat_lens, tokens, token_lens))


def symptom(half):
    """Whether five frames that are sure of 2, 2, blank, 2 and 4 are not read as 2, 2, 4."""
    frames = torch.eye(6)[[2, 2, 0, 2, 4]].mul(5).log_softmax(-1)
    return half.ctc_greedy_decode(frames[None], torch.tensor([1.0])) != [[2, 2, 4]]
