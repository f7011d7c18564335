class Node:
    """A position in the search tree."""

    def __init__(self, prior=0.0):
        self.prior = prior
        self.visit_count = 0
        self.value_sum = 0.0
        self.children = {}

    def value(self):
        return self.value_sum / self.visit_count if self.visit_count else 0.0


class GameHistory:
    """What a game leaves for training."""

    def __init__(self):
        self.observations = []
        self.child_visits = []
        self.root_values = []

    def store_search_statistics(self, observation, root, action_space):
        visits = [root.children[a].visit_count if a in root.children else 0 for a in action_space]
        self.observations.append(observation)
        self.child_visits.append([count / sum(visits) for count in visits])
        self.root_values.append(root.value())
