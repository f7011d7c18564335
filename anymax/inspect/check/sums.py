"""Ops that sum or choose along axes: reductions, products of matrices, einsum."""

from __future__ import annotations

from dataclasses import replace

from anymax.inspect.check.calls import Call, as_tensor, op
from anymax.inspect.check.moves import pieces
from anymax.inspect.check.observed import Averaged, Choice, Product, WeightedSum
from anymax.inspect.check.shapes import Axis, Shape, closed, product
from anymax.inspect.check.values import Const, Made, Seq, Tensor, Use, Value

# What stays what it is when other axes are averaged away
AVERAGED = ("softmax", "scores")


@op(
    "sum mean amax amin prod std var norm median nanmean nansum any all count_nonzero max min logsumexp",
    "input dim keepdim",
)
def _reduce(call: Call) -> Value:
    if call.op in ("max", "min") and _compares_two(call):
        return call.changed()
    dims, tensor = call.dims(), call.tensor
    if call.op in ("max", "min") and dims != "unknown":
        _observe_choice(call)
    if call.op == "mean" and dims != "unknown":
        _observe_averaged(call)
    if dims == "missing":
        largest_of = tensor.origin if call.op in ("max", "amax") else None
        made = call.made(call.op) if call.op in ("sum", "logsumexp") else None
        return Tensor(closed(()), made, largest_of=largest_of)
    if not isinstance(dims, list):
        return Tensor()
    axes = [tensor.shape.grown(dim).axis(dim) for dim in dims]
    shape = _reduced(call, dims)
    if call.op == "sum":
        _observe_weighted_sum(call, axes)
        _observe_other_dim(call, dims)
    made = None
    if call.op in ("sum", "logsumexp"):
        made = call.made(call.op, axes[0] if len(axes) == 1 else None, dims[0] if len(dims) == 1 else None)
    elif call.op == "mean" and tensor.made and tensor.made.kind in AVERAGED:
        kept = None not in axes and tensor.made.axis not in axes
        made = replace(tensor.made, mixed=True) if kept else None
    result = Tensor(shape, made, tensor.dtype)
    if call.op in ("max", "min"):
        chosen = Tensor(shape, call.made("argmax", axes[0], dims[0]))
        return Seq((result, chosen))
    return result


def _observe_averaged(call: Call) -> None:
    """A mean, over all axes or over that of the classes, of what kl_div gave for each entry."""
    dims, tensor, made = call.dims(), call.tensor, call.tensor.made
    if made is None or made.kind != "divergence":
        return
    if dims == "missing":
        call.interpreter.see(Averaged(call.place, made.place, True))
    elif isinstance(dims, list) and made.axis is not None:
        axes = [tensor.shape.grown(dim).axis(dim) for dim in dims]
        if any(axis is made.axis for axis in axes):
            call.interpreter.see(Averaged(call.place, made.place, False))


def _compares_two(call: Call) -> bool:
    """`torch.max(x, y)` of two tensors."""
    second = call.rest[1] if len(call.rest) > 1 else call.value("other")
    return isinstance(second, Tensor) or "other" in call.values


def _reduced(call: Call, dims: list[int]) -> Shape:
    shape = call.tensor.shape
    keepdim = call.value("keepdim") or call.value("keepdims")
    if keepdim is not None and not (isinstance(keepdim, Const) and not keepdim.value):
        for dim in dims:
            shape = shape.with_axis(dim, Axis(size=1)) if isinstance(keepdim, Const) else shape.blurred(dim)
        return shape
    rank = shape.rank
    places = sorted((dim % rank if rank else dim for dim in dims), reverse=True)
    if rank is None and any(dim < 0 for dim in dims) and any(dim >= 0 for dim in dims):
        return Shape()
    if rank is None and all(dim < 0 for dim in dims):
        places = sorted(dims)
    for dim in places:
        shape = shape.without(dim)
    return shape


def _observe_weighted_sum(call: Call, axes: list[Axis | None]) -> None:
    factor = call.tensor.factor
    if factor is None:
        return
    for axis in axes:
        if axis is not None and axis is factor.axis:
            factor.made.uses.append(Use("summed", factor.made.axis, call.place))
        elif axis is not None and factor.axis is not None:
            factor.made.uses.append(Use("kept", axis, call.place))


def _observe_other_dim(call: Call, dims: list[int]) -> None:
    """A sum of weighted items over another of the front axes than the weights were normalised over."""
    factor = call.tensor.factor
    if factor is None or not factor.alike or factor.made.dim is None or len(dims) != 1:
        return
    if dims[0] >= 0 and factor.made.dim >= 0 and dims[0] != factor.made.dim:
        call.interpreter.see(WeightedSum(call.place, factor.made, dims[0]))


@op("argmax argmin", "input dim keepdim")
def _choose(call: Call) -> Value:
    dim = call.dim()
    _observe_choice(call)
    if not isinstance(dim, int):
        return Tensor(closed(()) if dim == "missing" else Shape(), call.made("argmax"))
    axis = call.tensor.shape.grown(dim).axis(dim)
    return Tensor(_reduced(call, [dim]), call.made("argmax", axis, dim), "int")


@op("topk", "input k dim")
def _topk(call: Call) -> Value:
    dim = call.dim()
    dim = -1 if dim == "missing" else dim
    if not isinstance(dim, int):
        return Seq((Tensor(), Tensor()))
    shape = call.tensor.shape.with_axis(dim, Axis())
    axis = call.tensor.shape.grown(dim).axis(dim)
    return Seq((Tensor(shape), Tensor(shape, call.made("argmax", axis, dim), "int")))


def _observe_choice(call: Call) -> None:
    dim = call.dim()
    axis = call.tensor.shape.grown(dim).axis(dim) if isinstance(dim, int) else None
    call.interpreter.see(Choice(call.op, call.place, dim, axis, [call.tensor]))


@op("matmul mm bmm", "input mat2")
def _matmul(call: Call) -> Value:
    right = as_tensor(call.value("mat2") or call.value("other"))
    return multiplied(call, call.tensor, right if right is not None else Tensor())


@op("dot inner mv", "input other")
def _dot(call: Call) -> Value:
    right = as_tensor(call.value("other") or call.value("vec"))
    if call.op != "mv" or right is None:
        return Tensor()
    left = call.tensor.with_shape(call.tensor.shape.with_rank(2))
    return multiplied(call, left, right.with_shape(right.shape.with_rank(1)))


@op("baddbmm addbmm addmm", "input batch1 batch2", whole=True)
def _add_product(call: Call) -> Value:
    left = as_tensor(call.value("batch1") or call.value("mat1")) or Tensor()
    right = as_tensor(call.value("batch2") or call.value("mat2")) or Tensor()
    return multiplied(replace(call, op="bmm" if call.op == "baddbmm" else "mm"), left, right)


def multiplied(call: Call, left: Tensor, right: Tensor) -> Tensor:
    """`left @ right`."""
    rank = {"bmm": 3, "mm": 2}.get(call.op)
    if rank:
        left = left.with_shape(left.shape.with_rank(rank))
        right = right.with_shape(right.shape.with_rank(rank))
    elif 1 not in (left.shape.rank, right.shape.rank):
        # a matrix at least, or this would be a product with a vector, which is written less often
        left, right = left.with_shape(_as_a_matrix(left.shape)), right.with_shape(_as_a_matrix(right.shape))
    shape, summed_left, summed_right = product(left.shape, right.shape)
    if exponentials := _exponentials(left, right):
        return Tensor(shape, Made("sum", call.place, exponentials, grouped=True))
    observe_product(call, left, summed_left)
    observe_product(call, right, summed_right)
    if mixture := _mixture(left, summed_left, right, shape):
        return mixture
    if left.shape.rank == 1 or right.shape.rank == 1 or shape.axis(-2) is None or shape.axis(-1) is None:
        return Tensor(shape, call.made("product"))
    rows, columns = shape.axis(-2), shape.axis(-1)
    pair = (rows, columns) if rows and columns and rows is not columns else None
    return Tensor(shape, Made("product", call.place, left), left.dtype, pair)


def _as_a_matrix(shape: Shape) -> Shape:
    """With two axes at least; those that nothing but this says are not sure."""
    grown = shape.grown(-2)
    return grown.mapped(lambda axis: axis if axis in shape.known else replace(axis, sure=False))


def _exponentials(left: Tensor, right: Tensor) -> Tensor | None:
    """The factor of a product that is made of exponentials, where the other is nothing that is known: a matrix that
    says which of them to add."""
    for one, other in ((left, right), (right, left)):
        if one.made is not None and one.made.kind == "exp" and not one.made.shifted and other.made is None:
            return one
    return None


def _mixture(weights: Tensor, summed: Axis | None, items: Tensor, shape: Shape) -> Tensor | None:
    """Distributions (or one-hot labels) that are weighed by a distribution are a distribution again."""
    made, each = weights.made, items.made
    if made is None or each is None or made.kind != "softmax" or each.kind not in ("softmax", "one_hot"):
        return None
    if summed is not made.axis or each.axis is None or not any(each.axis is axis for axis in shape.known):
        return None
    return Tensor(shape, Made("softmax", made.place, made.operand, each.axis, mixed=True))


def observe_product(call: Call, weights: Tensor, summed: Axis | None) -> None:
    made = weights.made
    if made is None or made.kind != "softmax" or made.axis is None or summed is None:
        return
    made.uses.append(Use("summed" if summed is made.axis else "kept", summed, call.place))
    call.interpreter.see(Product(call.written, call.place, weights, summed))


@op("einsum einops_einsum", "equation operands", whole=True)
def _einsum(call: Call) -> Value:
    equation = next((one.value for one in call.rest if isinstance(one, Const) and isinstance(one.value, str)), None)
    operands = [one for one in call.rest if not isinstance(one, Const)]
    if len(operands) == 1 and isinstance(operands[0], Seq):
        operands = list(operands[0].items)
    tensors = [as_tensor(one) for one in operands]
    if equation is None or "..." in equation or equation.count("->") != 1 or None in tensors:
        return Tensor()
    left, right = equation.split("->")
    split = pieces if call.op == "einops_einsum" else _letters
    inputs = [split(side) for side in left.split(",")]
    output = split(right)
    if len(inputs) != len(tensors) or any(len(names) != 1 for side in (*inputs, output) for names in side):
        return Tensor()
    return _summed_by_letters(
        call,
        [[name for (name,) in side] for side in inputs],
        [name for (name,) in output],
        [one for one in tensors if one],
    )


def _letters(side: str) -> list[list[str]]:
    return [[letter] for letter in side if not letter.isspace()]


def _summed_by_letters(call: Call, inputs: list[list[str]], output: list[str], tensors: list[Tensor]) -> Tensor:
    axes: dict[str, Axis] = {}
    for letters, tensor in zip(inputs, tensors, strict=True):
        front = tensor.shape.with_rank(len(letters)).front or tuple(Axis(name=letter) for letter in letters)
        summed = [axis for letter, axis in zip(letters, front, strict=True) if letter not in output]
        for letter, axis in zip(letters, front, strict=True):
            if letter not in axes:
                axes[letter] = replace(axis) if axis in axes.values() else axis
                if axis.kind is None and _is_batch(letter, inputs, output):
                    axes[letter] = replace(axes[letter], kind="batch")
        made = tensor.made
        if made is None or made.kind != "softmax":
            continue
        if made.axis is None and made.dim is not None and tensor.shape is made.shape and made.dim < len(letters):
            # the letters tell how many axes there are, and so which one the dim was
            made = replace(made, axis=axes[letters[made.dim]])
            front = tuple(axes[letter] for letter in letters)
            summed = [axes[letter] for letter in letters if letter not in output]
            tensor = tensor.but(made=made)
        if made.axis is None:
            continue
        if made.axis in summed:
            made.uses.append(Use("summed", made.axis, call.place))
        elif len(summed) == 1 and made.axis in front:
            made.uses.append(Use("kept", summed[0], call.place))
            call.interpreter.see(Product(call.written, call.place, tensor.but(shape=closed(front)), summed[0]))
    shape = closed(axes.get(letter) or Axis(name=letter) for letter in output)
    if len(tensors) == 1 and len(output) < len(inputs[0]) and tensors[0].kind() == "exp":
        return Tensor(shape, Made("sum", call.place, tensors[0]))
    if len(tensors) == 2:
        for (names, weights), items in zip(zip(inputs, tensors, strict=True), reversed(tensors), strict=True):
            front = weights.shape.with_rank(len(names)).front
            gone = [axis for name, axis in zip(names, front, strict=False) if name not in output]
            if len(gone) == 1 and (mixture := _mixture(weights, gone[0], items, shape)):
                return mixture
        if exponentials := _exponentials(*tensors):
            return Tensor(shape, Made("sum", call.place, exponentials, grouped=True))
    return Tensor(shape, call.made("product"), pair=_pair(inputs, output, axes))


def _is_batch(letter: str, inputs: list[list[str]], output: list[str]) -> bool:
    """Whether a letter is named after the batch and stands first wherever it stands, in what is no plain matrix."""
    return (
        letter in ("b", "batch")
        and output[:1] == [letter]
        and all(letter not in one or one[0] == letter for one in inputs)
        and (all(letter in one for one in inputs) or (len(output) >= 3 and all(len(one) >= 3 for one in inputs)))
    )


def _pair(inputs: list[list[str]], output: list[str], axes: dict[str, Axis]) -> tuple[Axis, Axis] | None:
    """The axis that only the first operand brought, and the one that only the last did, where others were summed.

    Between the two there may be a weight, as in a bilinear form.
    """
    summed = [letter for letter in inputs[0] if letter not in output]
    if len(inputs) not in (2, 3) or not any(letter in one for letter in summed for one in inputs[1:]):
        return None
    first, last = (
        [letter for letter in output if sum(letter in one for one in inputs) == 1 and letter in side]
        for side in (inputs[0], inputs[-1])
    )
    return (axes[first[0]], axes[last[0]]) if len(first) == len(last) == 1 else None


@op("cumsum cumprod logcumsumexp diff", "input dim")
def _cumulate(call: Call) -> Value:
    return call.changed()


@op("scaled_dot_product_attention", "query key value")
def _attention(call: Call) -> Value:
    return call.changed()
