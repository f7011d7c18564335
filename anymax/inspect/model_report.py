"""What check_model says of a model."""

from __future__ import annotations

import textwrap
from collections.abc import Mapping
from dataclasses import dataclass

from anymax.inspect.check.findings import Finding, more

_WIDTH = 100


@dataclass(frozen=True)
class ModelFinding(Finding):
    """One mistake in a model. Of its place the graph knows the line, and the module.

    Attributes:
        code: such as `AMX102`, the same in all of anymax's checks.
        level: `"error"` where it follows from the graph, `"warning"` where it is likely, `"info"` where the code is
            right and another call is better.
        message: what was seen, what it leads to, and what to write.
        path, line, text: the user's line that makes the call; empty, 0 and empty where no file has it.
        module: the path of the module in the model, such as `layers.0.attention`; empty for the model itself.
        times: how often the same line shows the same mistake, as a layer that is used several times does.
    """

    text: str = ""
    module: str = ""
    times: int = 1

    def __str__(self) -> str:
        places = [f"{self.path}:{self.line}"] if self.path else []
        places += [self.module if self.module == "loss" else f"module {self.module}"] if self.module else []
        times = f" ({self.times} times)" if self.times > 1 else ""
        lines = [f"{', '.join(places) or 'the model'}: {self.level} {self.code}{times}"]
        lines += [f"    {self.text}"] if self.text else []
        return "\n".join([*lines, *textwrap.wrap(self.message, _WIDTH, initial_indent="  ", subsequent_indent="  ")])


@dataclass(frozen=True, repr=False)
class ModelReport:
    """What `check_model` found: true where there is a finding, `str()` is the text.

    Attributes:
        findings: in the order of the program.
        looked_at: how many softmaxes (log_softmax among them), fused attentions and losses the graph has.
        not_looked_at: sentences that say what no finding says nothing about.
    """

    model: str
    findings: tuple[ModelFinding, ...]
    looked_at: Mapping[str, int]
    not_looked_at: tuple[str, ...]

    def __bool__(self) -> bool:
        return bool(self.findings)

    def __str__(self) -> str:
        count = len(self.findings)
        counts = ", ".join(f"{name} {number}" for name, number in self.looked_at.items())
        parts = [f"{self.model}: {count or 'no'} finding{'' if count == 1 else 's'}"]
        parts += [str(finding) for finding in self.findings]
        parts += [*(textwrap.fill(line, _WIDTH) for line in more(self.findings)), f"Looked at: {counts}."]
        lines = ["Not looked at:"]
        for sentence in self.not_looked_at:
            lines += textwrap.wrap(sentence, _WIDTH, initial_indent="  * ", subsequent_indent="    ")
        return "\n\n".join([*parts, "\n".join(lines)])

    __repr__ = __str__
