import torch
from evaluator import Evaluator
from model import ReplyRanker


class Learner:
    def __init__(self, vocabulary=20, lr=0.05, evaluator=None):
        self.model = ReplyRanker(vocabulary)
        self.evaluator = evaluator or Evaluator()
        self.optimizer = torch.optim.Adam(self.model.parameters(), lr=lr)

    def step(self, conversation, replies, right):
        ranking = self.model(conversation, replies)
        loss = self.evaluator.loss(ranking, right)
        self.optimizer.zero_grad()
        loss.backward()
        self.optimizer.step()
        return loss
