import torch
import torch.nn as nn
import torch.nn.functional as F
from decoders import ctc_greedy_decode

hparams = {"n_mels": 5, "rnn_neurons": 12, "output_neurons": 6, "blank_index": 0, "lr": 1e-3}


class CRDNN(nn.Module):
    def __init__(self, n_mels, rnn_neurons, output_neurons):
        super().__init__()
        self.rnn = nn.GRU(n_mels, rnn_neurons, batch_first=True, bidirectional=True)
        self.ctc_lin = nn.Linear(2 * rnn_neurons, output_neurons)

    def forward(self, feats):
        encoded, _ = self.rnn(feats)
        return F.log_softmax(self.ctc_lin(encoded), dim=-1)


class ASR:
    def __init__(self, hparams):
        self.hparams = hparams
        self.model = CRDNN(hparams["n_mels"], hparams["rnn_neurons"], hparams["output_neurons"])
        self.optimizer = torch.optim.Adam(self.model.parameters(), lr=hparams["lr"])

    def fit_batch(self, feats, feat_lens, tokens, token_lens):
        p_ctc = self.model(feats)
        steps = torch.round(feat_lens * p_ctc.shape[1]).long()
        loss = F.ctc_loss(p_ctc.transpose(0, 1), tokens, steps, token_lens, blank=self.hparams["blank_index"])
        self.optimizer.zero_grad()
        loss.backward()
        self.optimizer.step()
        return loss

    @torch.no_grad()
    def transcripts(self, feats, feat_lens):
        return ctc_greedy_decode(self.model(feats), feat_lens, self.hparams["blank_index"])
