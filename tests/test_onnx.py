"""What torch.onnx.export makes of the maps gives eager's answers in ONNX Runtime, for any number of rows."""

from functools import partial

import pytest
import torch
from torch.testing import assert_close

import anymax
from anymax.testing.inputs import scores

onnxruntime = pytest.importorskip("onnxruntime")
pytest.importorskip("onnxscript")

# of (batch, class) scores and a mask
MAPS = {
    "softmax": anymax.softmax,
    "log_softmax": anymax.log_softmax,
    "logsumexp": anymax.logsumexp,
    "entropy": anymax.entropy,
    "sparsemax": anymax.sparsemax,
    "entmax": anymax.entmax,
    "relumax": partial(anymax.relumax, bias=0.5),
    "softpick": anymax.softpick,
    "taylor_softmax": partial(anymax.taylor_softmax, order=4),
}


class Both(torch.nn.Module):
    """A map without and with a mask."""

    def __init__(self, function):
        super().__init__()
        self.function = function

    def forward(self, x, mask):
        return self.function(x, dim="batch [class]"), self.function(x, dim="batch [class]", mask=mask)


# torch asks copyreg for a class that it has deprecated
@pytest.mark.filterwarnings(r"ignore:`isinstance\(treespec, LeafSpec\)` is deprecated:FutureWarning")
@pytest.mark.parametrize("name", MAPS)
def test_an_exported_map_runs_in_onnx_runtime(name):
    def inputs(rows):
        x = scores(rows, 7, at=rows, dtype=torch.float32)
        x[0, 2] = -float("inf")
        mask = scores(rows, 7, at=rows + 1) > -1
        mask[1] = False
        return x, mask

    module, rows = Both(MAPS[name]).eval(), {0: torch.export.Dim.DYNAMIC}
    program = torch.onnx.export(module, inputs(3), dynamo=True, dynamic_shapes=(rows, rows), verbose=False)
    session = onnxruntime.InferenceSession(program.model_proto.SerializeToString())
    for count in (3, 6):
        given = inputs(count)
        names = (entry.name for entry in session.get_inputs())
        answers = session.run(None, {name: tensor.numpy() for name, tensor in zip(names, given, strict=True)})
        for mine, theirs in zip(module(*given), answers, strict=True):
            assert mine.isfinite().any()
            assert_close(torch.from_numpy(theirs), mine)
