import os

import torch

# One test process per core: more threads inside each would only wait for one another.
if "PYTEST_XDIST_WORKER" in os.environ:
    torch.set_num_threads(1)
