import torch
import torch.nn as nn
import torch.nn.functional as F

MAX_LENGTH = 5
SOS_token = 0


class EncoderRNN(nn.Module):
    def __init__(self, n_words, hidden_size):
        super(EncoderRNN, self).__init__()
        self.embedding = nn.Embedding(n_words, hidden_size)
        self.gru = nn.GRU(hidden_size, hidden_size)

    def forward(self, questions):
        return self.gru(self.embedding(questions.t()))


class AttnDecoderRNN(nn.Module):
    def __init__(self, hidden_size, output_size, max_length=MAX_LENGTH):
        super(AttnDecoderRNN, self).__init__()
        self.embedding = nn.Embedding(output_size, hidden_size)
        self.attn = nn.Linear(hidden_size * 2, max_length)
        self.attn_combine = nn.Linear(hidden_size * 2, hidden_size)
        self.gru = nn.GRU(hidden_size, hidden_size)
        self.out = nn.Linear(hidden_size, output_size)

    def attention(self, embedded, hidden):
        return F.softmax(self.attn(torch.cat((embedded, hidden), 2)), dim=2)

    def forward(self, word, hidden, encoder_outputs):
        embedded = self.embedding(word).unsqueeze(0)
        attn_weights = self.attention(embedded, hidden)
        attn_applied = torch.bmm(attn_weights.transpose(0, 1), encoder_outputs.transpose(0, 1))
        output = torch.cat((embedded[0], attn_applied.squeeze(1)), 1)
        output, hidden = self.gru(F.relu(self.attn_combine(output)).unsqueeze(0), hidden)
        return self.out(output[0]), hidden


class Chatbot(nn.Module):
    def __init__(self, n_words, hidden_size=8):
        super(Chatbot, self).__init__()
        self.encoder = EncoderRNN(n_words, hidden_size)
        self.decoder = AttnDecoderRNN(hidden_size, n_words)

    def forward(self, questions, answers):
        encoder_outputs, hidden = self.encoder(questions)
        word = torch.full_like(answers[:, 0], SOS_token)
        scores = []
        for di in range(answers.size(1)):
            output, hidden = self.decoder(word, hidden, encoder_outputs)
            scores.append(output)
            word = answers[:, di]  # teacher forcing
        return torch.stack(scores, dim=2)


def train(bot, optimizer, questions, answers):
    optimizer.zero_grad()
    loss = F.cross_entropy(bot(questions, answers), answers)
    loss.backward()
    optimizer.step()
    return loss
