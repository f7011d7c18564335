from torch import nn, optim


class HeadlineModel(nn.Module):
    def __init__(self, words=20, size=8, topics=4):
        super().__init__()
        self.embed = nn.Embedding(words, size)
        self.encode = nn.TransformerEncoderLayer(size, nhead=2, dim_feedforward=16, dropout=0.0, batch_first=True)
        self.to_topics = nn.Linear(size, topics)
        self.finish = nn.LogSoftmax(dim=-1)

    def forward(self, headlines):
        encoded = self.encode(self.embed(headlines))
        return self.finish(self.to_topics(encoded.mean(dim=1)))


class Session:
    """A model with all that is needed to train it."""

    def __init__(self, model, optimizer, objective):
        self.model = model
        self.optimizer = optimizer
        self.objective = objective

    def step(self, headlines, topics):
        loss = self.objective(self.model(headlines), topics)
        self.optimizer.zero_grad()
        loss.backward()
        self.optimizer.step()
        return loss


def new_session(lr=1e-3):
    model = HeadlineModel()
    return Session(model, optim.Adam(model.parameters(), lr=lr), nn.NLLLoss())
